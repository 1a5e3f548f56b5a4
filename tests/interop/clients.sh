#!/bin/sh
# Clients that others wrote drive the samples: clients.sh SAMPLES ENGINE
# curl, wrk and ab ask http_server, also through relay; redis-cli and redis-benchmark ask kv_server.
# At the end each server drains on a signal. A client that is not installed is left out.
set -eu

samples=$1
engine=$2
. "$(dirname "$0")/../support/started.sh"

# serve PROGRAM ARGUMENT...
serve() {
  program=$1
  shift
  start "$program" "$samples/$program" --engine "$engine" --listen 127.0.0.1:0 "$@"
}

wrong=0
# same WHAT EXPECTED ACTUAL
same() {
  [ "$2" = "$3" ] || { echo "$1: '$3' and not '$2'"; wrong=1; }
}
# has WHAT PATTERN, lacks WHAT PATTERN: of what the last client said.
has() { grep -qE "$2" "$scratch/said" || { echo "$1: no '$2'"; cat "$scratch/said"; wrong=1; }; }
lacks() { ! grep -E "$2" "$scratch/said" || { echo "$1: '$2'"; wrong=1; }; }
# ends WHAT PID: drains it.
ends() {
  kill "$2"
  wait "$2" || { echo "$1 ended with $?"; wrong=1; }
}
installed() {
  command -v "$1" >/dev/null 2>&1 || { echo "SKIP: no $1 here"; return 1; }
}

ask() { curl -sS --max-time 30 "$@"; }
status() { ask -o "$scratch/answer" -w '%{http_code}' "$@"; }

with_curl() {
  body=$scratch/body
  head -c 12000000 /dev/urandom >"$body"
  same 'two requests, one connection' '1 0 ' \
    "$(ask -o "$scratch/one" -o "$scratch/two" -w '%{num_connects} ' "http://$1/" "http://$1/")"
  same 'HEAD' 200 "$(status -I "http://$1/")"
  same 'no such page' 404 "$(status "http://$1/none")"
  same 'no such method there' 405 "$(status -X DELETE "http://$1/")"
  same 'malformed' 400 "$(status -X 'B@D{' "http://$1/")"
  same 'a large header' 431 \
    "$(status -H "x: $(head -c 20000 /dev/zero | tr '\0' x)" "http://$1/")"
  same 'a body over the limit' 413 "$(status -H 'content-length: 70000000' -d x "http://$1/echo")"
  ask -v -H 'expect: 100-continue' --data-binary "@$body" -o "$scratch/answer" "http://$1/echo" \
    2>"$scratch/said"
  has 'a body that asks first' '< HTTP/1.1 100 Continue'
  cmp "$body" "$scratch/answer" || wrong=1
  ask "http://$1/metrics" | tail -n 1 >"$scratch/said"
  has 'metrics' '^# EOF'
}

# An answer that has begun arrives whole although the relay in between drains.
with_draining_relay() {
  : >"$scratch/answer"
  ask --limit-rate 12M --data-binary "@$scratch/body" -o "$scratch/answer" "http://$1/echo" &
  client=$!
  until [ -s "$scratch/answer" ]; do kill -0 "$client"; done
  ends relay "$2"
  wait "$client" || { echo 'the answer was cut'; wrong=1; }
  cmp "$scratch/body" "$scratch/answer" || wrong=1
}

serve http_server
http=$last address=$where
if installed curl; then
  with_curl "$address"
  serve relay --connect "$address"
  with_curl "$where"
  with_draining_relay "$where" "$last"
fi
if installed wrk; then
  wrk -t 1 -c 20 -d 1 "http://$address/" >"$scratch/said" 2>&1 || wrong=1
  has wrk 'requests in'
  lacks wrk 'Socket errors|Non-2xx'
fi
if installed ab; then
  ab -q -k -n 2000 -c 20 "http://$address/" >"$scratch/said" 2>&1 || wrong=1
  has ab 'Complete requests: *2000'
  has ab 'Failed requests: *0'
  lacks ab 'Non-2xx'
fi
ends http_server "$http"

serve kv_server
kv=$last port=${where##*:}
if installed redis-cli; then
  same ping PONG "$(redis-cli -p "$port" ping)"
  same set OK "$(redis-cli -p "$port" set key 'a value')"
  same get 'a value' "$(redis-cli -p "$port" get key)"
  redis-cli -p "$port" get >"$scratch/said" 2>&1 || true
  has 'an argument too few' "^ERR wrong number of arguments for 'get' command"
  seq 5000 | sed 's/.*/SET key& value&\r/' | redis-cli -p "$port" --pipe >"$scratch/said" 2>&1
  has pipe 'errors: 0, replies: 5000'
  same 'after the pipe' value5000 "$(redis-cli -p "$port" get key5000)"
  head -c 1000000 /dev/zero | tr '\0' x | redis-cli -p "$port" -x set large >/dev/null
  redis-cli -p "$port" mget $(seq 100 | sed 's/.*/large/') >"$scratch/said" 2>&1 || true
  has 'too much at once' '^ERR the reply would be too large'
  same 'after that' PONG "$(redis-cli -p "$port" ping)"
fi
if installed redis-benchmark; then
  for depth in 1 16; do
    redis-benchmark -p "$port" -q -n 2000 -c 20 -P "$depth" -t ping,set,get,incr,mset \
      >"$scratch/said" 2>&1 || wrong=1
    has redis-benchmark 'MSET.*requests per second'
    lacks redis-benchmark '[Ee]rror|WARN'
  done
fi
ends kv_server "$kv"
for server in http_server relay kv_server; do
  [ ! -s "$scratch/$server.log" ] || grep -q ': drained, ' "$scratch/$server.log" || {
    cat "$scratch/$server.log"
    wrong=1
  }
done
exit $wrong
