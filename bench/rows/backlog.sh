# The backlog of G1 and G2: fixed WAL, consumed again and again. Two streams are prepared on the
# same empty table, one with a shape that matches every row (bench_match) and one whose shape
# matches none (bench_idle). Their slots and folders are kept as they were before the backlog was
# written, and every repetition starts from a copy of them, so that all read the same WAL bytes.

backlog_shape() {
  case $1 in
    bench_match) echo '/v1/shape?table=backlog' ;;
    bench_idle) echo '/v1/shape?table=backlog&where=tenant%20%3D%20-1' ;;
  esac
}

prepare_backlog() {
  local stream floor
  [[ ! -f $WORK/backlog.env ]] || return 0
  make_database bench_backlog
  rm -rf "$WORK"/*.kept
  sql bench_backlog "$(make_table backlog)"
  for stream in bench_match bench_idle; do
    start_busbar bench_backlog "$stream" "$WORK/$stream.kept"
    wait_active > /dev/null
    shape_position "$(backlog_shape "$stream")" > /dev/null
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

# consume_ours ROW STREAM offset|seen: `offset` waits until the shape's log has the last change,
# `seen` until the server has gone through the whole backlog.
consume_ours() {
  local row=$1 stream=$2 condition=$3 slot=busbar_slot_$2 line began at cpu durable_watch
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
  raw "$row" ours_s "$(calc '(b - a) / 1e9' a="$began" b="$at")"
  raw "$row" ours_from_start_s "$(calc '(b - a) / 1e9' a="$BUSBAR_BEGAN_NS" b="$at")"
  raw "$row" ours_rate "$(calc 'n / ((b - a) / 1e9)' a="$began" b="$at" n="$BACKLOG_CHANGES")"
  raw "$row" ours_cpu_us "$(calc 'c / 1e3 / n' c="$cpu" n="$BACKLOG_CHANGES")"
  wait "$durable_watch"
  raw "$row" ours_durable_s "$(calc '(b - a) / 1e9' a="$began" b="$(now_ns)")"
  raw "$row" ours_peak_mb "$(calc 'kb / 1024' kb="$(status_kb "$BUSBAR_PID" VmHWM)")"
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
