#!/bin/sh
# Runs a Windows program under Wine: wine.sh PREFIX PROGRAM [ARGUMENT...]
# PREFIX is made on first use, once, however many programs start at the same time. The server stays
# for a minute after the last program, because a cold start costs two seconds, a warm one a tenth.
# A prefix alone (no PROGRAM) is only made ready.
set -eu

WINEPREFIX=$1
shift
export WINEPREFIX
# Silent, but for why it cannot map what every program needs.
export WINEDEBUG="${FAIRWAY_WINEDEBUG:--all,err+virtual}"
# No crash dialogue, and no offer to download what no test uses.
export WINEDLLOVERRIDES='winedbg.exe=d;mscoree=d;mshtml=d'
unset DISPLAY || true

wine=
for candidate in wine64 /usr/lib/wine/wine64 wine; do
  if command -v "$candidate" >/dev/null 2>&1; then wine=$candidate; break; fi
done
if [ -z "$wine" ]; then
  echo "wine.sh: Wine is not installed" >&2
  exit 127
fi

# Linux puts the heap anywhere within a gigabyte. Once in some 8,000 starts that is on the one page
# that must be at 0x7ffe0000, and Wine gives up. Where a container forbids to fix the addresses
# (personality(2)), it goes on as it is.
if setarch -R true 2>/dev/null; then
  fixed='setarch -R'
else
  fixed=
fi

# Nothing that stays may hold the caller's pipe: whoever reads it would wait for a minute. Wine's
# own processes inherit the output of the program that starts them, so a throw-away one does, here.
start_server() {
  wineserver -p60 || true
  $fixed "$wine" wineboot.exe "$@"
}

mkdir -p "$WINEPREFIX"
(
  flock 9
  if [ ! -f "$WINEPREFIX/ready" ]; then
    start_server --init 9>&- && : >"$WINEPREFIX/ready"
  elif ! wineserver -k0; then
    start_server 9>&-
  fi
) 9>"$WINEPREFIX/lock" </dev/null >/dev/null 2>&1

if [ ! -f "$WINEPREFIX/ready" ]; then
  echo "wine.sh: Wine could not make its prefix $WINEPREFIX" >&2
  exit 127
fi
[ $# -gt 0 ] || exit 0
exec $fixed "$wine" "$@"
