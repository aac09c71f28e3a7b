# METRICS: what metrics cost of ingest: the backlog of G1 with every series counted and scraped every two seconds (far
# more often than a Prometheus does), against the same with counting that does nothing and no metrics port.

row_metrics() {
  prepare_backlog
  source "$WORK/backlog.env"
  pair_metrics() {
    SERVER_ENV=()
    scrape_again_and_again &
    SCRAPER_PID=$!
    consume_ours METRICS bench_match offset with
    kill -TERM "$SCRAPER_PID"
    wait "$SCRAPER_PID" || true
    SERVER_ENV=(LD_PRELOAD="$NO_METRICS" BUSBAR_METRICS_PORT=0)
    consume_ours METRICS bench_match offset without
    SERVER_ENV=()
  }
  each_pair pair_metrics
  report METRICS "ingest with metrics and scrapes, without" changes/s "$(median METRICS with_rate)" \
    "$(median METRICS without_rate)" \
    "$(calc 'a / b' a="$(median METRICS with_rate)" b="$(median METRICS without_rate)")" ge 0.98 0.99 ""
  report METRICS "the same, CPU" "CPU us/change" "$(median METRICS with_cpu_us)" \
    "$(median METRICS without_cpu_us)" \
    "$(calc 'a / b' a="$(median METRICS with_cpu_us)" b="$(median METRICS without_cpu_us)")" le 1.02 1.01 \
    "$(median METRICS scrapes) scrapes a run"
}

# Of whichever server listens where consume_ours has written that it does.
scrape_again_and_again() {
  local done=0 port
  trap 'raw METRICS scrapes $done; exit' TERM
  while sleep 2; do
    port=$(< "$WORK/metrics.port")
    ! curl -sf -m 5 -o /dev/null "http://127.0.0.1:$port/metrics" || done=$((done + 1))
  done
}
