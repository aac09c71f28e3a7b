# G3: the backlog into one matching shape while thousands of others are on the same table, against
# our own ingest with that shape alone. G3R, G3L and G3P: others with ranges, lists and two columns.

beside_others() { # beside_others ROW STREAM SHAPES WORKLOAD MUST AIM
  local row=$1 stream=$2 shapes=$3 workload=$4 must=$5 aim=$6 ours theirs
  prepare_backlog
  source "$WORK/backlog.env"
  pair_beside_others() {
    consume_ours "$row" "$stream" offset "with_$stream"
    consume_ours "$row" bench_match offset "alone_beside_$stream"
  }
  each_pair pair_beside_others
  ours=$(median "$row" "with_${stream}_rate")
  theirs=$(median "$row" "alone_beside_${stream}_rate")
  report "$row" "ingest with $shapes $workload" changes/s "$ours" "$theirs" \
    "$(calc 'a / b' a="$ours" b="$theirs")" ge "$must" "$aim" \
    "CPU $(median "$row" "with_${stream}_cpu_us") us/change, alone $(median "$row" \
      "alone_beside_${stream}_cpu_us"); peak RSS $(median "$row" "with_${stream}_peak_mb") MB"
}

row_g3() {
  beside_others G3 bench_tenants "$ROUTED_SHAPES" 'tenant = i' 0.9 0.95
  ((ROUTED_SHAPES_MORE == 0)) ||
    beside_others G3 bench_tenants_more "$ROUTED_SHAPES_MORE" 'tenant = i' 0.9 0.95
}
row_g3r() { beside_others G3R bench_ranges "$ROUTED_SHAPES" 'amount > i' 0.5 0.9; }
row_g3l() { beside_others G3L bench_lists "$ROUTED_SHAPES" 'tenant IN (20)' 0.5 0.9; }
row_g3p() { beside_others G3P bench_pairs "$ROUTED_SHAPES" 'tenant = i AND amount = j' 0.5 0.9; }
