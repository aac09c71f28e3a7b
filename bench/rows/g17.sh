# G17: first syncs at the same moment: thousands of clients and one shape of 500 rows; and as many
# new small shapes, each with its client. Against what one client alone takes, times the clients,
# divided by the cores: waiting for others should not cost more than their work.

row_g17() {
  make_database bench_g17
  rm -rf "$WORK/g17"
  sql bench_g17 "$(make_table wanted)" "$(make_rows wanted 500)" \
    "$(make_table small)" "$(make_rows small $((NEW_SHAPES * 2)))" "VACUUM ANALYZE"
  start_busbar bench_g17 bench_g17 "$WORK/g17" \
    'BUSBAR_MAX_CONCURRENT_REQUESTS={"initial":10000,"existing":10000}'
  wait_active > /dev/null
  # The first shape of a table puts it into the publication, which is not what this row is about.
  shape_position '/v1/shape?table=small&where=id%20%3C%200' > /dev/null
  shape_position '/v1/shape?table=wanted' > /dev/null
  pair_g17() {
    local i
    for i in {1..20}; do
      first_syncs one_client 1 '/v1/shape?table=wanted'
      first_syncs one_shape 1 "/v1/shape?table=small&where=tenant%20%3D%20$i%20AND%20id%20%3E%20-$PAIR"
    done
    first_syncs clients "$FIRST_SYNCS" '/v1/shape?table=wanted'
    first_syncs cold_clients "$FIRST_SYNCS" "/v1/shape?table=wanted&where=id%20%3E%20-$PAIR"
    first_syncs shapes "$NEW_SHAPES" \
      "/v1/shape?table=small&where=id%20%3E%20-$PAIR%20AND%20tenant%20%3D%20{i}%20"
  }
  each_pair pair_g17
  stop_busbar
  drop_database bench_g17
  report_g17 "$FIRST_SYNCS clients sync one shape of 500 rows" clients one_client "$FIRST_SYNCS" \
    "when the shape is new too: $(median G17 cold_clients_s) s"
  report_g17 "$NEW_SHAPES small shapes created at once" shapes one_shape "$NEW_SHAPES" \
    "median client $(median G17 shapes_median_s) s"
}

first_syncs() { # first_syncs SERIES CLIENTS PATH
  local line before
  before=$(cpu_ns "$BUSBAR_PID")
  line=$("$LOAD" sync-clients --port "$HTTP_PORT" --path "$3" --count "$2" --reset)
  raw G17 "$1_s" "$(word seconds "$line")"
  raw G17 "$1_median_s" "$(word median_s "$line")"
  raw G17 "$1_cpu_ms" "$(calc '(b - a) / 1e6 / n' a="$before" b="$(cpu_ns "$BUSBAR_PID")" n="$2")"
}

report_g17() { # report_g17 WORKLOAD SERIES ONE-SERIES CLIENTS NOTE
  local ours theirs
  ours=$(median G17 "$2_s")
  theirs=$(calc 'one * n / cores' one="$(median G17 "$3_s")" n="$4" cores="$(nproc)")
  report G17 "$1" s "$ours" "$theirs" "$(calc 'a / b' a="$ours" b="$theirs")" le 1.5 1.1 \
    "one alone $(calc 'x * 1000' x="$(median G17 "$3_s")") ms; our CPU $(median G17 "$2_cpu_ms") ms a client (alone $(median G17 "$3_cpu_ms")); $5"
}
