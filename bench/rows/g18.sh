# G18: how late small commits reach a thousand event streams while a transaction of a million rows, of
# another table that has a shape as well, goes through; against the same without it. The small commits
# come at a fixed pace, whether or not the ones before have arrived.

others_g18() { # others_g18 [COMMAND…]
  lateness G18 bench_g18 '/v1/shape?table=feed' "$OTHER_CLIENTS" \
    "INSERT INTO feed (sent_ns) VALUES ($SENT_NS)" "$@"
}
large_g18() { sql bench_g18 "$(make_rows big "$LARGE_ROWS" $((PAIR * LARGE_ROWS)))" > /dev/null; }

row_g18() {
  local ours theirs line
  make_database bench_g18
  rm -rf "$WORK/g18"
  sql bench_g18 "$(make_table big)" "CREATE TABLE feed (id bigserial PRIMARY KEY, sent_ns int8 NOT NULL)"
  start_busbar bench_g18 bench_g18 "$WORK/g18"
  wait_active > /dev/null
  shape_position '/v1/shape?table=big' > /dev/null
  pair_g18() {
    settle "$BUSBAR_PID"
    line=$(others_g18)
    raw G18 comparator_p99_ms "$(word p99_ms "$line")"
    raw G18 comparator_max_ms "$(word max_ms "$line")"
    settle "$BUSBAR_PID"
    echo 5 > "/proc/$BUSBAR_PID/clear_refs"
    line=$(others_g18 large_g18)
    raw G18 ours_p99_ms "$(word p99_ms "$line")"
    raw G18 ours_p50_ms "$(word p50_ms "$line")"
    raw G18 ours_max_ms "$(word max_ms "$line")"
    raw G18 ours_peak_rss_mb "$(calc 'kb / 1024' kb="$(status_kb "$BUSBAR_PID" VmHWM)")"
    # What the order of commits alone costs: the same transaction, received and thrown away.
    sql bench_g18 "SELECT pg_create_logical_replication_slot('bench_receive', 'pgoutput')" \
      "$(make_rows big "$LARGE_ROWS" $(((PAIR + 1000) * LARGE_ROWS)))" > /dev/null
    "$LOAD" run --report "$WORK/receive.report" -- "$PG_BIN/pg_recvlogical" -h 127.0.0.1 -p "$PG_PORT" \
      -U postgres -d bench_g18 -S bench_receive --start --no-loop -o proto_version=1 \
      -o publication_names=busbar_publication_bench_g18 \
      --endpos "$(sql bench_g18 'SELECT pg_current_wal_lsn()')" -f /dev/null || die "pg_recvlogical failed"
    raw G18 receive_s "$(word wall_s "$(< "$WORK/receive.report")")"
    sql bench_g18 "SELECT pg_drop_replication_slot('bench_receive')" > /dev/null
    await_seen bench_g18 '/v1/shape?table=feed'
  }
  each_pair pair_g18
  stop_busbar
  drop_database bench_g18
  rm -rf "$WORK/g18"
  ours=$(median G18 ours_p99_ms)
  theirs=$(median G18 comparator_p99_ms)
  report G18 "$OTHER_CLIENTS others beside $LARGE_ROWS rows, p99" ms "$ours" "$theirs" \
    "$(calc 'a / b' a="$ours" b="$theirs")" le 3 1.5 \
    "p50 $(median G18 ours_p50_ms) ms, worst $(median G18 ours_max_ms) ms; PostgreSQL needs $(median G18 receive_s) s to send that transaction to anybody; peak RSS $(median G18 ours_peak_rss_mb) MB"
}
