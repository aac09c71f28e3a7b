# The backlog of G1 to G4: fixed WAL, consumed again and again. A stream for each set of shapes is
# prepared on the same empty table: one shape that matches every row (bench_match), one that matches
# none (bench_idle), and those of the chosen rows. Their slots and folders are kept as they were
# before the backlog was written, and every repetition starts from a copy of them, so that all read
# the same WAL bytes.

# What awaits the end of the backlog.
backlog_shape() {
  case $1 in
    bench_idle | bench_ilike) echo '/v1/shape?table=backlog&where=tenant%20%3D%20-1' ;;
    *) echo '/v1/shape?table=backlog' ;;
  esac
}

# more_shapes STREAM: "FIRST LAST CLAUSE" of the shapes that a stream has besides. The rows' tenants
# are 0 to 999 and their amounts below 25,000, so hardly any of these matches anything.
more_shapes() {
  local i list=
  case $1 in
    bench_tenants) echo 1000 $((999 + ROUTED_SHAPES)) 'tenant%20%3D%20{i}' ;;
    bench_tenants_more) echo 1000 $((999 + ROUTED_SHAPES_MORE)) 'tenant%20%3D%20{i}' ;;
    bench_ranges) echo 24990 $((24989 + ROUTED_SHAPES)) 'amount%20%3E%20{i}' ;;
    bench_lists)
      for i in {10..29}; do list+=${list:+,}{i}$i; done
      echo 1000 $((999 + ROUTED_SHAPES)) "tenant%20IN%20($list)"
      ;;
    bench_pairs) echo 1 "$ROUTED_SHAPES" 'tenant%20%3D%20{i}%20AND%20amount%20%3D%20-{i}' ;;
    bench_ilike) echo 1 "$SCANNED_SHAPES" "title%20ILIKE%20'%25x{i}%25'" ;;
  esac
}

# The streams of the rows that were asked for: what has no slot when the backlog is written does not
# see it.
backlog_streams() {
  local row
  echo bench_match bench_idle
  for row in "${ROWS[@]}"; do
    case $row in
      G3) echo bench_tenants && { ((ROUTED_SHAPES_MORE == 0)) || echo bench_tenants_more; } ;;
      G3R) echo bench_ranges ;;
      G3L) echo bench_lists ;;
      G3P) echo bench_pairs ;;
      G4) echo bench_ilike ;;
    esac
  done
}

