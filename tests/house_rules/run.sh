#!/bin/sh
# What a machine can check of how this code looks: run.sh [TREE]
# Each rule prints the places that break it; the last line has the totals. self_test.sh shows that
# every rule can fail. Only awk and grep are used; columns are counted in characters.
set -u
LC_ALL=C
export LC_ALL

tree=${1:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$tree" || exit 1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

if git rev-parse --show-toplevel >/dev/null 2>&1 && [ -e .git ]; then
  git ls-files --cached --others --exclude-standard
else
  find . \( -name build -o -name .git \) -prune -o -type f -print | sed 's#^\./##'
fi | sort | while read -r file; do
  [ -f "$file" ] && echo "$file"
done >"$scratch/files"

files() { grep -E "$1" "$scratch/files"; }
code='\.(cpp|hpp)$'
script='(\.(sh|cmake|cmake\.in)|CMakeLists\.txt|^\.ci/run)$'

: >"$scratch/verdicts"
# rule SENTENCE: reads the violations from standard input. It ends a pipeline, so it runs in a shell
# of its own and leaves its verdict in a file.
rule() {
  cat >"$scratch/found"
  if [ -s "$scratch/found" ]; then
    echo failed >>"$scratch/verdicts"
    echo "broken: $1"
    sed 's/^/  /' "$scratch/found"
  else
    echo passed >>"$scratch/verdicts"
  fi
}

# each PATTERN AWK: runs an awk program over each file whose path matches; it may use FILENAME.
each() {
  files "$1" | while read -r file; do awk "$2" "$file"; done
}

# hits PATHS TEXT: the lines that match an extended regular expression.
hits() {
  files "$1" | while read -r file; do grep -nHE -e "$2" "$file"; done
}

top='CMakeLists\.txt|CMakePresets\.json|README\.md|LICENSE|vcpkg\.json'
top="$top|lib|include|samples|tests|cmake|\..*"
sed 's#/.*##' "$scratch/files" | sort -u | grep -vxE "$top" |
  rule 'the top level is a fixed list'

each "$code|$script" 'END { if (NR > 600) print FILENAME ": " NR " lines" }' |
  rule 'no file is longer than 600 lines'

each "$code|$script" '{ gsub(/[\200-\277]/, "")
  if (length($0) > 100) print FILENAME ":" FNR ": " length($0) " columns" }' |
  rule 'no line is longer than 100 columns'

# A function outside a class starts in the first column and ends with a brace alone there.
each "$code" '/^[^ \t#\/}{]/ && fresh { start = FNR }
  { fresh = /^$/ || /^}/ || /^\/\// || /^#/ }
  $0 == "}" && start { if (FNR - start - 1 > 70)
    print FILENAME ":" start ": " FNR - start - 1 " lines"; start = 0 }' |
  rule 'no function is longer than 70 lines'

hits "$code|$script" 'TO[D]O|FIX[M]E|XX[X]|not implemente[d]|unimplemente[d]' |
  rule 'nothing is left open'

hits "$code|$script" '(^|[^a-z./])/(wor[k]|hom[e]|roo[t])/' | rule 'no path of one machine'

files '^include/' | grep -v '\.hpp$' | rule 'everything under include is a header'

names='windows|winsock2?|ws2tcpip|mswsock|winternl|ntstatus|io|unistd|fcntl|poll|netdb|signal'
names="(($names|pthread|sched|liburing)\.h|(sys|netinet|arpa|net|linux|liburing)/)"
hits '^include/' "#[ \t]*include[ \t]*<$names" |
  rule 'no public header includes an OS header'

hits '^include/' '#[ \t]*include[ \t]*"' | rule 'public headers are included with <>'

