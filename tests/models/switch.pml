/* Offer, claim, revoke and the switch by count, both directions, with shutdown, close and kill at
 * any statement, as lib/loopback/switch_machine.cpp does it: offered -> connected by the connector
 * once its connect has succeeded, connected -> accepted by the acceptor, either of the first two ->
 * revoked by either end, all by compare-and-swap. Side 0 = connector, 1 = acceptor.
 * Doorbells are bytes of TCP with -DTCPBELL (value DB), else they are not part of this model.
 * Not modelled: a slot's next use, several connections, weak memory (doorbell.pml has the fences),
 * wake-ups, partial reads and writes, receive views (views.pml), fork.
 * Mutations, each of which must break a property:
 *  -DBUG_SHUT     a shutdown before the switch goes to TCP without revoking
 *  -DBUG_EOF      the end of TCP is believed without looking at state and ring again
 *  -DBUG_EARLYDB  an end rings by TCP before it published its own switch_at (with TCPBELL)
 *  -DBUG_ORDER    the receiver loads switch_at before its receive, not after (with TCPBELL)
 *  -DBUG_CLOSE    closes with a doorbell unread: the kernel resets and purges (with TCPBELL)
 *  -DBUG_FIN      the reader loads the tail before the mark
 *  -DBUG_REVOKE   revoke by store instead of compare-and-swap
 *  -DBUG_INFLIGHT publishes switch_at while a TCP send is still in flight
 *  -DBUG_USE      claims an offer whose connect is not known to have succeeded
 */
#ifndef N
#define N 2
#endif
#ifndef CAP
#define CAP 1
#endif
#ifndef K
#define K 3
#endif
#define UNSET 255
#define DB 90
#define END 91
#define OFFERED 0
#define ACCEPTED 1
#define REVOKED 2
#define CONNECTED 3
byte state = OFFERED;
byte sw[2] = UNSET;
byte tail[2], head[2];
byte r0[CAP], r1[CAP];
bit finm[2], rdcl[2];          /* marks in the segment, written by side i */
chan t0 = [K] of { byte };     /* TCP 0 -> 1 */
chan t1 = [K] of { byte };
bit ksend[2], kclosed[2];      /* kernel: side i sent FIN / closed its socket */
bit kill[2], dead[2], shut[2], closed_[2];
bit resetok[2];                /* side i closed with unread input: peer may lose */
byte pub[2];                   /* ghost: bytes that write() of side i accepted */
bit failed;                    /* connector: its connect failed; the peer by TCP is a stranger */
bit inshm[2];                  /* ghost: final view of each side */
bit fin_ok[2];                 /* side i is finished */

#define OPEN_OFFER (state==OFFERED || state==CONNECTED)
inline cas_revoke(won) {
#ifdef BUG_REVOKE
  atomic { won = OPEN_OFFER || state==REVOKED };
  if :: won -> state = REVOKED :: else fi
#else
  atomic {
    if
    :: OPEN_OFFER -> state=REVOKED; won=1
    :: state==REVOKED -> won=1
    :: else -> won=0
    fi }
#endif
}
inline purge(ch) { do :: (len(ch)>0) -> ch?_ :: (len(ch)==0) -> break od }

/* kernel close of side me: unread incoming => RST, own unsent queue lost */
inline kclose(iskill) {
  d_step {
    if
    :: !kclosed[me] ->
       kclosed[me]=1;
       if :: len(inch)>0 ->
               do :: len(inch)>0 -> inch?v; if :: v!=DB || iskill -> resetok[me]=1 :: else fi :: else -> break od;
               do :: len(outch)>0 -> outch?v :: else -> break od;
               v=0; ksend[me]=1
          :: else -> ksend[me]=1
       fi
    :: else
    fi }
}
bit arm[2]=1;   /* parked token of side i: whoever clears it owes exactly one bell */
#ifdef BUG_USE
#define CLAIMABLE OPEN_OFFER
#else
#define CLAIMABLE (state==CONNECTED)
#endif
#define TCPEND (ksend[1-me] && (len(inch)==0))

