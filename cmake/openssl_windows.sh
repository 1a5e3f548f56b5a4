#!/bin/sh
# OpenSSL for the Windows build, which Debian has no package of: openssl_windows.sh FOLDER
# Takes the source of Debian's openssl package, builds its two libraries by mingw-w64, static and
# without what the tests do not use, and puts them and the headers into FOLDER, once. Takes about
# two minutes. The exit status is not 0, with the reason, when there is no source or no compiler.
set -eu

mkdir -p "$1"
folder=$(cd "$1" && pwd)
[ ! -f "$folder/ready" ] || exit 0
for program in apt-get make perl tar x86_64-w64-mingw32-gcc-posix; do
  if ! command -v "$program" >/dev/null 2>&1; then
    echo "openssl_windows.sh: $program is not installed" >&2
    exit 1
  fi
done

release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null) || jobs=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "openssl_windows.sh: $1" >&2
  tail -n 5 "$work/log" >&2
  exit 1
}

# Debian's signed list of sources, apart from the machine's own lists.
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb-src [signed-by=$keys] http://deb.debian.org/debian $release main" >"$work/sources.list"
sources() {
  apt-get -q -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- \
    -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o Acquire::Retries=3 \
    -o APT::Sandbox::User="$(id -un)" "$@" >"$work/log" 2>&1
}
cd "$work"
sources update || fail 'cannot read the list of sources'
sources source --download-only openssl || fail 'cannot fetch the source of openssl'
tar -xzf openssl_*.orig.tar.gz || fail 'the source is not what was expected'
cd openssl-*/

left_out='aria async blake2 bf camellia cast cmp cms comp ct dsa dso dtls ec2m engine gost idea
  legacy md4 mdc2 module ocsp psk rc2 rc4 rfc3779 rmd160 scrypt seed shared siphash sm2 sm3 sm4 sock
  srp ssl3 tests tls1 tls1_1 ts ui-console whirlpool'
tools=x86_64-w64-mingw32
compiler="${CMAKE_CXX_COMPILER_LAUNCHER:+$CMAKE_CXX_COMPILER_LAUNCHER }$tools-gcc-posix"
# shellcheck disable=SC2046
CC=$compiler AR=$tools-ar RANLIB=$tools-ranlib RC=$tools-windres \
  ./Configure mingw64 CFLAGS=-O1 $(printf ' no-%s' $left_out) \
  >"$work/log" 2>&1 || fail 'cannot configure'
{ make -j"$jobs" build_generated && make -j"$jobs" libcrypto.a libssl.a; } >"$work/log" 2>&1 ||
  fail 'cannot build'

mkdir -p "$folder/lib"
cp -R include "$folder/"
cp libcrypto.a libssl.a "$folder/lib/"
: >"$folder/ready"
