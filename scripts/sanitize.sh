#!/usr/bin/env bash
# Builds with sanitizers and runs tests on that build. A sanitizer's report makes it fail, as does a test.
#   scripts/sanitize.sh asan                  AddressSanitizer and UBSan: all programs, all client and cluster tests
#   scripts/sanitize.sh tsan                  ThreadSanitizer: the same
#   scripts/sanitize.sh tsan crowd live       only tests/client/{crowd,live}.test.mjs
#   scripts/sanitize.sh tsan cluster/takeover only tests/cluster/takeover.test.mjs
#   scripts/sanitize.sh asan busbar_unit_sql  only this program of tests/
# Reports and the tests' output stay in build/<preset>/reports. What is suppressed, and why, is in
# tests/sanitizers. The whole takes more than an hour; deadlines of tests with servers are four times as long.
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"
preset=${1:-}
[[ $preset == asan || $preset == tsan ]] || die "usage: scripts/sanitize.sh asan|tsan [client test | cluster/test | program]…"
shift
cd "$top"
build=build/$preset reports=$top/build/$preset/reports
current=
trap '[[ -z $shown_pid$current ]] || stop_process "${shown_pid:-$current}"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# ThreadSanitizer sees an order between two threads only where the code that makes it is instrumented.
# CAF's mailboxes and counters make most of ours, so it runs with Debian's version of CAF, built here.
caf=$top/build/tsan-caf
build_caf() {
  local version sources=$caf/sources
  [[ ! -e $caf/lib/libcaf_core.so ]] || return 0
  version=$(dpkg-query -W -f '${source:Version}' libcaf-dev)
  rm -rf "$caf"
  mkdir -p "$sources/lists/partial"
  apt-get indextargets --format 'deb-src $(REPO_URI) $(RELEASE) main' \
    'Identifier: Packages' 'Origin: Debian' 'Component: main' | sort -u >"$sources/list"
  local options=(-q -o "Dir::Etc::sourcelist=$sources/list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$sources/lists")
  run_shown "Reading the list of source packages" 600 "$sources/apt.log" apt-get "${options[@]}" update
  run_shown "Fetching CAF's sources" 600 "$sources/apt.log" \
    sh -c 'cd "$1" && shift && apt-get "$@"' sh "$sources" "${options[@]}" \
    source --download-only --tar-only "actor-framework=$version"
  mkdir "$sources/caf"
  tar -xf "$sources"/actor-framework_*.orig.tar.gz -C "$sources/caf" --strip-components=1
  local flags=(-DCMAKE_BUILD_TYPE=Debug '-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g1'
    '-DCMAKE_CXX_FLAGS=-fsanitize=thread -fno-omit-frame-pointer -Wno-tsan')
  local part
  for part in IO OPENSSL TOOLS EXAMPLES UNIT_TESTS OPENCL PYTHON; do
    flags+=("-DCAF_NO_$part=yes")
  done
  ! command -v ccache >/dev/null || flags+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  run_shown "Configuring CAF" 600 "$caf/configure.log" cmake -G Ninja -S "$sources/caf" -B "$caf" "${flags[@]}"
  run_shown "Building CAF" 3600 "$caf/build.log" cmake --build "$caf"
}

# run NAME SECONDS COMMAND…: a test whose sanitizer reports begin with NAME.
failed=()
run() {
  local name=$1 limit=$2 status=0 common suppressed=$top/tests/sanitizers
  shift 2
  common=log_path=$reports/$name.report
  ASAN_OPTIONS=$common:detect_stack_use_after_return=1:strict_string_checks=1 \
    UBSAN_OPTIONS=$common.ub:print_stacktrace=1:suppressions=$suppressed/ubsan.txt \
    TSAN_OPTIONS=$common:exitcode=0:history_size=7:second_deadlock_stack=1:suppressions=$suppressed/tsan.txt \
    BUSBAR_BINARY=$top/$build/busbar BUSBAR_PATIENCE=4 \
    timeout --kill-after=20 "$limit" "$@" >"$reports/$name.log" 2>&1 </dev/null &
  current=$!
  wait "$current" || status=$?
  current=
  local found=("$reports/$name.report"*)
  [[ -e ${found[0]} ]] || found=()
  say "$(printf '%-28s %s, %d reports' "$name" "$( ((status)) && echo failed || echo passed)" "${#found[@]}")"
  ((status == 0)) || failed+=("$name")
}

install_packages build run test
options=()
if [[ $preset == tsan ]]; then
  build_caf
  options=("-DCAF_core_LIBRARY=$caf/lib/libcaf_core.so")
fi
rm -rf "$reports"
mkdir -p "$reports"
programs=() files=() targets=()
for name; do
  if [[ $name == busbar_* ]]; then programs+=("$name") targets+=("$name"); else files+=("$name"); fi
done
if (($# == 0)); then
  for file in tests/client/*.test.mjs; do
    file=${file##*/}
    files+=("${file%.test.mjs}")
  done
  for file in tests/cluster/*.test.mjs; do
    file=${file#tests/}
    files+=("${file%.test.mjs}")
  done
  targets=(all)
fi
((${#files[@]} == 0)) || targets+=(busbar)
run_shown "Configuring" 600 "$reports/configure.log" cmake --preset "$preset" -DBUSBAR_BENCH=OFF "${options[@]}"
run_shown "Building $build" 7200 "$reports/build.log" cmake --build "$build" --target "${targets[@]}"
(($#)) || mapfile -t programs < <(find "$build/tests" -type f -executable -name 'busbar_*' -printf '%f\n' | sort)
if ((${#files[@]})) && [[ ! tests/client/node_modules/.package-lock.json -nt tests/client/package-lock.json ]]; then
  run_shown "Installing the packages of tests/client" 900 "$reports/npm.log" \
    npm --prefix tests/client ci --no-audit --no-fund
fi

for name in "${programs[@]}"; do
  run "$name" 1800 "$(find "$build/tests" -type f -name "$name")" --gtest_color=no
done
for name in "${files[@]}"; do
  folder=tests/client
  [[ $name != cluster/* ]] || folder=tests/cluster
  run "${name/\//-}" 1200 sh -c 'cd "$1" && exec node --test "$2.test.mjs"' sh "$folder" "${name##*/}"
done

found=$(find "$reports" -name '*.report*' | sort)
[[ -z $found ]] || printf 'reported: %s\n' $found
((${#failed[@]} == 0)) || printf 'failed: %s\n' "${failed[@]}"
[[ -z $found ]] && ((${#failed[@]} == 0))
