#!/usr/bin/env bash
# bench/run.sh [G1 G2 …]: Busbar beside its comparators, as ratios of one run. See README.md.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C

BENCH=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(dirname "$BENCH")
BUILD=${BENCH_BUILD_DIR:-$ROOT/build/release}
BUSBAR=${BENCH_BUSBAR:-$BUILD/busbar}
LOAD=$BUILD/bench/busbar_load
BARE=$BUILD/bench/busbar_bare_epoll
MATCHER=$BUILD/bench/busbar_bare_matcher
ROCKSDB=$BUILD/bench/busbar_bare_rocksdb
STORAGE=$BUILD/bench/busbar_storage_fill
NO_METRICS=$BUILD/bench/libbusbar_no_metrics.so
SERVER_ENV=() # more of the server's environment, for a row that sets it
ALL_ROWS=(G1 G2 G3 G3R G3L G3P G4 G5 G6 G8 G9 G10 G11 G12 G13 G14 G16 G17 G18 SCRAPE METRICS DURABLE COMPACT REG CHURN SUB TEN CL)
QUICK=${BENCH_QUICK:-0}

if [[ $QUICK == 1 ]]; then
  PAIRS=${BENCH_PAIRS:-2}
  BACKLOG_BULK=60000 BACKLOG_SINGLE=4000 SSE_CLIENTS=1000 SSE_CHANGES=10 HTTP_SECONDS=2
  SYNC_ROWS=200000 PARKED_CLIENTS=2000 STORED_SHAPES=1000 CALIBRATION_CLIENTS=1000
  FIRST_SYNCS=500 NEW_SHAPES=200 REGISTERED=2000 IDLE_SHAPES=5000 INNER_VALUES=300000 INNER_MOVES=3000
  ROUTED_SHAPES=${BENCH_ROUTED_SHAPES:-1000} SCANNED_SHAPES=50
  OTHER_CLIENTS=200 OTHERS_SECONDS=10 LARGE_ROWS=200000 HOT_UPDATES=200000 STANDING_SHAPES=10000
else
  PAIRS=${BENCH_PAIRS:-5}
  BACKLOG_BULK=300000 BACKLOG_SINGLE=20000 SSE_CLIENTS=5000 SSE_CHANGES=20 HTTP_SECONDS=4
  SYNC_ROWS=1000000 PARKED_CLIENTS=9000 STORED_SHAPES=10000 CALIBRATION_CLIENTS=2000
  FIRST_SYNCS=2000 NEW_SHAPES=1000 REGISTERED=20000 IDLE_SHAPES=100000 INNER_VALUES=1000000 INNER_MOVES=20000
  ROUTED_SHAPES=${BENCH_ROUTED_SHAPES:-10000} SCANNED_SHAPES=200
  OTHER_CLIENTS=1000 OTHERS_SECONDS=30 LARGE_ROWS=1000000 HOT_UPDATES=300000 STANDING_SHAPES=100000
fi

# G3 has a second line with so many shapes, if any.
ROUTED_SHAPES_MORE=${BENCH_ROUTED_SHAPES_MORE:-0}