proctype Side(bit me; chan outch; chan inch) {
  byte txn=0, txtcp=0, rxn=0, rxtcp=0, v, s, dbs=0, t, slot;
  bit txring=0, rxring=0, txdone=0, rxdone=0, won, f, tend=0, infl=0, owe=0, got=0;
  {
  if
  :: me==0 ->
     if
     :: atomic { if :: state==OFFERED -> state=CONNECTED :: else -> skip fi }
     :: failed=1; cas_revoke(won); goto closing
     fi
  :: else
  fi;
  do
  /* ---- TCP phase of sending */
#ifdef BUG_INFLIGHT
  :: !txdone && !txring && txn<N && !infl -> infl=1; txn++; pub[me]=txn          /* submitted, kernel has it not yet */
  :: infl -> atomic { ((len(outch)<K)||kclosed[1-me]) -> if :: kclosed[1-me] -> txdone=1 :: else -> outch!txn; txtcp++ fi; infl=0 }
#else
  :: atomic { !txdone && !txring && txn<N && !ksend[me] && (len(outch)<K) && !kclosed[1-me] ->
       txn++; outch!txn; txtcp++; pub[me]=txn }
#endif
  /* ---- the acceptor claims at any time, or never */
  :: me==1 && CLAIMABLE -> atomic { if :: CLAIMABLE -> state=ACCEPTED :: else -> skip fi }
  /* ---- an end notices ACCEPTED at any time */
  :: !txdone && !txring && state==ACCEPTED -> sw[me]=txtcp; txring=1
  /* ---- ring phase of sending */
  :: txring && !txdone && txn<N && !infl && tail[me]-head[me] < CAP ->
       txn++; 
       if :: me==0 -> r0[(txn-1-txtcp)%CAP]=txn :: else -> r1[(txn-1-txtcp)%CAP]=txn fi;
       atomic { tail[me]=tail[me]+1; pub[me]=txn }
#ifdef TCPBELL
  /* ---- a doorbell: take the token, later send one byte */
#ifdef BUG_EARLYDB
  :: atomic { !owe && arm[1-me] && state==ACCEPTED -> arm[1-me]=0; owe=1 }
#else
  :: atomic { !owe && arm[1-me] && txring -> arm[1-me]=0; owe=1 }
#endif
  :: atomic { owe && (len(outch)<K || kclosed[1-me]) -> owe=0;
       if :: kclosed[1-me] -> if :: kill[1-me] -> resetok[1-me]=1 :: else fi; do :: len(inch)>0 -> inch?v :: else -> break od; v=0   /* RST answers; peer killed: as TCP after a write */
          :: !kclosed[1-me] && !ksend[me] -> outch!DB
          :: else fi }
#endif
  /* ---- shutdown(send), early or at the end */
  :: !txdone && !infl ->
     txdone=1;
     if
     :: txring -> finm[me]=1; shut[me]=1
     :: else ->
#ifdef BUG_SHUT
        won=1;
#else
        cas_revoke(won);
#endif
        if
        :: won -> atomic { ksend[me]=1; shut[me]=1 }
        :: else -> sw[me]=txtcp; txring=1; finm[me]=1; shut[me]=1
        fi
     fi
  /* ---- receive from TCP */
#ifdef BUG_ORDER
  :: !rxdone && !rxring -> s=sw[1-me]; if :: state!=ACCEPTED -> s=UNSET :: else fi;   /* loaded when the recv was posted */
       atomic { if :: len(inch)>0 -> inch?v :: else -> v=END fi };
#else
  :: atomic { !rxdone && (len(inch)>0) -> inch?v }; if :: state==ACCEPTED -> s=sw[1-me] :: else -> s=UNSET fi;
#endif
       if
       :: v==END -> skip
       :: v!=END && s!=UNSET && rxtcp>=s -> assert(v==DB); got=1           /* no data taken for a bell */
       :: else -> assert(v==rxn+1); rxn++; rxtcp++         /* no bell taken for data, order */
       fi; v=0
  :: !rxdone && !rxring && state==ACCEPTED && sw[1-me]!=UNSET && rxtcp==sw[1-me] -> rxring=1
  /* ---- receive from the ring */
  :: rxring && !rxdone && head[1-me]<tail[1-me] ->
       slot=head[1-me]%CAP;
       if :: me==1 -> v=r0[slot] :: else -> v=r1[slot] fi;
       assert(v==rxn+1); rxn++; head[1-me]=head[1-me]+1; v=0
  /* ---- eof by mark */
#ifdef BUG_FIN
  :: rxring && !rxdone && finm[1-me]==0 -> t=tail[1-me]; f=finm[1-me];
#else
  :: rxring && !rxdone && finm[1-me] -> f=finm[1-me]; t=tail[1-me];
#endif
       if :: f && t==head[1-me] -> assert(rxn==pub[1-me]); rxdone=1 :: else fi; f=0; t=0
  /* ---- end of TCP seen */
  :: !rxdone && !tend && TCPEND ->
       tend=1;
#ifdef BUG_EOF
       if :: !rxring -> assert(resetok[1-me]||rxn==pub[1-me]); rxdone=1 :: else fi
#endif
  :: tend && !rxdone ->
       if
       :: !rxring && state==ACCEPTED && sw[1-me]==UNSET ->
            /* accepted, peer never switched: it died */
            assert(kill[1-me]); assert(rxn==pub[1-me]||resetok[1-me]); rxdone=1
       :: !rxring && state==ACCEPTED && sw[1-me]!=UNSET && rxtcp<sw[1-me] ->
            assert(resetok[1-me]); rxdone=1                   /* prefix lost: only after a reset */
       :: !rxring && state==ACCEPTED && sw[1-me]!=UNSET && rxtcp==sw[1-me] -> rxring=1
       :: !rxring && state!=ACCEPTED ->
            assert(rxn==pub[1-me]||resetok[1-me]); 
            assert(shut[1-me]||kill[1-me]||closed_[1-me]||failed); rxdone=1
       :: rxring && tail[1-me]==head[1-me] && !finm[1-me] ->
            t=tail[1-me];
            if :: t==head[1-me] && !finm[1-me] -> assert(kill[1-me]); assert(rxn==pub[1-me]); rxdone=1
               :: else fi; t=0
       :: else -> skip      /* ring data or fin mark still to take */
       fi
  /* ---- writer sees that nobody reads any more */
  :: !txdone && (rdcl[1-me] || kclosed[1-me]) -> txdone=1; infl=0; finm[me]=txring
  /* ---- close, at any time or when finished */
  :: (me==1 || 1) && (rxdone || !rxdone) && txdone && rxdone -> goto closing
  :: atomic { !infl && !(txdone&&rxdone) -> skip };       /* early close */
     if
     :: !txring -> cas_revoke(won); if
     :: !won -> sw[me]=txtcp; txring=1 :: else fi
     :: else
     fi;
     goto closing
  od;
closing:
  /* unread DATA at close = reset allowed, as TCP */
  atomic { if :: !rxdone && (rxn<pub[1-me] || !(shut[1-me])) -> resetok[me]=1 :: else fi; closed_[me]=1 };
  if :: txring -> rdcl[me]=1; finm[me]=1 :: else fi;
#ifdef TCPBELL
  if :: owe -> atomic { owe=0; if :: kclosed[1-me] -> skip :: len(outch)<K && !kclosed[1-me] && !ksend[me] -> outch!DB :: else -> skip fi } :: else fi;
#ifndef BUG_CLOSE
  if :: state==ACCEPTED && txring ->
     atomic { won=arm[me]; arm[me]=0 };
     do
     :: won || got -> break
     :: !won && !got && TCPEND -> break
     :: atomic { !won && !got && len(inch)>0 -> inch?v }; if :: v==DB -> got=1 :: else -> resetok[me]=1 fi; v=0
     od
  :: else fi;
#endif
#endif
  kclose(0);
  } unless { kill[me] -> dead[me]=1; kclose(1) };
  fin_ok[me]=1
}
proctype Killer() { end: if :: skip :: kill[0]=1 :: kill[1]=1 fi }
init { atomic { run Side(0,t0,t1); run Side(1,t1,t0); run Killer() } 
 (fin_ok[0] && fin_ok[1]);
 /* both live ends that did not fall back agree: nobody read a ring the other never wrote */
 assert(!(state!=ACCEPTED && (tail[0]>0 || tail[1]>0)));
 /* whoever made the offer was not the peer: it got no byte */
 assert(!failed || tail[1]==0)
}
