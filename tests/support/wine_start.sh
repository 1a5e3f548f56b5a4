#!/bin/sh
# Whether a program runs under Wine at addresses that are not random: wine_start.sh WINE_SH PREFIX
# At random ones a start in 8,000 ends at once, where the heap lies on a page that Wine needs.
set -u

if ! setarch -R true 2>/dev/null; then
  echo "SKIP: this system does not let a program fix its addresses"
  exit 77
fi
trap '' PIPE  # Wine may end before it reads
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
mkfifo "$folder/in" "$folder/out" || exit 1

# A shell that has answered has been started whole.
sh "$1" "$2" cmd.exe /q <"$folder/in" >"$folder/out" &
pid=$!
exec 3>"$folder/in" 4<"$folder/out"
printf 'echo started\r\n' >&3
while read -r line <&4; do
  case $line in *started*) break ;; esac
done
# By the parent itself: nobody else may look everywhere.
read -r personality <"/proc/$pid/personality" || personality=
printf 'exit\r\n' >&3
exec 3>&-
cat <&4 >/dev/null
wait "$pid"

# ADDR_NO_RANDOMIZE, 0x0040000.
case $personality in
  ???[4567cdef]????) echo "fixed addresses: personality $personality" ;;
  '') echo "Wine did not start, or does not show its personality"; exit 1 ;;
  *) echo "random addresses: personality $personality"; exit 1 ;;
esac
