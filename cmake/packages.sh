#!/bin/sh
# Installs the Debian packages that are missing: packages.sh run|test|ci|bench
#   run   what building and running the samples needs
#   test  also what the tests need: OpenSSL, cross compiler, Wine, what builds OpenSSL for Windows
#   ci    also the second compiler
#   bench what building and running the samples needs, and the peers they are measured against
# Silent and quick when nothing is missing. Works as root or through sudo. The package lists are
# refreshed only when a package cannot be found or fetched with the lists that are there.
set -eu

packages='cmake doctest-dev g++ libboost1.81-dev liburing-dev ninja-build'
case ${1:-} in
  run) ;;
  test)
    packages="$packages g++-mingw-w64-x86-64-posix libssl-dev make nftables perl"
    packages="$packages wine wine64" ;;
  ci)
    packages="$packages clang-19 g++-mingw-w64-x86-64-posix libclang-rt-19-dev libssl-dev make"
    packages="$packages nftables perl spin wine wine64" ;;
  bench)
    packages="$packages libbenchmark-dev libevent-dev libuv1-dev libzmq3-dev python3 redis-server"
    packages="$packages strace" ;;
  *) echo "usage: packages.sh run|test|ci|bench" >&2; exit 2 ;;
esac

if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-query >/dev/null 2>&1; then
  echo "packages.sh: this is not a Debian system; going on with what is installed." >&2
  echo "packages.sh: the Debian names of what is needed: $packages" >&2
  exit 0
fi

# missing_of NAME...: those of the packages that are not installed.
missing_of() {
  for package in "$@"; do
    state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) || state=
    [ "$state" = installed ] || printf '%s ' "$package"
  done
}

missing=$(missing_of $packages)
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then
    echo "packages.sh: not root and no sudo; install these first: $missing" >&2
    exit 1
  fi
  as_root=sudo
fi

apt() {
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@"
}

echo "Installing Debian packages: $missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! apt install --no-install-recommends $missing >"$log" 2>&1; then
  apt update >"$log" 2>&1 || true
  # One at a time: a package that cannot be had keeps none of the others away.
  for package in $missing; do
    apt install --no-install-recommends "$package" >>"$log" 2>&1 || true
  done
fi

missing=$(missing_of $missing)
if [ -n "$missing" ]; then
  grep -E '^(E|W|Err)[: ]' "$log" >&2 || tail -n 5 "$log" >&2
  echo "packages.sh: cannot install: $missing" >&2
  exit 1
fi
