#!/bin/sh
# kv_server against redis-server, both on one thread, in turn: kv_against_redis.sh KV_SERVER
# Prints the requests a second of each run and, for each test, the ratio of the medians. Needs
# redis-server and redis-benchmark. ROUNDS (5), REQUESTS (200000), CLIENTS (50), ENGINE.
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
started="$started $!"
while ! grep -q listening "$folder/kv"; do kill -0 $! || exit 1; done
kv_port=$(sed -n 's/.*://p' "$folder/kv")

# Redis takes no port 0: try some.
redis_port=$kv_port
while :; do
  redis_port=$((redis_port + 7))
  [ $redis_port -lt 65536 ] || redis_port=20000
  redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --appendonly no --io-threads 1 \
    >"$folder/redis" 2>&1 &
  redis=$!
  until redis-cli -p "$redis_port" ping >/dev/null 2>&1; do kill -0 $redis 2>/dev/null || break; done
  if kill -0 $redis 2>/dev/null; then break; fi
done
started="$started $redis"

for depth in 1 16; do
  for test in ping_mbulk set get incr mset; do
    for round in $(seq "$rounds"); do
      for server in kv redis; do
        eval "port=\$${server}_port"
        rate=$(redis-benchmark -p "$port" -t "$test" -n "$requests" -c "$clients" -P "$depth" \
          --csv 2>>"$folder/errors" | awk -F'"' 'NR > 1 { rate = $4 } END { print rate }')
        echo "$server $depth $test $rate"
      done
    done
  done
done | tee "$folder/runs" | sed 's/^/run: /'

sort -k1,1 -k2,2n -k3,3 -k4,4n "$folder/runs" | awk '
  { key = $2 " " $3; n = ++count[$1, key]; value[$1, key, n] = $4; keys[key] = 1 }
  function median(who, key) { return value[who, key, int((count[who, key] + 1) / 2)] }
  END { for (key in keys)
    printf "depth %s: kv_server %d, redis-server %d, ratio %.2f\n", key, median("kv", key),
      median("redis", key), median("kv", key) / median("redis", key) }' | sort
if [ -s "$folder/errors" ]; then
  echo 'errors:' && cat "$folder/errors"
  exit 1
fi
