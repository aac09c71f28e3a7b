# The rows of a cluster, all nodes on this machine: what following costs its leader and the followers (CL), what
# clients notice when the leader goes (G13), and what a delivered byte costs when three nodes share the clients
# (G14). The machine's cores are shared, too, so costs are CPU time, and times are only as good as it is quiet.

# start_members COUNT DATABASE STREAM: nodes of one cluster, in MEMBER_PID, MEMBER_PORT and MEMBER_NAME; 0 is a single
# node without a cluster. Sets LEADER, an index.
start_members() {
  local count=$1 database=$2 stream=$3 i peers=
  MEMBER_PID=() MEMBER_PORT=() MEMBER_NAME=() LEADER=0
  if [[ $count == 0 ]]; then
    rm -rf "$WORK/$stream"
    start_busbar "$database" "$stream" "$WORK/$stream"
    MEMBER_PID=("$BUSBAR_PID") MEMBER_PORT=("$HTTP_PORT")
    wait_active > /dev/null
    return 0
  fi
  for ((i = 0; i < count; i++)); do
    MEMBER_NAME[i]=127.0.0.1:$(free_port)
    peers+=${peers:+,}${MEMBER_NAME[i]}
  done
  for ((i = 0; i < count; i++)); do
    rm -rf "$WORK/$stream-$i"
    start_busbar "$database" "$stream" "$WORK/$stream-$i" "BUSBAR_CLUSTER_PEERS=$peers" \
      "BUSBAR_CLUSTER_ADDRESS=${MEMBER_NAME[i]}" BUSBAR_CLUSTER_SECRET=of-this-benchmark
    MEMBER_PID[i]=$BUSBAR_PID MEMBER_PORT[i]=$HTTP_PORT
  done
  wait_members "${MEMBER_PORT[0]}" "$count"
}

# wait_members PORT COUNT: until that node says that so many are in sync with a leader; sets LEADER, an index.
wait_members() {
  local said leader i
  for _ in {1..1200}; do
    said=$(curl -sf "http://127.0.0.1:$1/v1/cluster" || true)
    leader=$(sed -n 's/^{"leader":"\([^"]*\)".*/\1/p' <<< "$said")
    if [[ -n $leader && $(grep -o '"in_sync":true' <<< "$said" | wc -l) -ge $2 ]]; then
      for i in "${!MEMBER_NAME[@]}"; do [[ ${MEMBER_NAME[i]} != "$leader" ]] || LEADER=$i; done
      HTTP_PORT=${MEMBER_PORT[LEADER]} wait_active > /dev/null
      return 0
    fi
    sleep 0.05
  done
  die "the cluster does not settle: $said"
}

stop_members() {
  local pid
  for pid in "${MEMBER_PID[@]}"; do ! kill -0 "$pid" 2> /dev/null || end_process "$pid"; done
}

# await_member PORT POSITION LSN: until that node has the shape, and shows what was committed up to there.
await_member() {
  "$LOAD" await --port "$1" --path "/v1/shape?table=changed&offset=now&${2%%&*}" --seen-from "$3" \
    --interval-ms 10 --patience 120 > /dev/null || die "the changes do not reach port $1"
}

# quantile ROW SERIES Q: of what raw() has collected.
quantile() {
  awk -F '\t' -v row="$1" -v series="$2" '$1 == row && $2 == series { print $3 }' "$OUT/raw.tsv" | sort -g |
    awk -v q="$3" '{ v[NR] = $1 } END { if (NR == 0) exit 1; i = int(q * NR + 0.999999); print v[i < 1 ? 1 : i] }'
}

# --- CL -------------------------------------------------------------------------------------------

row_cl() {
  local size
  make_database bench_cl
  for ((PAIR = 1; PAIR <= PAIRS; PAIR++)); do
    for size in 0 1 2 3; do changes_through "$size"; done
  done
  drop_database bench_cl
  local single alone one two follower
  single=$(median CL leader_0) alone=$(median CL leader_1) one=$(median CL leader_2) two=$(median CL leader_3) follower=$(median CL follower_2)
  report CL "leader, CPU per change for one follower" "us/change" "$one" "$alone" \
    "$(calc '(b - a) / a' a="$alone" b="$one")" le 0.15 0.1 "commits of one row, one shape; comparator: a cluster of one"
  report CL "leader, CPU per change for each of two followers" "us/change" "$two" "$alone" \
    "$(calc '(b - a) / a / 2' a="$alone" b="$two")" le 0.15 0.1 "the same"
  report CL "follower, CPU per change" "us/change" "$follower" "$single" \
    "$(calc 'b / a' a="$single" b="$follower")" le 0.6 0.4 "comparator: a single node"
  report CL "commit to a live client, through a follower" ms "$(median CL follower_last_client_ms)" \
    "$(median CL leader_last_client_ms)" \
    "$(calc 'b / a' a="$(median CL leader_last_client_ms)" b="$(median CL follower_last_client_ms)")" le 2 1.5 \
    "comparator: through the leader; p99 $(quantile CL follower_last_client_ms 0.99) against $(quantile CL \
      leader_last_client_ms 0.99) ms"
}

