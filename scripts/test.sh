#!/usr/bin/env bash
# Installs what the tests need, builds, runs all tests and ends with the line `N passed, N failed`.
# Exits with 1 if one failed or none ran. Every step has a time limit.
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"
(($# == 0)) || die "usage: scripts/test.sh"
cd "$top"

passed=0 failed=0 skipped=0 failures=()
results=$top/build/test-results
current=
done=0
# Also a run that ends early, because packages or the build failed, ends with the line.
trap '[[ -z $shown_pid$current ]] || stop_process "${shown_pid:-$current}"
  ((done)) || echo "$passed passed, $((failed + 1)) failed"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# run_test SECONDS LOG COMMAND…: output in LOG, and its exit status.
run_test() {
  local limit=$1 log=$2 status=0
  shift 2
  timeout --kill-after=20 "$limit" "$@" >"$log" 2>&1 </dev/null &
  current=$!
  wait "$current" || status=$?
  current=
  ((status != 124)) || echo "not done after $limit s" >>"$log"
  return "$status"
}

# count NAME PASSED FAILED SKIPPED LOG: adds a program's tests and shows how it went.
count() {
  passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
  say "$(printf '%-28s %5d passed, %d failed%s' "$1" "$2" "$3" "$( (($4)) && echo ", $4 skipped")")"
  (($3)) || return 0
  failures+=("$1: $5")
  printf -- '--- from %s\n' "$5"
  reasons "$5" | head -n 120 | grep . || tail -n 40 "$5"
}

# reasons LOG: which tests failed and with what words, of node's TAP, of GoogleTest and of our own checks.
reasons() {
  awk '
    /^not ok/ { print; left = 40; told = 0; next }
    left > 0 {
      if (/^  error:/) told = 1
      else if (/^  (code|name|stack|expected|actual):|^  \.\.\.|^(ok|#)/) left = told ? 0 : left
      if (told && left > 0) { print; left-- }
    }
    /^[^ ]+:[0-9]+: Failure/ { gleft = 12 }
    gleft > 0 { print; gleft-- }
    /^not formatted|^\[  FAILED  \]/ && !seen[$0]++ && gleft <= 0 { print }
  ' "$1"
}

# A check that is one test.
single() { # NAME SECONDS COMMAND…
  local name=$1 limit=$2 log=$results/$1.log
  shift 2
  if run_test "$limit" "$log" "$@"; then count "$name" 1 0 0 "$log"; else count "$name" 0 1 0 "$log"; fi
}

# A program of GoogleTest's. What it says counts only with its exit status: a crash is a failure too.
google_test() {
  local name=${1##*/} status=0 counts
  local log=$results/$name.log json=$results/$name.json
  run_test 1200 "$log" "$1" --gtest_color=no --gtest_output="json:$json" || status=$?
  counts=$(python3 - "$json" "$status" <<'PY'
import json, sys
try:
    with open(sys.argv[1]) as file:
        tests = [t for suite in json.load(file)["testsuites"] for t in suite["testsuite"]]
except (OSError, ValueError, KeyError):
    tests = []
failed = sum(1 for t in tests if t.get("failures"))
skipped = sum(1 for t in tests if t.get("result") in ("SKIPPED", "SUPPRESSED") or t.get("status") == "NOTRUN")
passed = len(tests) - failed - skipped
if int(sys.argv[2]) != 0 and failed == 0:
    failed = 1
print(passed, failed, skipped)
PY
  )
  # shellcheck disable=SC2086 # three numbers
  count "$name" $counts "$log"
}

# The tests of a package of npm's in DIRECTORY; node prints "# pass 12" (TAP) or "ℹ pass 12".
node_tests() { # NAME DIRECTORY
  local log=$results/$1.log status=0 p f s
  run_test 1800 "$log" npm --prefix "$2" test || status=$?
  node_count() {
    awk -v "words=$1" '($1 == "#" || $1 == "ℹ") && $2 ~ words && NF == 3 {n += $3} END {print n + 0}' "$log"
  }
  p=$(node_count '^pass$') f=$(node_count '^(fail|cancelled)$') s=$(node_count '^(skipped|todo)$')
  ((status == 0 || f > 0)) || f=1
  count "$1" "$p" "$f" "$s" "$log"
}

install_packages build run test package format
rm -rf "$results"
mkdir -p "$results"
for suite in tests/client tests/browser tests/chart examples/webkit; do
  run_shown "Installing the packages of $suite" 900 "$results/npm-${suite#*/}.log" \
    npm --prefix "$suite" ci --no-audit --no-fund
done
build_release

single format 300 scripts/format.sh --check
mapfile -t programs < <(find build/release/tests -type f -executable -name 'busbar_*' | sort -r)
for program in "${programs[@]}"; do # "unit" before "integration"
  google_test "$program"
done
node_tests client tests/client
node_tests cluster tests/cluster # has the packages of tests/client
node_tests browser tests/browser
node_tests chart tests/chart
node_tests webkit examples/webkit
single package 600 scripts/package.sh --check
single quickstart 1200 scripts/quickstart.sh --check
single webkit-types 300 npm --prefix examples/webkit run check
single webkit-start 1200 examples/webkit/start.sh --check

((${#failures[@]} == 0)) || printf 'failed: %s\n' "${failures[@]}"
((skipped == 0)) || echo "$skipped skipped"
done=1
echo "$passed passed, $failed failed"
((failed == 0 && passed > 0))
