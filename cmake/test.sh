#!/bin/sh
# The whole test suite: sh cmake/test.sh
# Installs what is missing, builds and tests natively on io_uring and on epoll, then builds for
# Windows and tests that under Wine. The last line has the totals; the exit status is 0 when both
# lanes were built and nothing failed. FAIRWAY_CMAKE_ARGS adds arguments to both configurations.
set -u

top=$(cd "$(dirname "$0")/.." && pwd) || exit 1
cd "$top" || exit 1
sh cmake/packages.sh test || exit 1
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null) || jobs=1

passed=0
failed=0
skipped=0
broken=''

# count FILE ATTRIBUTE: a total from the opening element of a JUnit file.
count() {
  sed -n "/<testsuite /,/>/s/.*[[:space:]]$2=\"\([0-9]*\)\".*/\1/p" "$1" | head -n 1
}

# lane PRESET: configure, build, test, add up.
lane() {
  echo
  echo "== $1"
  report="$top/build/$1/tests.xml"
  rm -f "$report"
  if [ "$1" = windows ] && ! sh cmake/openssl_windows.sh "$top/build/windows/openssl"; then
    echo "windows: SKIP: TLS under Wine: OpenSSL cannot be built for it here"
  fi
  # shellcheck disable=SC2086
  if ! { cmake --preset "$1" --log-level=WARNING ${FAIRWAY_CMAKE_ARGS:-} >/dev/null &&
         cmake --build --preset "$1" -j "$jobs"; }; then
    echo "test.sh: the $1 build failed" >&2
    broken="$broken $1"
    return
  fi
  if [ "$1" = windows ] && ! sh cmake/wine.sh "$top/build/windows/wine"; then
    echo "test.sh: Wine cannot make its prefix in build/windows/wine" >&2
    broken="$broken $1"
    return
  fi
  ctest --preset "$1" -j "$jobs" --output-junit "$report" --test-output-size-passed 65536
  status=$?
  if [ ! -f "$report" ]; then
    broken="$broken $1"
    return
  fi
  total=$(count "$report" tests)
  bad=$(count "$report" failures)
  not_run=$(count "$report" disabled)
  lane_skipped=$(($(count "$report" skipped) + not_run))
  passed=$((passed + total - bad - lane_skipped))
  failed=$((failed + bad))
  skipped=$((skipped + lane_skipped))
  if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
    broken="$broken $1"
  fi
  # What a case could not try here is said aloud, with its reason.
  sed -n 's/.*\(SKIP: .*\)/\1/p' "$report" | sort | uniq -c | sed "s/^/$1: /"
}

lane native
lane windows

echo
[ -z "$broken" ] || echo "test.sh: did not run to the end:$broken"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ -z "$broken" ]
