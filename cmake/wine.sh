#!/bin/sh
# Runs a Windows program under Wine: wine.sh PREFIX PROGRAM [ARGUMENT...]
# PREFIX is made on first use, once, however many programs start at the same time. The server stays
# for a minute after the last program, because a cold start costs two seconds, a warm one a tenth.
# A prefix alone (no PROGRAM) is only made ready.
set -eu

WINEPREFIX=$1
shift
export WINEPREFIX
export WINEDEBUG=-all
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

# Nothing that stays may hold the caller's pipe: whoever reads it would wait for a minute. Wine's
# own processes inherit the output of the program that starts them, so a throw-away one does, here.
start_server() {
  wineserver -p60 || true
  "$wine" wineboot.exe "$@"
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
exec "$wine" "$@"
