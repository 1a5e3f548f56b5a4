/* Counted bells: one end that waits for data and for space at once, on one way of bells (Windows:
 * bytes on the TCP connection of the stream), beside a peer that never sleeps.
 * Each armed word is a token. Who exchanges it to 0 sends one bell; the owner takes it back by an
 * exchange, and is owed a bell where it finds it gone. While it is owed one it does not arm.
 * What is checked: no lost wake-up (a valid end), at most two bells in flight, never more than are
 * owed, and none unread after the close. Stores and fences: doorbell.pml.
 * -DBUG_REARM : arms while a bell is owed
 * -DBUG_PLAIN : disarms without looking whether the token was there
 * -DBUG_CLOSE : closes with a bell owed
 * -DBUG_LOOK : no second look after arming
 */
#ifndef M
#define M 3          /* messages each way */
#endif
#ifndef CAP
#define CAP 1
#endif

byte in_tail, in_head, out_tail, out_head;   /* to the end, and from it */
bit data_armed, space_armed;                 /* shared words; a fresh slot has the first set */
byte bell;                                   /* in flight */
bit closed;

#define IN (in_tail != in_head)
#define OUT (out_tail < M && out_tail - out_head < CAP)

inline ring() { atomic { assert(bell < 2 && !closed); bell++ } }

/* take_tokens_back */
inline take_back() {
  if
  :: my_data -> my_data = 0;
     atomic { x = data_armed; data_armed = 0 };
#ifndef BUG_PLAIN
     if :: !x -> owed++ :: else fi
#endif
  :: else
  fi;
  if
  :: my_space -> my_space = 0;
     atomic { x = space_armed; space_armed = 0 };
#ifndef BUG_PLAIN
     if :: !x -> owed++ :: else fi
#endif
  :: else
  fi
}

inline bells_came() {
  atomic { bell > 0 -> n = bell; bell = 0 };
  take_back();
  assert(n <= owed);
  owed = owed - n; n = 0
}

proctype End() {
  bit my_data = 1, my_space = 0, x;
  byte owed = 0, n = 0;
  do
  :: in_head == M && out_tail == M -> break
  :: IN -> take_back(); in_head++
  :: OUT -> take_back(); out_tail++
  :: !IN && !OUT && !(in_head == M && out_tail == M) ->
     take_back();
     if
#ifdef BUG_REARM
     :: true ->
#else
     :: owed == 0 ->
#endif
        if :: in_head < M -> my_data = 1; data_armed = 1 :: else fi;
        if :: out_tail < M -> my_space = 1; space_armed = 1 :: else fi
#ifndef BUG_REARM
     :: else
#endif
     fi;
     if
#ifndef BUG_LOOK
     :: IN || OUT -> skip
     :: else -> bells_came()
#else
     :: true -> bells_came()
#endif
     fi
  od;
  take_back();
#ifndef BUG_CLOSE
  do
  :: owed == 0 -> break
  :: owed > 0 -> bells_came()
  od;
#endif
  atomic { closed = 1; assert(bell == 0) }
}

proctype Peer() {
  bit x;
  do
  :: in_tail == M && out_head == M -> break
  :: in_tail < M && in_tail - in_head < CAP ->
     in_tail++;
     if
     :: data_armed ->
        atomic { x = data_armed; data_armed = 0 };
        if :: x -> ring() :: else fi
     :: else
     fi
  :: out_head < out_tail ->
     out_head++;
     if
     :: space_armed ->
        atomic { x = space_armed; space_armed = 0 };
        if :: x -> ring() :: else fi
     :: else
     fi
  od
}

init { data_armed = 1; atomic { run End(); run Peer() } }
