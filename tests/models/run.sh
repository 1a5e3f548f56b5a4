#!/bin/sh
# Checks the Promela models with spin, exhaustively at the sizes below, and shows that each mutation
# that their heads list is found: run.sh [SPIN]. Without spin it says SKIP and succeeds. About a
# minute on one core; larger sizes are for a person who changes the protocol.
set -u
here=$(cd "$(dirname "$0")" && pwd)
spin=${1:-spin}
if ! command -v "$spin" >/dev/null 2>&1 || ! command -v gcc >/dev/null 2>&1; then
  echo 'SKIP: needs spin and gcc'
  exit 0
fi
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
failed=0

# check holds|breaks MODEL DEFINITION...
check() {
  expected=$1 model=$2
  shift 2
  rm -f pan pan.c ./*.trail
  "$spin" -a "$@" "$here/$model.pml" >spin.log 2>&1 &&
    gcc -O2 -w -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m1000000 >pan.log 2>&1
  errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log)
  states=$(sed -n 's/ *\([0-9.e+]*\) states, stored/\1/p' pan.log)
  whole=yes
  grep -qE 'max search depth too small|out of memory|Search not completed' pan.log && whole=no
  found=neither
  [ "$errors" = 0 ] && [ $whole = yes ] && found=holds
  [ "${errors:-0}" -gt 0 ] && found=breaks
  verdict=ok
  if [ $found != "$expected" ]; then
    verdict=WRONG
    failed=1
    tail -n 5 spin.log pan.log
  fi
  printf '%-6s %-6s %10s states  %s %s\n' "$verdict" "$found" "${states:-?}" "$model" "$*"
}

check holds switch -DN=1
for mutation in SHUT EOF FIN REVOKE INFLIGHT USE; do
  check breaks switch -DN=1 -DBUG_$mutation
done
for mutation in EARLYDB CLOSE ORDER; do
  check breaks switch -DN=1 -DTCPBELL -DBUG_$mutation
done
check holds doorbell -DM=4
check holds doorbell -DM=4 -DCAP=4 -DLOW=2
check holds doorbell -DM=4 -DTCPBELL
for mutation in NOFENCE_P NOFENCE_C NORECHECK_C NORECHECK_P EDGE_DROP; do
  check breaks doorbell -DM=4 -D$mutation
done
check breaks doorbell -DM=4 -DTCPBELL -DNAIVE_DISARM
# Bells by the link (Linux) are not counted: a plain disarm will do, and one too many is harmless.
check holds doorbell -DM=4 -DNAIVE_DISARM
check holds doorbell -DM=4 -DNAIVE_DISARM -DSPURIOUS
check holds bells
check holds bells -DCAP=2
for mutation in REARM PLAIN CLOSE LOOK; do
  check breaks bells -DBUG_$mutation
done
check holds views
check holds views -DCAP=5 -DWANT=3
check holds views -DANY_FIRST
for mutation in FREE ANY HELD FENCE; do
  check breaks views -DBUG_$mutation
done
exit $failed
