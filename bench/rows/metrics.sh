# METRICS: what metrics cost of ingest: the backlog of G1 with every series counted and one scrape meanwhile (a
# Prometheus comes every 15 seconds, a run takes a few), against the same with counting that does nothing and no
# metrics port.

row_metrics() {
  prepare_backlog
  source "$WORK/backlog.env"
  pair_metrics() {
    SERVER_ENV=()
    rm -f "$WORK/metrics.port"
    scrape_once &
    SCRAPER_PID=$!
    consume_ours METRICS bench_match offset with
    wait "$SCRAPER_PID" || die "METRICS: nobody was scraped"
    SERVER_ENV=(LD_PRELOAD="$NO_METRICS" BUSBAR_METRICS_PORT=0)
    consume_ours METRICS bench_match offset without
    SERVER_ENV=()
  }
  each_pair pair_metrics
  report METRICS "ingest with metrics, without" changes/s "$(median METRICS with_rate)" \
    "$(median METRICS without_rate)" \
    "$(calc 'a / b' a="$(median METRICS with_rate)" b="$(median METRICS without_rate)")" ge 0.98 0.99 ""
  report METRICS "the same, CPU" "CPU us/change" "$(median METRICS with_cpu_us)" \
    "$(median METRICS without_cpu_us)" \
    "$(calc 'a / b' a="$(median METRICS with_cpu_us)" b="$(median METRICS without_cpu_us)")" le 1.02 1.01 \
    "the scrape took $(median METRICS scrape_ms) ms"
}

# As soon as a server that consume_ours has started answers.
scrape_once() {
  local i line
  for ((i = 0; i < 300; i++)); do
    sleep 0.1
    if [[ -s $WORK/metrics.port ]] && line=$(curl -sf -m 5 -o /dev/null -w 'seconds=%{time_total}' \
      "http://127.0.0.1:$(< "$WORK/metrics.port")/metrics"); then
      raw METRICS scrape_ms "$(calc 's * 1000' s="$(word seconds "$line")")"
      return
    fi
  done
  return 1
}