each '^include/.*\.hpp$' '!/^(#ifndef|#define|#pragma once)/ && NF { body = 1 }
  /^\/\// && !ended { comment++ }
  body && comment && !/^\/\// { ended = 1 }
  /^(#include|namespace)/ && !ended { ended = 1 }
  END { least = FILENAME ~ /\/detail\// ? 1 : 3
    if (comment < least || comment > 24) print FILENAME ": " comment + 0 " lines" }' |
  rule 'a public header opens by saying what it is, in 3 to 24 lines'

each '\.hpp$' '/^#pragma once/ || /^#ifndef FAIRWAY_/ { guarded = 1 }
  END { if (!guarded) print FILENAME }' |
  rule 'every header is guarded'

hits '^(include|lib)/.*\.hpp$' '^#[ \t]*define[ \t]+' | grep -vE 'define[ \t]+FAIRWAY_' |
  rule 'macros in headers begin with FAIRWAY_'

files '^lib/.*\.cpp$' | while read -r file; do
  stem=${file%.cpp}
  name=${stem##*/}
  public=include/fairway/${stem#lib/}.hpp
  [ -f "$stem.hpp" ] || [ -f "$public" ] || continue
  first=$(grep -m 1 -E '^#[ \t]*include' "$file")
  case $first in
    *[/\"\<]"$name".hpp[\"\>]*) ;;
    *) echo "$file: $first" ;;
  esac
done | rule 'a source includes its own header first'

each '^(include|lib)/' '
  BEGIN { call = "[a-z_)\\]](\\.|->)(load|store|exchange|fetch_[a-z]+|compare_exchange_[a-z]+)\\(" }
  /^[ \t]*\/\// { next }
  !open && $0 ~ call { open = FNR; text = "" }
  open { text = text $0 }
  open && /;|\{/ { if (text !~ /memory_order/) print FILENAME ":" open; open = 0 }' |
  rule 'an atomic names its order'

# GCC 12 destroys the temporaries of such a condition twice, whatever the library.
hits "$code" '(^|[^A-Za-z_])while \(!?co_await ' |
  rule 'a loop names what its condition awaits'

hits '^tests/.*'"$code" 'sleep_(for|until)|[Ss]leep(Ex)?[(]' |
  rule 'no test sleeps'

hits '^tests/.*'"$code" '(open|bind|listen)[(].*(:[1-9][0-9]*"|_v[46][(][1-9])' |
  rule 'no test listens on a fixed port'

# A folder below holds what one backend alone needs.
for backend in epoll io_uring iocp; do
  files "^lib/engine/$backend/[^/]*\.cpp$" | sed 's#.*/##' >"$scratch/$backend"
done
if [ -s "$scratch/epoll" ] && [ -s "$scratch/io_uring" ] && [ -s "$scratch/iocp" ]; then
  sort "$scratch/epoll" "$scratch/io_uring" "$scratch/iocp" | uniq -c |
    awk '$1 != 3 { print $2 ": in " $1 " of 3 folders" }'
fi | rule 'the three backends have equal file names'

# listed LIST FOLDER: the sources below the folder whose name the CMake list does not have.
listed() {
  files "^$2/.*\.cpp$" | grep -vE '^tests/(consume|house_rules)/' | while read -r file; do
    name=${file#"$2"/}
    case $2 in
      lib) ;;
      *) name=${name%.cpp}; name=${name##*/} ;;
    esac
    grep -qE "(^|[^A-Za-z0-9_])$(printf %s "$name" | sed 's/\./\\./g')([^A-Za-z0-9_.]|\$|\\.cpp)" \
      "$1" 2>/dev/null || echo "$file"
  done
}
{
  listed lib/CMakeLists.txt lib
  listed samples/CMakeLists.txt samples
  cat tests/CMakeLists.txt tests/bench/CMakeLists.txt >"$scratch/tests" 2>/dev/null
  listed "$scratch/tests" tests
} | rule 'every source is in its CMake list'

# A sample marks its quotation with two lines `// [README name]`; README has `<!-- FILE name -->`
# before the block of code.
if [ -f README.md ]; then
  grep -oE '^<!-- [^ ]+ [^ ]+ -->' README.md | while read -r _ file name _; do
    awk -v mark="// [README $name]" '$0 == mark { inside = !inside; next } inside' "$file" \
      >"$scratch/quoted" 2>/dev/null
    awk -v mark="<!-- $file $name -->" '
      $0 == mark { found = 1; next }
      found && /^```/ { if (inside) exit; inside = 1; next }
      inside' README.md >"$scratch/readme"
    [ -s "$scratch/quoted" ] && cmp -s "$scratch/quoted" "$scratch/readme" ||
      echo "README.md: the block '$name' differs from $file"
  done
fi | rule 'the code in README is cut from compiled samples'

# A table of README that begins with `| `NAME` | default |` has a row for every field of struct
# NAME, with the field in backquotes.
if [ -f README.md ]; then
  grep -oE '^\| `[a-z_]+` \| default \|' README.md | sed 's/^| `//; s/`.*//' |
    while read -r name; do
      file=$(files '^include/.*\.hpp$' | while read -r f; do
        grep -qx "struct $name {" "$f" && echo "$f"
      done)
      [ -n "$file" ] || { echo "README.md: there is no struct $name"; continue; }
      awk -v name="$name" '$0 == "struct " name " {" { inside = 1; next }
        $0 == "};" { inside = 0 }
        inside && /^  [^ \/].*;/ && !/^  using / {
          sub(/( =|\{|;).*/, ""); sub(/.*[ >*&]/, ""); print }' "$file" |
        while read -r field; do
          awk -v head="| \`$name\` | default |" -v field="\`$field\`" '
            index($0, head) == 1 { inside = 1 }
            !/^\|/ { inside = 0 }
            inside && index($0, field) { found = 1 }
            END { exit !found }' README.md || echo "README.md: $name has no row for $field"
        done
    done
fi | rule 'the tables of options in README have a row for every field'

awk '{ count[$1]++ } END { print count["passed"] + 0 " passed, " count["failed"] + 0 " failed"
  exit count["failed"] > 0 }' "$scratch/verdicts"
