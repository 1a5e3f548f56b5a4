#!/bin/sh
# Fairway beside its peers: sh tests/bench/run.sh [--quick] [--only NAME] [--smoke] [--list]
#   --quick      within 5 minutes (without the build): fewer and shorter rounds
#   --only NAME  works and contenders with NAME in their name, or works of a kind: tcp, pair (two
#                processes: the loopback fast path beside TCP and AF_UNIX), micro, key_value, wine
#   --minutes N  of a run that is not quick (75): what is left of them when all works are done goes
#                to the ratios that another run would give otherwise
#   --smoke      the runner's own tests, then every contender once and very short; only whether it
#                answers right is looked at
#   --no-wine    without the Windows build and its contenders
#   --no-build   with what is built already
#   --compare A.json B.json
#                no run: how far two reports (results.json) are apart in the server-CPU ratios; the
#                exit status is 0 when all that both are sure of are within 5 %
# Installs what is missing, builds the contenders in build/native (and build/windows), measures, and
# writes results.json, report.html and chart.svg to build/native/bench. A contender that cannot be
# had is named as not built. runner/markdown.py makes README's tables of a report.
# The exit status is 0 when every contender that is there did its work.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
if [ "${1:-}" = --compare ]; then
  shift
  exec python3 -B "$top/tests/bench/runner/compare.py" "$@"
fi
cd "$top" || exit 1

build=yes
wine=yes
smoke=no
for word in "$@"; do
  shift
  case $word in
    --no-build) build=no ;;
    --no-wine) wine=no ;;
    --smoke) smoke=yes; set -- "$@" "$word" ;;
    --list|--help|-h) build=no; set -- "$@" "$word" ;;
    *) set -- "$@" "$word" ;;
  esac
done

# targets PRESET TARGET...: configures with the benchmarks and builds; the log only on failure.
targets() {
  preset=$1
  shift
  mkdir -p build
  if ! { cmake --preset "$preset" --log-level=STATUS -DFAIRWAY_BENCH=ON >"build/bench.log" 2>&1 &&
         cmake --build --preset "$preset" --target "$@" >>"build/bench.log" 2>&1; }; then
    tail -n 40 build/bench.log >&2
    echo "run.sh: the $preset build failed" >&2
    return 1
  fi
  grep '^-- Benchmarks: ' build/bench.log
  return 0
}

if [ "$build" = yes ]; then
  sh cmake/packages.sh bench ||
    echo "run.sh: going on without what cannot be installed" >&2
  targets native bench kv_server || exit 1
  if [ "$wine" = yes ] && [ "$smoke" = yes ] && [ ! -d build/windows ]; then
    echo 'run.sh: no build/windows: a smoke goes without the contenders under Wine'
    wine=no
  fi
  if [ "$wine" = yes ] && command -v x86_64-w64-mingw32-g++-posix >/dev/null 2>&1; then
    targets windows bench && sh cmake/wine.sh "$top/build/windows/wine" || wine=no
  fi
fi
[ "$wine" = yes ] || set -- "$@" --windows "$top/build/nothing"

runner=$top/tests/bench/runner
if [ "$smoke" = yes ]; then
  python3 -B "$runner/self_test.py" || exit 1
fi

# In a network namespace of its own where that is allowed; runner/quiet.py says why.
outside=$(readlink /proc/self/ns/net 2>/dev/null) || outside=unknown
if unshare --net python3 -B "$runner/quiet.py" --try "$outside" 2>/dev/null; then
  exec unshare --net python3 -B "$runner/main.py" --outside "$outside" "$@"
fi
exec python3 -B "$runner/main.py" "$@"
