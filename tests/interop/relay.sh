#!/bin/sh
# An echo goes through two relays in a row, by TCP and by shared memory: relay.sh SAMPLES ENGINE
# The client compares every byte; each side must have been on the path that was asked for.
set -eu

samples=$1
engine=$2
scratch=$(mktemp -d)
started=''
finish() {
  for pid in $started; do kill "$pid" 2>/dev/null || true; done
  rm -rf "$scratch"
}
trap finish EXIT

# start NAME PROGRAM ARGUMENT...: leaves where it listens in $where.
start() {
  name=$1
  shift
  : >"$scratch/$name"
  program=$1
  shift
  "$samples/$program" --engine "$engine" --loopback "$policy" "$@" --listen 127.0.0.1:0 \
    >"$scratch/$name" 2>"$scratch/$name.log" &
  last=$!
  started="$started $last"
  until grep -q '^listening on ' "$scratch/$name"; do kill -0 "$last"; done
  where=$(sed -n 's/^listening on //p' "$scratch/$name")
}

try() {
  policy=$1 path=$2
  start server echo_server
  start near relay --verbose --connect "$where"
  start far relay --verbose --connect "$where"
  "$samples/echo_client" --engine "$engine" --loopback "$policy" --connect "$where" --json \
    --connections 4 --depth 4 --size 20000 --random --count 600 >"$scratch/client"
  grep -q '"errors": *0' "$scratch/client"
  grep -q '"mismatches": *0' "$scratch/client"
  grep -q "\"path\": *\"$path\"" "$scratch/client"
  for pid in $started; do kill "$pid"; done
  wait
  started=''
  for relay in near far; do
    [ "$(grep -c "^relayed $path .* to $path " "$scratch/$relay.log")" -eq 4 ] || {
      cat "$scratch/$relay.log"
      exit 1
    }
  done
}

try off tcp
try shared_memory shared_memory
