# bench/lib.sh: what every row uses. Sourced by run.sh, never run. The servers are in servers.sh.
#
# Numbers travel in files, because each row runs in a subshell of its own:
#   $OUT/raw.tsv    row, series, value          every single measurement
#   $OUT/rows.tsv   one line of the final table (see report)

say() { printf '%s bench: %s\n' "$(date +%H:%M:%S)" "$*" >&2; }
die() { printf 'bench: %s\n' "$*" >&2; exit 1; }

# calc EXPRESSION [name=value…]: floating point for the shell.
calc() {
  local expression=$1 assignments=()
  shift
  for pair in "$@"; do assignments+=(-v "$pair"); done
  awk "${assignments[@]}" "BEGIN { printf \"%.6g\", $expression }"
}

now_ns() { local t=${EPOCHREALTIME/[.,]/}; echo "${t}000"; }

# word NAME LINE: the value of NAME in "… NAME=value …".
word() {
  local name=$1 part
  shift
  for part in ${*}; do
    [[ $part == "$name="* ]] && { echo "${part#*=}"; return 0; }
  done
  return 1
}

raw() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" >> "$OUT/raw.tsv"; }

# median ROW SERIES: of what raw() has collected.
median() {
  awk -F '\t' -v row="$1" -v series="$2" '$1 == row && $2 == series { print $3 }' "$OUT/raw.tsv" |
    sort -g | awk '{ v[NR] = $1 }
      END { if (NR == 0) exit 1
            printf "%.6g", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# report ROW WORKLOAD UNIT OURS COMPARATOR JUDGED ge|le MUST AIM NOTE
# JUDGED is what the goal speaks of: a ratio, or our own figure where there is no comparator ("-").
report() {
  local verdict
  verdict=$(awk -v x="$6" -v dir="$7" -v must="$8" -v aim="$9" 'BEGIN {
    if (dir == "ge") { met = x >= must; good = x >= aim } else { met = x <= must; good = x <= aim }
    print good ? "aim" : met ? "must" : "MISSED" }')
  printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' \
    "$1" "$2" "$3" "$4" "$5" "$6" "$7" "$8" "$9" "$verdict" "${10}" >> "$OUT/rows.tsv"
}

# A pair runs ours, then the comparator; all pairs of a row alternate.
each_pair() {
  local i
  for ((i = 1; i <= PAIRS; i++)); do
    PAIR=$i
    "$@"
  done
}

free_port() {
  local port
  for _ in {1..200}; do
    port=$((20000 + RANDOM % 12000))
    if ! (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then echo "$port"; return; fi
  done
  die "no free port"
}

cpu_ns() { "$LOAD" cpu --pid "$1"; }
status_kb() { awk -v name="$2:" '$1 == name { print $2 }' "/proc/$1/status"; }
rss_kb() { status_kb "$1" VmRSS; }
slab_kb() { awk '$1 == "Slab:" { print $2 }' /proc/meminfo; }

# Started processes are noted, so that run.sh can end them whatever happens to the row.
note_process() { echo "$1" >> "$WORK/pids"; }

# end_process PID: asks it to stop and waits until it has.
end_process() {
  kill -TERM "$1" 2> /dev/null || true
  for _ in {1..600}; do
    kill -0 "$1" 2> /dev/null || { wait "$1" 2> /dev/null || true; return 0; }
    sleep 0.05
  done
  kill -KILL "$1" 2> /dev/null || true
  die "process $1 did not end within 30 s of SIGTERM"
}

# What all processes, and what this run's own ones have used so far, in clock ticks. The difference
# between two moments is what others have used meanwhile: builds, tests, neighbours (steal).
busy_ticks() { awk '$1 == "cpu" { print $2 + $3 + $4 + $9 }' /proc/stat; }
own_ticks() { # call it only when no process of a row is running
  local postmaster stats=("/proc/$$/stat") child
  postmaster=$(head -n 1 "$WORK/postgres/data/postmaster.pid")
  stats+=("/proc/$postmaster/stat")
  for child in $(< "/proc/$postmaster/task/$postmaster/children"); do
    stats+=("/proc/$child/stat")
  done
  cat "${stats[@]}" 2> /dev/null | sed 's/^.*) //' | awk '{ sum += $12 + $13 + $14 + $15 } END { print sum }'
}

# settle PID: until it uses less than 2 % of a core for half a second, at most 30 s.
settle() {
  local before after
  before=$(cpu_ns "$1")
  for _ in {1..60}; do
    sleep 0.5
    after=$(cpu_ns "$1")
    ((after - before < 10000000)) && return 0
    before=$after
  done
  say "process $1 does not come to rest; going on"
}

# fan_out ROW LABEL PID TRIGGER CLIENTS DELIVERIES LOAD-COMMAND OPTIONS…
# Has CLIENTS clients wait, calls TRIGGER once per delivery (it sets TRIGGER_NS, the moment from
# which the last client's delivery is timed) and measures the CPU time of PID meanwhile, until all
# clients wait again.
fan_out() {
  local row=$1 label=$2 pid=$3 trigger=$4 clients=$5 deliveries=$6
  shift 6
  local line i before after clients_fd
  exec {clients_fd}< <(exec "$LOAD" "$@" --count "$clients" --deliveries "$deliveries" --patience 30)
  local client_pid=$!
  note_process "$client_pid"
  read -r -t 120 -u "$clients_fd" line || die "$row: the clients did not get ready"
  [[ $line == ready* ]] || die "$row: $line"
  sleep 0.3
  before=$(cpu_ns "$pid")
  for ((i = 1; i <= deliveries; i++)); do
    sleep 0.05
    "$trigger" "$pid"
    read -r -t 60 -u "$clients_fd" line || die "$row: delivery $i did not reach every client"
    raw "$row" "${label}_last_client_ms" \
      "$(calc '(end - begin) / 1e6' end="$(word at_ns "$line")" begin="$TRIGGER_NS")"
  done
  sleep 0.2
  after=$(cpu_ns "$pid")
  kill -TERM "$client_pid"
  read -r -t 60 -u "$clients_fd" line || die "$row: the clients did not finish"
  exec {clients_fd}<&-
  raw "$row" "${label}_cpu_us" "$(calc '(b - a) / 1e3 / n' a="$before" b="$after" \
    n=$((clients * deliveries)))"
  raw "$row" "${label}_bytes" "$(calc 'b / n' b="$(word bytes "$line")" \
    n=$((clients * deliveries)))"
}

# fan_out_bare ROW CLIENTS DELIVERIES PAYLOAD-OPTION VALUE: event streams of the bare comparator.
fan_out_bare() {
  start_bare --mode sse "$4" "$5"
  fan_out "$1" comparator "$BARE_PID" trigger_bare "$2" "$3" \
    sse-clients --port "$BARE_PORT" --path /stream
  end_process "$BARE_PID"
}
trigger_bare() {
  TRIGGER_NS=$(now_ns)
  kill -USR1 "$1"
}

# What the bare comparator costs now; how far it moves tells how quiet the machine is.
calibrate() {
  local OUT=$WORK/calibration i
  rm -rf "$OUT" && mkdir -p "$OUT"
  for i in 1 2 3 4 5; do
    fan_out_bare calibration "$CALIBRATION_CLIENTS" 10 --bytes 600-marked
  done
  CALIBRATION=$(median calibration comparator_cpu_us)
}
