/* Views: a reader that shows bytes where they are and reads on beside them, and a writer that sleeps
 * until WANT bytes are free. Store buffers and full fences as in doorbell.pml; bells by the link (a
 * bell too many is harmless), so disarming is a plain store.
 * What is read beside a view is not the writer's before the view is given back. A reader that waits
 * beside a view may never give it back: its writer is to fill what room there is. With no room left
 * a read is an error, upon which this reader gives the view back.
 * What is checked: no byte that is shown or unread is written over, and no lost wake-up (a valid
 * end). Not modelled: the end of the stream, a view that outlives its connection, TCP.
 * -DANY_FIRST : whether the writer sleeps is looked at before arming alone, without a fence of its
 * own, which is enough.
 * Mutations, each of which must break one of them:
 *  -DBUG_FREE  a read beside a view publishes how far it has come
 *  -DBUG_ANY   waits beside a view and does not wake a writer that sleeps for more than there is
 *  -DBUG_HELD  waits beside a view that leaves no room, instead of an error
 *  -DBUG_FENCE gives a view back without the fence between publishing and looking who waits
 */
#ifndef M
#define M 7          /* bytes */
#endif
#ifndef CAP
#define CAP 4
#endif
#ifndef WANT
#define WANT 2       /* of free bytes, for which the writer sleeps */
#endif
#define VIEW 2       /* most that is shown at a time */
#define W 0
#define R 1
/* shared memory cells */
#define TAIL 0
#define HEAD 1
#define ARMD 2       /* the reader waits for data */
#define ARMS 3       /* the writer waits for so much room */
byte mem[4];
chan sb0 = [2] of { byte, byte };
chan sb1 = [2] of { byte, byte };
bit bell[2];
byte freed;          /* ghost: what comes before it may be written over */

#define FENCE0 (empty(sb0))
#define FENCE1 (empty(sb1))

proctype flush0() { byte a,v; end: do :: atomic { sb0?a,v -> mem[a]=v } od }
proctype flush1() { byte a,v; end: do :: atomic { sb1?a,v -> mem[a]=v } od }

proctype Writer() {
  byte t = 0, h, x, n;
  do
  :: t == M -> break
  :: t < M ->
     h = mem[HEAD];
     if
     :: t - h < CAP ->
        if
        :: n = 1
        :: t - h + 2 <= CAP && t + 2 <= M -> n = 2
        fi;
        t = t + n;
        assert(t - freed <= CAP);
        sb0!TAIL,t; FENCE0;
        x = mem[ARMD];
        if
        :: x -> atomic { x = mem[ARMD]; mem[ARMD] = 0 };
           if :: x -> bell[R] = 1 :: else fi
        :: else
        fi
     :: else ->
        sb0!ARMS,WANT; FENCE0;
        h = mem[HEAD];
        if
        :: t - h < CAP -> skip
        :: else -> atomic { bell[W] -> bell[W] = 0 }
        fi;
        sb0!ARMS,0
     fi
  od
}

#define ROOM (CAP - (t - f))

inline wake_writer(least) {
  x = mem[ARMS];
  if
  :: x != 0 && ROOM >= least ->
     atomic { FENCE1 -> x = mem[ARMS]; mem[ARMS] = 0 };
     if :: x != 0 -> bell[W] = 1 :: else fi
  :: else
  fi
}
inline publish() { freed = (v > 0 -> shown : h); f = h; sb1!HEAD,h }
inline give_back() {
  v = 0; publish();
#ifndef BUG_FENCE
  FENCE1;
#endif
  wake_writer(x)
}

proctype Reader() {
  byte h = 0, f = 0, t = 0, x;
  byte v = 0, shown = 0;   /* bytes that are shown, and where they begin */
  do
  :: h == M -> break
  :: v > 0 -> give_back()
  :: h < M ->
     t = mem[TAIL];
     assert(t - f <= CAP);
     if
     :: t > h ->
        if
        :: h++;
           if
#ifndef BUG_FREE
           :: v > 0
#endif
           :: else -> publish(); FENCE1; wake_writer(x)
           fi
        :: v == 0 -> shown = h; v = (t - h < VIEW -> t - h : VIEW); h = h + v
        fi
#ifndef BUG_HELD
     :: t == h && v > 0 && ROOM == 0 -> give_back()
     :: t == h && !(v > 0 && ROOM == 0) ->
#else
     :: t == h ->
#endif
#ifdef ANY_FIRST
        if :: v > 0 -> wake_writer(1) :: else fi;
#endif
        sb1!ARMD,1; FENCE1;
        t = mem[TAIL];
        if
        :: t > h -> skip
        :: t == h ->
#if !defined(BUG_ANY) && !defined(ANY_FIRST)
           if :: v > 0 -> wake_writer(1) :: else fi;
#endif
           atomic { bell[R] -> bell[R] = 0 }
        fi;
        sb1!ARMD,0
     fi
  od;
  if :: v > 0 -> give_back() :: else fi
}

init { atomic { run flush0(); run flush1(); run Writer(); run Reader() } }
