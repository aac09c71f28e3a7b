# G2: the same backlog when the only shape matches nothing: CPU time per change, of our whole
# process from its start, against pg_recvlogical's.

row_g2() {
  local ours theirs
  prepare_backlog
  source "$WORK/backlog.env"
  pair_g2() {
    consume_ours G2 bench_idle seen
    consume_comparator G2 bench_idle
  }
  each_pair pair_g2
  ours=$(median G2 ours_cpu_us)
  theirs=$(median G2 comparator_cpu_us)
  report G2 "$BACKLOG_CHANGES changes, no shape matches" "CPU us/change" "$ours" "$theirs" \
    "$(calc 'a / b' a="$ours" b="$theirs")" le 2 1.2 \
    "throughput ratio $(calc 'a / b' a="$(median G2 ours_rate)" b="$(median G2 comparator_rate)")"
}
