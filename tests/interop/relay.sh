#!/bin/sh
# An echo goes through two relays in a row, by TCP and by shared memory: relay.sh SAMPLES ENGINE
# The client compares every byte; each side must have been on the path that was asked for.
set -eu

samples=$1
engine=$2
. "$(dirname "$0")/../support/started.sh"

# serve NAME PROGRAM ARGUMENT...
serve() {
  name=$1 program=$2
  shift 2
  start "$name" "$samples/$program" --engine "$engine" --loopback "$policy" "$@" \
    --listen 127.0.0.1:0
}

try() {
  policy=$1 path=$2
  serve server echo_server
  serve near relay --verbose --connect "$where"
  serve far relay --verbose --connect "$where"
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