# changes_through SIZE: single changes through a cluster of that size.
changes_through() {
  local size=$1 before=() i position end count=$((BACKLOG_SINGLE * 5))
  sql bench_cl "DROP TABLE IF EXISTS changed" "$(make_table changed)" "$(make_rows changed 100)"
  start_members "$size" bench_cl "bench_cl$size$PAIR"
  HTTP_PORT=${MEMBER_PORT[LEADER]}
  position=$(shape_position '/v1/shape?table=changed')
  for i in "${!MEMBER_PID[@]}"; do
    settle "${MEMBER_PID[i]}"
    before[i]=$(cpu_ns "${MEMBER_PID[i]}")
  done
  sql bench_cl "SET synchronous_commit = off" "DO \$\$ BEGIN FOR n IN 1..$count LOOP
    UPDATE changed SET amount = n WHERE id = 1 + n % 100; COMMIT; END LOOP; END \$\$"
  end=$(sql bench_cl "SELECT pg_current_wal_lsn() - '0/0'")
  sql bench_cl "UPDATE changed SET title = 'the last' WHERE id = 1" # whoever has seen it has seen all before
  for i in "${!MEMBER_PID[@]}"; do await_member "${MEMBER_PORT[i]}" "$position" "$end"; done
  sleep 0.5
  for i in "${!MEMBER_PID[@]}"; do
    raw CL "$([[ $i == "$LEADER" ]] && echo leader || echo follower)_$size" \
      "$(calc '(b - a) / 1e3 / n' a="${before[i]}" b="$(cpu_ns "${MEMBER_PID[i]}")" n="$count")"
  done
  if [[ $size == 2 ]]; then
    position=$(shape_position '/v1/shape?table=changed')
    fan_out CL leader "${MEMBER_PID[LEADER]}" trigger_cl 1 $((SSE_CHANGES * 3)) sse-clients \
      --port "$HTTP_PORT" --path "/v1/shape?table=changed&$position&live=true&live_sse=true"
    position=$(shape_position '/v1/shape?table=changed')
    fan_out CL follower "${MEMBER_PID[1 - LEADER]}" trigger_cl 1 $((SSE_CHANGES * 3)) sse-clients \
      --port "${MEMBER_PORT[1 - LEADER]}" --path "/v1/shape?table=changed&$position&live=true&live_sse=true"
  fi
  stop_members
}

trigger_cl() {
  TRIGGER_NS=$(sql bench_cl "UPDATE changed SET amount = amount + 1 WHERE id = 7
    RETURNING (extract(epoch FROM clock_timestamp()) * 1e9)::int8")
}

# --- G13 ------------------------------------------------------------------------------------------

# How long a member is silent until it counts as away (cluster/peers.hpp).
FAILURE_DETECTOR_MS=1500

row_g13() {
  make_database bench_g13
  sql bench_g13 "$(make_table changed)" "$(make_rows changed 100)"
  for ((PAIR = 1; PAIR <= PAIRS; PAIR++)); do
    leader_goes KILL killed
    leader_goes TERM stopped
  done
  drop_database bench_g13
  report G13 "the leader of three is killed: longest pause of a live reader" ms "$(median G13 killed_ms)" \
    "$FAILURE_DETECTOR_MS" "$(calc 'a / b' a="$(median G13 killed_ms)" b="$FAILURE_DETECTOR_MS")" le 3 2 \
    "$(quantile G13 refetches 1) must-refetch at most; longest $(quantile G13 killed_ms 1) ms"
  report G13 "the leader of three is stopped: longest pause of a live reader" ms "$(median G13 stopped_ms)" - \
    "$(median G13 stopped_ms)" le 1000 500 "hand-over; longest $(quantile G13 stopped_ms 1) ms"
}

# leader_goes SIGNAL SERIES: while changes come a hundred times a second, and two live readers follow at the others.
leader_goes() {
  local signal=$1 series=$2 i position writer readers=()
  start_members 3 bench_g13 "bench_g13$series$PAIR"
  HTTP_PORT=${MEMBER_PORT[LEADER]}
  position=$(shape_position '/v1/shape?table=changed')
  rm -f "$WORK"/g13-*
  for i in "${!MEMBER_PID[@]}"; do
    [[ $i != "$LEADER" ]] || continue
    await_member "${MEMBER_PORT[i]}" "$position" 0
    follow_log "${MEMBER_PORT[i]}" "$position" "$WORK/g13-$i" &
    readers+=($!)
  done
  sql bench_g13 "SET synchronous_commit = off" "DO \$\$ BEGIN FOR n IN 1..1000 LOOP
    UPDATE changed SET amount = n WHERE id = 1 + n % 100; COMMIT; PERFORM pg_sleep(0.01); END LOOP; END \$\$" &
  writer=$!
  sleep 3
  kill "-$signal" "${MEMBER_PID[LEADER]}"
  wait "$writer"
  sleep 1
  touch "$WORK/g13-end"
  sql bench_g13 "UPDATE changed SET title = 'the last' WHERE id = 1"
  for i in "${readers[@]}"; do wait "$i"; done
  for i in "${!MEMBER_PID[@]}"; do
    [[ $i != "$LEADER" ]] || continue
    raw G13 "${series}_ms" "$(awk '$1 == "at" { if (last && $2 - last > gap) gap = $2 - last; last = $2 }
      END { printf "%.0f", gap * 1000 }' "$WORK/g13-$i")"
    raw G13 refetches "$(grep -c '^refetch' "$WORK/g13-$i" || true)"
  done
  stop_members
}

# follow_log PORT POSITION FILE: notes when changes arrive, until $WORK/g13-end is there.
follow_log() {
  local position=$2 head=$3.head body=$3.body status
  while [[ ! -e $WORK/g13-end ]]; do
    status=$(curl -s -m 25 -D "$head" -o "$body" -w '%{http_code}' \
      "http://127.0.0.1:$1/v1/shape?table=changed&$position&live=true" || true)
    case $status in
      200)
        ! grep -q '"operation"' "$body" || echo "at $EPOCHREALTIME" >> "$3"
        position="handle=$(header "$head" electric-handle)&offset=$(header "$head" electric-offset)"
        position+="&cursor=$(header "$head" electric-cursor)"
        ;;
      409)
        echo refetch >> "$3"
        return
        ;;
      *) sleep 0.02 ;;
    esac
  done
}