source "$BENCH/lib.sh"
source "$BENCH/servers.sh"
source "$BENCH/table.sh"
for file in "$BENCH"/rows/*.sh; do source "$file"; done

need() { # need PROGRAM PACKAGE
  command -v "$1" > /dev/null || PATH=$PATH:/usr/sbin command -v "$1" > /dev/null ||
    die "needs $1 (Debian: apt-get install $2)"
}

clean_up() {
  end_leftovers
  stop_postgres
  if [[ ${BENCH_KEEP:-0} == 1 ]]; then say "kept $WORK"; else rm -rf "$WORK"; fi
}

# run_row ROW: up to BENCH_ATTEMPTS times, until the machine was quiet meanwhile. A row that never met a quiet
# machine is reported, but marked.
run_row() {
  local row=$1 before attempt status busy own began foreign
  for ((attempt = 1; attempt <= ${BENCH_ATTEMPTS:-2}; attempt++)); do
    before=$CALIBRATION
    OUT=$WORK/$row-$attempt
    mkdir -p "$OUT"
    : > "$OUT/raw.tsv"
    : > "$OUT/rows.tsv"
    say "$row"
    busy=$(busy_ticks) own=$(own_ticks) began=$(now_ns)
    set +e
    (
      set -e
      "row_${row,,}"
    )
    status=$?
    set -e
    end_leftovers
    if [[ $status != 0 ]]; then
      say "$row failed"
      FAILED+=("$row")
      return 0
    fi
    foreign=$(calc '(b1 - b0 - (o1 - o0)) / hz / ((t1 - t0) / 1e9) * 100' b0="$busy" o0="$own" \
      t0="$began" b1="$(busy_ticks)" o1="$(own_ticks)" t1="$(now_ns)" hz="$(getconf CLK_TCK)")
    calibrate
    MOVED=$(calc '(b - a) / a * 100' a="$before" b="$CALIBRATION")
    printf '%s\t%s\t%s\t%s\n' "$row" "$before" "$CALIBRATION" "$foreign" \
      >> "$WORK/calibrations.tsv"
    if awk -v moved="$MOVED" -v foreign="$foreign" \
      'BEGIN { exit !(moved < 10 && moved > -10 && foreign < 10) }'; then
      sed "s/\$/\tquiet/" "$OUT/rows.tsv" >> "$WORK/rows.tsv"
      cat "$OUT/raw.tsv" >> "$WORK/raw.tsv"
      return 0
    fi
    say "$row: not quiet, the bare comparator moved by $MOVED %, others used $foreign % of a core"
  done
  sed "s/\$/\tnoisy/" "$OUT/rows.tsv" >> "$WORK/rows.tsv"
  cat "$OUT/raw.tsv" >> "$WORK/raw.tsv"
}

# What a failed row has left behind; the numbers of finished processes are forgotten with it.
end_leftovers() {
  local pid
  [[ -f $WORK/pids ]] || return 0
  while read -r pid; do
    if [[ -d /proc/$pid ]] && [[ $(readlink "/proc/$pid/exe") =~ busbar|nginx ]]; then
      kill -TERM "$pid" 2> /dev/null || true
    fi
  done < "$WORK/pids"
  rm -f "$WORK/pids"
}

need pg_recvlogical postgresql-client
need psql postgresql-client
need nginx nginx-light
need wrk wrk
need curl curl
need openssl openssl
NGINX=$(PATH=$PATH:/usr/sbin command -v nginx)
ulimit -n "$(ulimit -Hn)"

ROWS=("${@:-${ALL_ROWS[@]}}")
for row in "${ROWS[@]}"; do
  [[ $(type -t "row_${row,,}") == function ]] || die "no row $row; there are ${ALL_ROWS[*]}"
done

if [[ ${BENCH_BUILD:-1} == 1 ]]; then
  (cd "$ROOT" && cmake --preset release > /dev/null &&
    cmake --build --preset release --target busbar busbar_load busbar_bare_epoll \
      busbar_bare_matcher busbar_bare_rocksdb busbar_storage_fill \
      busbar_no_metrics) >&2
fi
for program in "$BUSBAR" "$LOAD" "$BARE" "$MATCHER" "$ROCKSDB" "$STORAGE" "$NO_METRICS"; do
  [[ -x $program ]] || die "$program is missing: cmake --preset release && cmake --build --preset release"
done

WORK=$(mktemp -d "${TMPDIR:-/tmp}/busbar-bench.XXXXXX")
chmod 755 "$WORK"
trap clean_up EXIT
trap 'exit 130' INT TERM
FAILED=()
: > "$WORK/rows.tsv"
: > "$WORK/raw.tsv"
: > "$WORK/calibrations.tsv"
LOAD_BEFORE=$(cut -d ' ' -f 1 /proc/loadavg)

say "work folder $WORK, $PAIRS pairs, load average before: $LOAD_BEFORE"
start_postgres
calibrate
for row in "${ROWS[@]}"; do run_row "$row"; done

print_table
write_json "$BENCH/results/$(date +%Y-%m-%dT%H%M%S).json"
((${#FAILED[@]} == 0)) || die "failed: ${FAILED[*]}"
