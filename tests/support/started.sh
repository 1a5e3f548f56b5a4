# What scripts that run servers share: `. started.sh` gives them $scratch, a folder, and start.
# Folder and servers go with the script.
scratch=$(mktemp -d)
started=''
finish() {
  for pid in $started; do kill "$pid" 2>/dev/null || true; done
  rm -rf "$scratch"
}
trap finish EXIT

# start NAME COMMAND ARGUMENT...: a server that says where it listens. Leaves its process in $last
# and the endpoint in $where; what it says is in $scratch/NAME and $scratch/NAME.log.
start() {
  said=$scratch/$1
  shift
  : >"$said"
  "$@" >"$said" 2>"$said.log" &
  last=$!
  started="$started $last"
  until grep -q '^listening on ' "$said"; do kill -0 "$last"; done
  where=$(sed -n 's/^listening on //p' "$said")
}
