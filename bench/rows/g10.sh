# G10: first sync of a shape that does not exist yet, to the last byte, against COPY of the same
# columns over the same kind of connection. Every repetition asks for a new shape.

row_g10() {
  local ours theirs line
  make_database bench_g10
  rm -rf "$WORK/g10"
  say "G10: writing $SYNC_ROWS rows"
  sql bench_g10 "$(make_table big)" "SET synchronous_commit = off" \
    "$(make_rows big "$SYNC_ROWS")" "VACUUM ANALYZE big"
  sql bench_g10 "SELECT count(body) FROM big" > /dev/null # into shared buffers
  start_busbar bench_g10 bench_g10 "$WORK/g10"
  wait_active > /dev/null
  # The first shape puts the table into the publication, which is not what this row is about.
  shape_position '/v1/shape?table=big&where=id%20%3C%200' > /dev/null
  raw G10 idle_rss_mb "$(calc 'kb / 1024' kb="$(rss_kb "$BUSBAR_PID")")"
  pair_g10() {
    settle "$BUSBAR_PID"
    echo 5 > "/proc/$BUSBAR_PID/clear_refs" # forget the peak so far
    local cpu
    cpu=$(cpu_ns "$BUSBAR_PID")
    line=$("$LOAD" get --port "$HTTP_PORT" --path "/v1/shape?table=big&where=id%20%3E%20-$PAIR")
    raw G10 ours_s "$(word seconds "$line")"
    raw G10 ours_cpu_s "$(calc '(b - a) / 1e9' a="$cpu" b="$(cpu_ns "$BUSBAR_PID")")"
    raw G10 ours_first_byte_s "$(word first_byte_s "$line")"
    raw G10 ours_bytes "$(word bytes "$line")"
    raw G10 ours_peak_rss_mb "$(calc 'kb / 1024' kb="$(status_kb "$BUSBAR_PID" VmHWM)")"
    "$LOAD" run --report "$WORK/copy.report" -- "$PG_BIN/psql" -Xq -h 127.0.0.1 -p "$PG_PORT" \
      -U postgres -d bench_g10 -c "COPY (SELECT id, tenant, title, body, amount, created FROM big
      WHERE id > -$PAIR) TO STDOUT" > /dev/null || die "COPY failed"
    raw G10 comparator_s "$(word wall_s "$(< "$WORK/copy.report")")"
  }
  each_pair pair_g10
  line=$("$LOAD" get --count --port "$HTTP_PORT" --path '/v1/shape?table=big&where=id%20%3E%20-1')
  [[ $(word changes "$line") == "$SYNC_ROWS" ]] || die "G10: not all rows arrived: $line"
  stop_busbar
  drop_database bench_g10
  rm -rf "$WORK/g10"
  ours=$(median G10 ours_s)
  theirs=$(median G10 comparator_s)
  report G10 "first sync, $SYNC_ROWS rows, cold" s "$ours" "$theirs" \
    "$(calc 'a / b' a="$ours" b="$theirs")" le 1.4 1.1 \
    "peak RSS $(median G10 ours_peak_rss_mb) MB (idle $(median G10 idle_rss_mb)), CPU $(median G10 ours_cpu_s) s, first byte $(median G10 ours_first_byte_s) s"
}
