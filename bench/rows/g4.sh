# G4: what one more filter that no index knows (ILIKE '%x<i>%') costs per change, against a bare loop
# that calls the same matcher on the same titles and patterns. Ours is the difference in CPU between
# the backlog with and without the filters, divided by their number.

row_g4() {
  local ours theirs with without
  prepare_backlog
  source "$WORK/backlog.env"
  pair_g4() {
    consume_ours G4 bench_ilike seen with
    consume_ours G4 bench_idle seen without
    raw G4 comparator_ns "$(word ns "$("$MATCHER" --rows 20000 --patterns "$SCANNED_SHAPES")")"
  }
  each_pair pair_g4
  with=$(median G4 with_cpu_us)
  without=$(median G4 without_cpu_us)
  ours=$(calc '(a - b) * 1000 / n' a="$with" b="$without" n="$SCANNED_SHAPES")
  theirs=$(median G4 comparator_ns)
  report G4 "one more ILIKE filter, of $SCANNED_SHAPES" "CPU ns/change" "$ours" "$theirs" \
    "$(calc 'a / b' a="$ours" b="$theirs")" le 2 1 \
    "CPU $with us/change with them, $without without"
}
