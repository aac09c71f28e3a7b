# COMPACT: the log of ten rows that are written all the time, before and after older updates of a row
# are merged. There is no comparator but the log as it was written.

row_compact() {
  local ours theirs
  make_database bench_compact
  rm -rf "$WORK/compact"
  sql bench_compact "$(make_table hot)" "$(make_rows hot 10)"
  start_busbar bench_compact bench_compact "$WORK/compact" BUSBAR_COMPACTION_HORIZON=0
  wait_active > /dev/null
  shape_position '/v1/shape?table=hot' > /dev/null
  say "COMPACT: $HOT_UPDATES updates"
  sql bench_compact "SET synchronous_commit = off" "DO \$\$ BEGIN FOR n IN 1..$HOT_UPDATES LOOP
      UPDATE hot SET amount = n, body = repeat(md5(n::text), 5) WHERE id = 1 + n % 10; COMMIT;
    END LOOP; END \$\$"
  "$LOAD" await --port "$HTTP_PORT" --path '/v1/shape?table=hot&offset=now' --interval-ms 20 \
    --seen-from "$(sql bench_compact "SELECT pg_current_wal_lsn() - '0/0' - 1000")" --patience 120 > /dev/null
  settle "$BUSBAR_PID"
  # Compaction takes a tenth of a processor, and rests for 5 s at most between two chunks.
  local saved=-1 now i
  for ((i = 0; i < 30; i++)); do
    now=$(busbar_metric busbar_compaction_saved_bytes_total)
    [[ $now != "$saved" ]] || break
    saved=$now
    sleep 6
  done
  theirs=$(busbar_metric busbar_shape_log_bytes_total)
  ours=$(calc 'a - b' a="$theirs" b="$(busbar_metric busbar_compaction_saved_bytes_total)")
  raw COMPACT written_bytes "$theirs"
  raw COMPACT left_bytes "$ours"
  raw COMPACT disk_bytes "$(du -sb "$WORK/compact" | cut -f 1)"
  raw COMPACT read_bytes "$(word bytes "$("$LOAD" get --port "$HTTP_PORT" --path '/v1/shape?table=hot')")"
  stop_busbar
  drop_database bench_compact
  rm -rf "$WORK/compact"
  # What stays is the last two complete chunks and the open one.
  report COMPACT "log of $HOT_UPDATES updates of 10 rows" MB "$(calc 'a / 1e6' a="$ours")" \
    "$(calc 'a / 1e6' a="$theirs")" "$(calc 'a / b' a="$ours" b="$theirs")" le 0.5 0.3 \
    "on disk $(calc 'a / 1e6' a="$(median COMPACT disk_bytes)") MB; a new client reads $(calc 'a / 1e6' \
      a="$(median COMPACT read_bytes)") MB"
}
