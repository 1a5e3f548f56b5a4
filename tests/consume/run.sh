#!/bin/sh
# Two outside projects: one finds Fairway in an installed prefix, as a static and as a shared
# library, one contains its sources. Everything is built and run in a directory of its own.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null) || jobs=1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# project SOURCE BUILD ARGUMENT...: configure and build.
project() {
  source=$1
  build=$2
  shift 2
  cmake -S "$source" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_UNITY_BUILD=ON \
    --log-level=WARNING "$@" >"$scratch/log" 2>&1 &&
    cmake --build "$build" -j "$jobs" >>"$scratch/log" 2>&1 ||
    { cat "$scratch/log" >&2; return 1; }
}

run() {
  printf '%s: ' "$1"
  timeout 60 "$2/consumer"
}

for kind in static shared; do
  shared=$([ "$kind" = shared ] && echo ON || echo OFF)
  project "$top" "$scratch/$kind" -DBUILD_SHARED_LIBS="$shared" \
    -DFAIRWAY_BUILD_TESTS=OFF -DFAIRWAY_BUILD_SAMPLES=OFF
  cmake --install "$scratch/$kind" --prefix "$scratch/$kind-prefix" >"$scratch/log"
  # The headers and the package must not lean on the tree that they came from.
  if grep -rlF -e "$top" -e "$scratch" "$scratch/$kind-prefix/include" \
      "$scratch/$kind-prefix"/lib*/cmake; then
    echo "the installed files above name the build tree" >&2
    exit 1
  fi
  project "$here/find_package" "$scratch/find_$kind" \
    -DCMAKE_PREFIX_PATH="$scratch/$kind-prefix"
  run "find_package, $kind" "$scratch/find_$kind"
done

project "$here/add_subdirectory" "$scratch/add_subdirectory"
run add_subdirectory "$scratch/add_subdirectory"
echo '3 passed, 0 failed'
