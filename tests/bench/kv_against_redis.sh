#!/bin/sh
# kv_server against redis-server, both on one thread, in turn: kv_against_redis.sh KV_SERVER
# Prints requests a second and the server's CPU microseconds a request of each run and, for each
# cell, the medians of both and of the ratios round by round: many short rounds, as the machine is
# another one a second later. Where redis-benchmark is the slower one the rate is its own.
# The servers are bound to one core and redis-benchmark to another one, where there are two.
# Needs redis-server and redis-benchmark. From the environment: ENGINE, ROUNDS (15), REQUESTS at
# depth 1 (20000; eight times as many at depth 16), and lists: CLIENTS (50 500), DEPTHS (1 16),
# TESTS (ping_mbulk set get incr mset).
set -eu

kv=${1:?usage: kv_against_redis.sh KV_SERVER}
rounds=${ROUNDS:-15}
requests_alone=${REQUESTS:-20000}
on_server='' on_client=''
if [ "$(nproc)" -gt 1 ] && command -v taskset >/dev/null; then
  cores=$(taskset -cp $$ | sed 's/.*: //; s/[-,]/ /g')
  on_server="taskset -c ${cores%% *}" on_client="taskset -c ${cores##* }"
fi
. "$(dirname "$0")/../support/started.sh"

start kv $on_server "$kv" --listen 127.0.0.1:0 ${ENGINE:+--engine "$ENGINE"}
kv_pid=$last
kv_port=${where##*:}

# Redis takes no port 0: try some.
redis_port=$kv_port
while :; do
  redis_port=$((redis_port + 7))
  [ $redis_port -lt 65536 ] || redis_port=20000
  $on_server redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --appendonly no \
    --io-threads 1 >"$scratch/redis" 2>&1 &
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

cell() {
  for round in $(seq "$rounds"); do
    if [ $((round % 2)) -eq 0 ]; then turns='redis kv'; else turns='kv redis'; fi
    for server in $turns; do
      eval "port=\$${server}_port pid=\$${server}_pid"
      before=$(ticks "$pid")
      rate=$($on_client redis-benchmark -p "$port" -t "$test" -n "$requests" -c "$clients" \
        -P "$depth" --csv 2>>"$scratch/errors" |
        awk -F'"' 'NR > 1 { rate = $4 } END { print rate }')
      spent=$((($(ticks "$pid") - before) * 1000000 / hertz))
      echo "$server $depth $clients $test $rate" \
        "$(echo "$spent $requests" | awk '{ print $1 / $2 }')"
    done
  done
}

for depth in ${DEPTHS:-1 16}; do
  requests=$requests_alone
  [ "$depth" -lt 16 ] || requests=$((requests_alone * 8))
  for clients in ${CLIENTS:-50 500}; do
    for test in ${TESTS:-ping_mbulk set get incr mset}; do cell; done
  done
done | tee "$scratch/runs"

awk '
  { key = sprintf("%2d, %3d clients, %s", $2, $3, $4)
    keys[key]; n = ++count[$1, key]; rate[$1, key, n] = $5; cpu[$1, key, n] = $6 }
  function median(list, who, key,    n, i, j, v, t) {
    n = count["kv", key]
    for (i = 1; i <= n; ++i) v[i] = list[who, key, i] + 0
    for (i = 2; i <= n; ++i)
      for (j = i; j > 1 && v[j] < v[j - 1]; --j) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
    return v[int((n + 1) / 2)]
  }
  END { for (key in keys) {
    for (i = 1; i <= count["kv", key]; ++i)
      ratio["", key, i] = rate["kv", key, i] / rate["redis", key, i]
    printf "depth %-26s kv_server %7d/s %5.2f us, redis-server %7d/s %5.2f us, rate ratio %.2f\n",
      key, median(rate, "kv", key), median(cpu, "kv", key), median(rate, "redis", key),
      median(cpu, "redis", key), median(ratio, "", key) } }
  ' "$scratch/runs" | sort
if [ -s "$scratch/errors" ]; then
  echo 'errors:' && cat "$scratch/errors"
  exit 1
fi
