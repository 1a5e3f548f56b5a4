#!/bin/sh
# The main job: sh cmake/demo.sh
# Installs what is missing, builds the release preset, then runs an echo server and an echo client
# in two processes over every path and engine, and prints one table:
#   p50, p99    64-byte round trip in microseconds, one connection, one request at a time
#   messages/s  64-byte echoes, 64 connections, 8 requests in flight on each
#   bulk MB/s   64 KiB echoes, 4 connections, 4 requests in flight on each; payload, one direction
# The client compares every byte. The exit status is 0 when every row worked. Where the cross
# compiler and Wine are, two rows are of the Windows build under Wine.
set -u

top=$(cd "$(dirname "$0")/.." && pwd) || exit 1
cd "$top" || exit 1
sh cmake/packages.sh run || exit 1
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null) || jobs=1

mkdir -p build
if ! { cmake --preset native --log-level=WARNING >/dev/null &&
       cmake --build --preset native -j "$jobs" --target echo_server echo_client \
         >build/demo.log; }; then
  cat build/demo.log >&2
  echo "demo.sh: the build failed" >&2
  exit 1
fi
samples=$top/build/native/samples
windows=$top/build/windows

have_windows() {
  command -v x86_64-w64-mingw32-g++-posix >/dev/null 2>&1 || return 1
  command -v wine64 >/dev/null 2>&1 || [ -x /usr/lib/wine/wine64 ] ||
    command -v wine >/dev/null 2>&1 || return 1
  cmake --preset windows --log-level=WARNING >/dev/null &&
    cmake --build --preset windows -j "$jobs" --target echo_server echo_client \
      >>build/demo.log 2>&1 &&
    sh cmake/wine.sh "$windows/wine" >>build/demo.log 2>&1
}

scratch=$(mktemp -d) || exit 1
server=
stop_signal=TERM
reason=
stop_server() {
  [ -n "$server" ] || return 0
  kill "-$stop_signal" "$server" 2>/dev/null
  wait "$server"
  status=$?
  server=
  reason="the server ended with status $status"
  return "$status"
}
trap 'stop_server; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

# Each of the following says in $reason why it failed.

# start_server ENGINE ENDPOINT: sets $endpoint to where it listens.
start_server() {
  : >"$scratch/server"  # what the server before said must not be taken for this one's word
  stop_signal=TERM
  set -- "$1" --engine "$1" --listen "$2" --loopback "$loopback"
  if [ "$1" = iocp ]; then
    stop_signal=INT  # of all signals the one that Wine passes on
    shift
    set -- sh "$top/cmake/wine.sh" "$windows/wine" "$windows/samples/echo_server.exe" "$@"
  else
    shift
    set -- "$samples/echo_server" "$@"
  fi
  "$@" >"$scratch/server" 2>"$scratch/error" &
  server=$!
  tries=0
  while ! grep -q '^listening on ' "$scratch/server"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 200 ] || ! kill -0 "$server" 2>/dev/null; then
      reason="the server does not listen: $(head -n 1 "$scratch/error")"
      return 1
    fi
    sleep 0.05
  done
  endpoint=$(sed -n '1s/^listening on //p' "$scratch/server" | tr -d '\r')
}

# measure ENGINE OUTPUT ARGUMENT...: one run of the client, which must find nothing wrong.
measure() {
  engine=$1
  output=$2
  shift 2
  set -- --engine "$engine" --connect "$endpoint" --loopback "$loopback" --json "$@"
  if [ "$engine" = iocp ]; then
    set -- sh "$top/cmake/wine.sh" "$windows/wine" "$windows/samples/echo_client.exe" "$@"
  else
    set -- "$samples/echo_client" "$@"
  fi
  timeout 60 "$@" >"$output" 2>"$scratch/error"
  status=$?
  if [ "$status" -ne 0 ]; then
    reason="the client ended with status $status: $(head -n 1 "$scratch/error")"
    return 1
  fi
  if [ "$loopback" = shared_memory ] && ! grep -q '"path":"shared_memory"' "$output"; then
    reason='the bytes did not go through shared memory'
    return 1
  fi
  errors=$(value errors "$output")
  mismatches=$(value mismatches "$output")
  reason="the client counted ${errors:-?} errors and ${mismatches:-?} mismatches"
  [ "$errors" = 0 ] && [ "$mismatches" = 0 ]
}

# value KEY FILE: the number of a key whose name is unique in the client's JSON object.
value() {
  tr -d '\n' <"$2" | sed -n "s/.*\"$1\"[[:space:]]*:[[:space:]]*\([-+0-9.eE]*\).*/\1/p"
}

failed=0
# row NAME ENGINE ENDPOINT [LOOPBACK]
row() {
  name=$1
  engine=$2
  listen=$3
  loopback=${4:-off}
  trips=20000
  [ "$engine" != iocp ] || trips=4000
  if start_server "$engine" "$listen" &&
     measure "$engine" "$scratch/one" --size 64 --connections 1 --depth 1 --count "$trips" &&
     measure "$engine" "$scratch/many" --size 64 --connections 64 --depth 8 --duration 2 &&
     measure "$engine" "$scratch/bulk" --size 65536 --connections 4 --depth 4 --duration 2 &&
     stop_server; then
    awk -v name="$name" -v engine="$engine" \
        -v p50="$(value p50 "$scratch/one")" -v p99="$(value p99 "$scratch/one")" \
        -v rate="$(value requests_per_second "$scratch/many")" \
        -v bytes="$(value bytes_per_second "$scratch/bulk")" 'BEGIN {
      printf "%-16s %-9s %9.1f %9.1f %12.0f %11.0f\n", name, engine, p50, p99, rate, bytes / 1e6
    }'
  else
    failed=$((failed + 1))
    printf '%-16s %-9s FAILED: %s\n' "$name" "$engine" "$reason"
    stop_server || true
  fi
}

printf '%-16s %-9s %9s %9s %12s %11s\n' path engine 'p50 us' 'p99 us' messages/s 'bulk MB/s'
for engine in io_uring epoll; do
  row 'tcp 127.0.0.1' "$engine" 127.0.0.1:0
  if grep -q '^0\{31\}1 ' /proc/net/if_inet6 2>/dev/null; then
    row 'tcp ::1' "$engine" '[::1]:0'
  else
    printf '%-16s %-9s %s\n' 'tcp ::1' "$engine" 'no IPv6 on this machine'
  fi
  row unix "$engine" "unix:$scratch/$engine"
  row 'shared memory' "$engine" 127.0.0.1:0 shared_memory
done
if have_windows; then
  row 'tcp 127.0.0.1' iocp 127.0.0.1:0
  row 'shared memory' iocp 127.0.0.1:0 shared_memory
else
  printf '%-16s %-9s %s\n' 'shared memory' iocp 'no cross compiler or no Wine on this machine'
fi
[ "$failed" -eq 0 ]
