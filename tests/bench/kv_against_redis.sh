#!/bin/sh
# kv_server against redis-server, both on one thread, in turn: kv_against_redis.sh KV_SERVER
# Prints requests a second and the server's CPU microseconds a request of each run and, for each
# test, the medians of both: the rate is that of redis-benchmark where the client is the slower one.
# Needs redis-server and redis-benchmark. ROUNDS (5), REQUESTS (200000), CLIENTS (50), ENGINE.
set -eu

kv=${1:?usage: kv_against_redis.sh KV_SERVER}
rounds=${ROUNDS:-5}
requests=${REQUESTS:-200000}
clients=${CLIENTS:-50}
folder=$(mktemp -d)
started=''
finish() {
  for pid in $started; do kill "$pid" 2>/dev/null || true; done
  rm -rf "$folder"
}
trap finish EXIT

"$kv" --listen 127.0.0.1:0 ${ENGINE:+--engine "$ENGINE"} >"$folder/kv" 2>/dev/null &
kv_pid=$!
started="$started $kv_pid"
while ! grep -q listening "$folder/kv"; do kill -0 $kv_pid || exit 1; done
kv_port=$(sed -n 's/.*://p' "$folder/kv")

# Redis takes no port 0: try some.
redis_port=$kv_port
while :; do
  redis_port=$((redis_port + 7))
  [ $redis_port -lt 65536 ] || redis_port=20000
  redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --appendonly no --io-threads 1 \
    >"$folder/redis" 2>&1 &
  redis_pid=$!
  until redis-cli -p "$redis_port" ping >/dev/null 2>&1; do
    kill -0 $redis_pid 2>/dev/null || break
  done
  if kill -0 $redis_pid 2>/dev/null; then break; fi
done
started="$started $redis_pid"

ticks() {
  awk '{ print $14 + $15 }' "/proc/$1/stat"
}
hertz=$(getconf CLK_TCK)

for depth in 1 16; do
  for test in ping_mbulk set get incr mset; do
    for round in $(seq "$rounds"); do
      for server in kv redis; do
        eval "port=\$${server}_port pid=\$${server}_pid"
        before=$(ticks "$pid")
        rate=$(redis-benchmark -p "$port" -t "$test" -n "$requests" -c "$clients" -P "$depth" \
          --csv 2>>"$folder/errors" | awk -F'"' 'NR > 1 { rate = $4 } END { print rate }')
        spent=$((($(ticks "$pid") - before) * 1000000 / hertz))
        echo "$server $depth $test $rate $(echo "$spent $requests" | awk '{ print $1 / $2 }')"
      done
    done
  done
done | tee "$folder/runs" | sed 's/^/run: /'

awk '
  { key = $2 " " $3; keys[key]; n = ++count[$1, key]; rate[$1, key, n] = $4; cpu[$1, key, n] = $5 }
  function median(list, who, key,    n, i, j, v, t) {
    n = count[who, key]
    for (i = 1; i <= n; ++i) v[i] = list[who, key, i] + 0
    for (i = 2; i <= n; ++i)
      for (j = i; j > 1 && v[j] < v[j - 1]; --j) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
    return v[int((n + 1) / 2)]
  }
  END { for (key in keys) {
    a = median(rate, "kv", key); b = median(rate, "redis", key)
    printf "depth %-14s kv_server %7d/s %5.2f us, redis-server %7d/s %5.2f us, rate ratio %.2f\n",
      key, a, median(cpu, "kv", key), b, median(cpu, "redis", key), a / b } }
  ' "$folder/runs" | sort
if [ -s "$folder/errors" ]; then
  echo 'errors:' && cat "$folder/errors"
  exit 1
fi
