#!/bin/sh
# Every house rule can fail: in a tree that breaks all of them, run.sh must report all of them.
set -u

here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d) || exit 1
trap 'rm -rf "$tree"' EXIT
cd "$tree" || exit 1
mkdir -p include/fairway lib/engine/epoll lib/engine/io_uring lib/engine/iocp samples tests/net doc

: >doc/stray.txt
: >include/fairway/stray.txt
cat >include/fairway/bad.hpp <<'END'
#include <sys/socket.h>
#include "fairway/other.hpp"
#define UNPREFIXED 1
END
{
  echo '#include <vector>'
  echo '#include <fairway/bad.hpp>'
  echo 'void long_function() {'
  awk 'BEGIN { for (i = 0; i < 601; i++) print "  work();" }'
  echo '}'
  echo "// TO""DO: /ho""me/somebody/file"
  awk 'BEGIN { for (i = 0; i < 101; i++) printf "/"; print "" }'
  echo 'int read() { return counter_.load(); }'
} >lib/bad.cpp
: >lib/engine/epoll/accept.cpp
: >lib/engine/io_uring/accept.cpp
: >lib/engine/iocp/connect.cpp
{
  echo 'std::this_thread::sleep_for(1ms);'
  echo 'while (co_await s.async_write(bytes)) ++n;'
  echo 'listener::open(port, endpoint::loopback_v4(8080));'
} >tests/net/bad.cpp
: >samples/bad.cpp
printf '%s\n' '<!-- samples/bad.cpp echo -->' '```cpp' 'int main();' '```' \
  '| `bad_options` | default | |' >README.md

rules=$(grep -cE "rule '" "$here/run.sh")
verdict=$(sh "$here/run.sh" "$tree" | tail -n 1)
if [ "$verdict" != "0 passed, $rules failed" ]; then
  sh "$here/run.sh" "$tree"
  echo "expected all $rules rules to fail, got: $verdict" >&2
  exit 1
fi
echo "each of the $rules rules can fail"
