# SCRAPE: a scrape of a node with thousands of shapes and waiting clients: how long it takes and how
# large it is. There is no comparator; the goals are absolute.

row_scrape() {
  local position line fd client_pid i
  make_database bench_scrape
  rm -rf "$WORK/scrape"
  sql bench_scrape "$(make_table items)" "$(make_rows items 1000)" \
    "$(make_table waited)" "$(make_rows waited 10)"
  start_busbar bench_scrape bench_scrape "$WORK/scrape" BUSBAR_LONG_POLL_TIMEOUT=600000 \
    BUSBAR_TENANT_COLUMN=tenant
  wait_active > /dev/null
  say "SCRAPE: creating $STORED_SHAPES shapes"
  "$LOAD" each --port "$HTTP_PORT" --to "$STORED_SHAPES" --parallel 16 \
    --path '/v1/shape?table=items&log=changes_only&offset=-1&where=tenant%20%3D%20{i}' > /dev/null
  position=$(shape_position '/v1/shape?table=waited')
  exec {fd}< <(exec "$LOAD" park --port "$HTTP_PORT" --count "$PARKED_CLIENTS" --reset \
    --path "/v1/shape?table=waited&$position&live=true")
  client_pid=$!
  note_process "$client_pid"
  read -r -t 120 -u "$fd" line || die "SCRAPE: the clients could not be parked"
  settle "$BUSBAR_PID"
  for ((i = 0; i < 5 * PAIRS; i++)); do
    line=$(curl -sS -o "$WORK/scrape.metrics" -w 'seconds=%{time_total} bytes=%{size_download}' \
      "http://127.0.0.1:$METRICS_PORT/metrics")
    raw SCRAPE scrape_ms "$(calc 's * 1000' s="$(word seconds "$line")")"
    raw SCRAPE scrape_kb "$(calc 'b / 1000' b="$(word bytes "$line")")"
    line=$(curl -sS -o /dev/null -w 'seconds=%{time_total}' \
      "http://127.0.0.1:$METRICS_PORT/status.json")
    raw SCRAPE status_ms "$(calc 's * 1000' s="$(word seconds "$line")")"
  done
  kill -TERM "$client_pid"
  read -r -t 60 -u "$fd" line || die "SCRAPE: the clients did not end"
  exec {fd}<&-
  stop_busbar
  drop_database bench_scrape
  report SCRAPE "a scrape, $STORED_SHAPES shapes, $PARKED_CLIENTS parked polls" ms \
    "$(median SCRAPE scrape_ms)" - "$(median SCRAPE scrape_ms)" le 50 20 \
    "the status page's data: $(median SCRAPE status_ms) ms"
  report SCRAPE "its size" kB "$(median SCRAPE scrape_kb)" - "$(median SCRAPE scrape_kb)" le 1000 200 ""
}