header() { tr -d '\r' < "$1" | awk -v name="$2:" 'tolower($1) == name { print $2 }'; }

# --- G14 ------------------------------------------------------------------------------------------

row_g14() {
  make_database bench_g14
  sql bench_g14 "$(make_table changed)" "$(make_rows changed 100)"
  for ((PAIR = 1; PAIR <= PAIRS; PAIR++)); do
    deliveries_by 3 ours
    deliveries_by 1 comparator
  done
  drop_database bench_g14
  report G14 "one change to $((SSE_CLIENTS / 3 * 3)) streams: CPU of three nodes" "ns/B" "$(median G14 ours)" \
    "$(median G14 comparator)" "$(calc 'a / b' a="$(median G14 ours)" b="$(median G14 comparator)")" le 1.3 1.1 \
    "comparator: one node with all of them"
}

# deliveries_by SIZE SERIES: changes to event streams that are spread over so many nodes.
deliveries_by() {
  local size=$1 i n position line fd=() pids=() before=0 after=0 bytes=0
  start_members "$size" bench_g14 "bench_g14$size$PAIR"
  HTTP_PORT=${MEMBER_PORT[LEADER]}
  position=$(shape_position '/v1/shape?table=changed')
  for i in "${!MEMBER_PID[@]}"; do
    await_member "${MEMBER_PORT[i]}" "$position" 0
    exec {n}< <(exec "$LOAD" sse-clients --port "${MEMBER_PORT[i]}" --count $((SSE_CLIENTS / 3 * 3 / size)) \
      --path "/v1/shape?table=changed&$position&live=true&live_sse=true" --deliveries "$SSE_CHANGES" --patience 60)
    fd[i]=$n pids[i]=$!
    note_process "${pids[i]}"
    read -r -t 120 -u "$n" line && [[ $line == ready* ]] || die "G14: the clients did not get ready"
  done
  sleep 0.5
  for i in "${MEMBER_PID[@]}"; do before=$((before + $(cpu_ns "$i"))); done
  for ((n = 0; n < SSE_CHANGES; n++)); do
    sql bench_g14 "UPDATE changed SET amount = amount + 1 WHERE id = 7"
    for i in "${!fd[@]}"; do
      read -r -t 60 -u "${fd[i]}" line || die "G14: delivery $n did not reach every client"
    done
  done
  sleep 0.2
  for i in "${MEMBER_PID[@]}"; do after=$((after + $(cpu_ns "$i"))); done
  for i in "${!fd[@]}"; do
    kill -TERM "${pids[i]}"
    read -r -t 60 -u "${fd[i]}" line || die "G14: the clients did not finish"
    bytes=$((bytes + $(word bytes "$line")))
    n=${fd[i]}
    exec {n}<&-
  done
  raw G14 "$2" "$(calc '(b - a) / n' a="$before" b="$after" n="$bytes")"
  stop_members
}
