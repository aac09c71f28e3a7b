# G18: a scrape of a node with thousands of shapes and waiting clients: how long it takes and how
# large it is. There is no comparator; the goals are absolute.

row_g18() {
  local position line fd client_pid i
  make_database bench_g18
  rm -rf "$WORK/g18"
  sql bench_g18 "$(make_table items)" "$(make_rows items 1000)" \
    "$(make_table waited)" "$(make_rows waited 10)"
  start_busbar bench_g18 bench_g18 "$WORK/g18" BUSBAR_LONG_POLL_TIMEOUT=600000 \
    BUSBAR_TENANT_COLUMN=tenant
  wait_active > /dev/null
  say "G18: creating $STORED_SHAPES shapes"
  "$LOAD" each --port "$HTTP_PORT" --to "$STORED_SHAPES" --parallel 16 \
    --path '/v1/shape?table=items&log=changes_only&offset=-1&where=tenant%20%3D%20{i}' > /dev/null
  position=$(shape_position '/v1/shape?table=waited')
  exec {fd}< <(exec "$LOAD" park --port "$HTTP_PORT" --count "$PARKED_CLIENTS" --reset \
    --path "/v1/shape?table=waited&$position&live=true")
  client_pid=$!
  note_process "$client_pid"
  read -r -t 120 -u "$fd" line || die "G18: the clients could not be parked"
  settle "$BUSBAR_PID"
  for ((i = 0; i < 5 * PAIRS; i++)); do
    line=$(curl -sS -o "$WORK/g18.metrics" -w 'seconds=%{time_total} bytes=%{size_download}' \
      "http://127.0.0.1:$METRICS_PORT/metrics")
    raw G18 scrape_ms "$(calc 's * 1000' s="$(word seconds "$line")")"
    raw G18 scrape_kb "$(calc 'b / 1000' b="$(word bytes "$line")")"
    line=$(curl -sS -o /dev/null -w 'seconds=%{time_total}' \
      "http://127.0.0.1:$METRICS_PORT/status.json")
    raw G18 status_ms "$(calc 's * 1000' s="$(word seconds "$line")")"
  done
  kill -TERM "$client_pid"
  read -r -t 60 -u "$fd" line || die "G18: the clients did not end"
  exec {fd}<&-
  stop_busbar
  drop_database bench_g18
  report G18 "a scrape, $STORED_SHAPES shapes, $PARKED_CLIENTS parked polls" ms \
    "$(median G18 scrape_ms)" - "$(median G18 scrape_ms)" le 50 20 \
    "the status page's data: $(median G18 status_ms) ms"
  report G18 "its size" kB "$(median G18 scrape_kb)" - "$(median G18 scrape_kb)" le 1000 200 ""
}
