# G16: resident memory of an idle server, and the time from its start until it is healthy when
# thousands of shapes lie on its disk. There is no comparator; the goals are absolute.

row_g16() {
  local line
  make_database bench_g16
  rm -rf "$WORK/g16"
  sql bench_g16 "$(make_table items)" "$(make_rows items 1000)"
  idle_g16() {
    rm -rf "$WORK/g16-empty"
    start_busbar bench_g16 bench_g16_empty "$WORK/g16-empty"
    line=$(wait_active)
    raw G16 empty_start_s "$(calc '(b - a) / 1e9' a="$BUSBAR_BEGAN_NS" b="$(word at_ns "$line")")"
    settle "$BUSBAR_PID"
    raw G16 idle_rss_mb "$(calc 'kb / 1024' kb="$(rss_kb "$BUSBAR_PID")")"
    stop_busbar
    sql bench_g16 "SELECT pg_drop_replication_slot('busbar_slot_bench_g16_empty')" > /dev/null
  }
  each_pair idle_g16

  start_busbar bench_g16 bench_g16 "$WORK/g16"
  wait_active > /dev/null
  say "G16: creating $STORED_SHAPES shapes"
  line=$("$LOAD" each --port "$HTTP_PORT" --to "$STORED_SHAPES" --parallel 16 \
    --path '/v1/shape?table=items&log=changes_only&offset=-1&where=tenant%20%3D%20{i}')
  raw G16 creation_s "$(word seconds "$line")"
  stop_busbar
  restart_g16() {
    start_busbar bench_g16 bench_g16 "$WORK/g16"
    line=$(wait_active)
    raw G16 start_s "$(calc '(b - a) / 1e9' a="$BUSBAR_BEGAN_NS" b="$(word at_ns "$line")")"
    settle "$BUSBAR_PID"
    raw G16 stored_rss_mb "$(calc 'kb / 1024' kb="$(rss_kb "$BUSBAR_PID")")"
    stop_busbar
  }
  each_pair restart_g16
  drop_database bench_g16

  report G16 "idle RSS after start" MB "$(median G16 idle_rss_mb)" - "$(median G16 idle_rss_mb)" \
    le 40 20 "with $STORED_SHAPES shapes on disk: $(median G16 stored_rss_mb) MB"
  report G16 "start to healthy, $STORED_SHAPES shapes on disk" s "$(median G16 start_s)" - \
    "$(median G16 start_s)" le 2 0.5 \
    "empty: $(median G16 empty_start_s) s; creating them took $(median G16 creation_s) s"
}