prepare_backlog() {
  local stream floor first last clause line
  [[ ! -f $WORK/backlog.env ]] || return 0
  make_database bench_backlog
  rm -rf "$WORK"/*.kept
  sql bench_backlog "$(make_table backlog)"
  for stream in $(backlog_streams); do
    start_busbar bench_backlog "$stream" "$WORK/$stream.kept" "$ADMIT_ALL"
    wait_active > /dev/null
    shape_position "$(backlog_shape "$stream")" > /dev/null
    read -r first last clause < <(more_shapes "$stream") || true
    if [[ -n $first ]]; then
      line=$("$LOAD" each --port "$HTTP_PORT" --from "$first" --to "$last" --parallel 256 \
        --path "/v1/shape?table=backlog&log=changes_only&offset=-1&where=$clause")
      say "$stream: $((last - first + 1)) shapes in $(word seconds "$line") s"
    fi
    stop_busbar
    sql bench_backlog "SELECT pg_copy_logical_replication_slot('busbar_slot_$stream',
      'kept_$stream', false)" > /dev/null
  done
  say "writing the backlog: $BACKLOG_BULK rows in one transaction, $BACKLOG_SINGLE in single ones"
  # Nobody waits for these commits, and the WAL is the same.
  sql bench_backlog "SET synchronous_commit = off" "$(make_rows backlog "$BACKLOG_BULK")" \
    "DO \$\$ BEGIN FOR n IN 1..$BACKLOG_SINGLE LOOP
       $(make_rows backlog 1 "$BACKLOG_BULK + n"); COMMIT; END LOOP; END \$\$"
  # One more row stands behind the end of the backlog: whoever has seen it has seen all.
  floor=$(sql bench_backlog 'SELECT pg_current_wal_insert_lsn()')
  sql bench_backlog "$(make_rows backlog 1 $((BACKLOG_BULK + BACKLOG_SINGLE + 1)))"
  {
    echo "BACKLOG_FLOOR=$floor"
    echo "BACKLOG_FLOOR_NUMBER=$(sql bench_backlog "SELECT '$floor'::pg_lsn - '0/0'")"
    echo "BACKLOG_CHANGES=$((BACKLOG_BULK + BACKLOG_SINGLE))"
  } > "$WORK/backlog.env"
}

renew_slot() { # renew_slot KEPT NAME
  sql bench_backlog "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
    WHERE slot_name = '$2'" "SELECT pg_copy_logical_replication_slot('$1', '$2', false)" > /dev/null
}

# consume_ours ROW STREAM offset|seen [SERIES]: `offset` waits until the shape's log has the last
# change, `seen` until the server has gone through the whole backlog.
consume_ours() {
  local row=$1 stream=$2 condition=$3 series=${4:-ours} slot=busbar_slot_$2
  local line began at cpu durable_watch
  renew_slot "kept_$stream" "$slot"
  rm -rf "$WORK/storage" && cp -a "$WORK/$stream.kept" "$WORK/storage"
  sync
  # PostgreSQL itself watches until Busbar confirms, that is, until the changes are durable.
  sql bench_backlog "DO \$\$ BEGIN FOR i IN 1..9000 LOOP
      EXIT WHEN (SELECT confirmed_flush_lsn > '$BACKLOG_FLOOR' FROM pg_replication_slots
                 WHERE slot_name = '$slot');
      PERFORM pg_sleep(0.02); END LOOP; END \$\$" > /dev/null &
  durable_watch=$!
  start_busbar bench_backlog "$stream" "$WORK/storage"
  line=$("$LOAD" await --port "$HTTP_PORT" --path "$(backlog_shape "$stream")&offset=now" \
    "--$condition-from" "$BACKLOG_FLOOR_NUMBER" --interval-ms 20 --patience 180)
  cpu=$(cpu_ns "$BUSBAR_PID")
  at=$(word at_ns "$line")
  began=$(replication_began_ns "$slot")
  raw "$row" "${series}_s" "$(calc '(b - a) / 1e9' a="$began" b="$at")"
  raw "$row" "${series}_from_start_s" "$(calc '(b - a) / 1e9' a="$BUSBAR_BEGAN_NS" b="$at")"
  raw "$row" "${series}_rate" "$(calc 'n / ((b - a) / 1e9)' a="$began" b="$at" n="$BACKLOG_CHANGES")"
  raw "$row" "${series}_cpu_us" "$(calc 'c / 1e3 / n' c="$cpu" n="$BACKLOG_CHANGES")"
  wait "$durable_watch"
  raw "$row" "${series}_durable_s" "$(calc '(b - a) / 1e9' a="$began" b="$(now_ns)")"
  raw "$row" "${series}_peak_mb" "$(calc 'kb / 1024' kb="$(status_kb "$BUSBAR_PID" VmHWM)")"
  stop_busbar
}

consume_comparator() { # consume_comparator ROW STREAM
  local row=$1 line began end
  renew_slot "kept_$2" bench_receive
  sync
  "$LOAD" run --report "$WORK/receive.report" -- "$PG_BIN/pg_recvlogical" -h 127.0.0.1 \
    -p "$PG_PORT" -U postgres -d bench_backlog -S bench_receive --start --no-loop \
    -o proto_version=1 -o "publication_names=busbar_publication_$2" \
    --endpos "$BACKLOG_FLOOR" -f "$WORK/receive.out" || die "pg_recvlogical failed"
  line=$(< "$WORK/receive.report")
  began=$(replication_began_ns bench_receive)
  end=$(word end_ns "$line")
  raw "$row" comparator_s "$(calc '(b - a) / 1e9' a="$began" b="$end")"
  raw "$row" comparator_from_start_s "$(word wall_s "$line")"
  raw "$row" comparator_rate \
    "$(calc 'n / ((b - a) / 1e9)' a="$began" b="$end" n="$BACKLOG_CHANGES")"
  raw "$row" comparator_cpu_us "$(calc 'c * 1e6 / n' c="$(word cpu_s "$line")" n="$BACKLOG_CHANGES")"
  raw "$row" comparator_file_mb "$(calc 'b / 1e6' b="$(stat -c %s "$WORK/receive.out")")"
  rm -f "$WORK/receive.out"
  sql bench_backlog "SELECT pg_drop_replication_slot('bench_receive')" > /dev/null
}
