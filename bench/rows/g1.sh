# G1: ingest of the backlog into one matching shape, against pg_recvlogical into a file. Timed from
# the moment at which PostgreSQL begins to stream, for both.

row_g1() {
  local ours theirs
  prepare_backlog
  source "$WORK/backlog.env"
  pair_g1() {
    consume_ours G1 bench_match offset
    consume_comparator G1 bench_match
  }
  each_pair pair_g1
  ours=$(median G1 ours_rate)
  theirs=$(median G1 comparator_rate)
  report G1 "ingest $BACKLOG_CHANGES changes, one shape" changes/s "$ours" "$theirs" \
    "$(calc 'a / b' a="$ours" b="$theirs")" ge 0.8 0.95 \
    "from start: $(calc 'b / a' a="$(median G1 ours_from_start_s)" \
      b="$(median G1 comparator_from_start_s)"); until confirmed: $(calc 'b / a' \
      a="$(median G1 ours_durable_s)" b="$(median G1 comparator_s)"); our CPU $(median G1 ours_cpu_us) us/change, peak RSS $(median G1 ours_peak_mb) MB"
}
