# REG: how fast new shapes come into being when many are asked for at once, over connections that are
# kept: shapes that read nothing (log=changes_only), and small ones. G12: what each of them keeps in
# memory from then on. There is no comparator; the goals are absolute.

row_reg() {
  make_database bench_reg
  rm -rf "$WORK/reg"
  sql bench_reg "$(make_table items)" "$(make_rows items 1000)" "CREATE INDEX ON items (tenant)" \
    "VACUUM ANALYZE"
  start_busbar bench_reg bench_reg "$WORK/reg" "$ADMIT_ALL"
  wait_active > /dev/null
  # The first shape of a table puts it into the publication, which is not what this row is about.
  shape_position '/v1/shape?table=items&where=id%20%3C%200' > /dev/null
  pair_reg() {
    register REG one 1 100 "table=items&where=tenant%20%3D%20{i}%20AND%20id%20%3E%20-$PAIR"
    register REG logs 1024 "$REGISTERED" \
      "table=items&log=changes_only&where=tenant%20%3D%20{i}%20AND%20id%20%3E%20-$PAIR"
    register REG small 256 $((REGISTERED / 5)) \
      "table=items&where=id%20%3D%20{i}%20AND%20tenant%20%3E%20-$PAIR"
  }
  each_pair pair_reg
  stop_busbar
  drop_database bench_reg

  report REG "shapes without a snapshot, 1,024 at a time" 1/s "$(median REG logs_per_s)" - \
    "$(median REG logs_per_s)" ge 10000 10000 "our CPU $(median REG logs_cpu_us) us each"
  report REG "small shapes, 256 at a time" 1/s "$(median REG small_per_s)" - \
    "$(median REG small_per_s)" ge 500 1000 \
    "our CPU $(median REG small_cpu_us) us each; one alone takes $(calc '1000 / n' n="$(median REG one_per_s)") ms"
}

row_g12() {
  local few many
  make_database bench_g12
  rm -rf "$WORK/g12"
  sql bench_g12 "$(make_table items)" "$(make_rows items 1000)"
  start_busbar bench_g12 bench_g12 "$WORK/g12" "$ADMIT_ALL"
  wait_active > /dev/null
  local shape='table=items&log=changes_only&where=tenant%20%3D%20{i}'
  register G12 few 64 100 "$shape"
  settle "$BUSBAR_PID"
  few=$(rss_kb "$BUSBAR_PID")
  register G12 many 256 "$IDLE_SHAPES" "$shape" 101
  settle "$BUSBAR_PID"
  many=$(rss_kb "$BUSBAR_PID")
  stop_busbar
  start_busbar bench_g12 bench_g12 "$WORK/g12"
  wait_active > /dev/null
  settle "$BUSBAR_PID"
  raw G12 bytes "$(calc '(b - a) * 1024 / n' a="$few" b="$many" n=$((IDLE_SHAPES - 100)))"
  raw G12 restarted_bytes "$(calc '(b - a) * 1024 / n' a="$few" b="$(rss_kb "$BUSBAR_PID")" n=$((IDLE_SHAPES - 100)))"
  stop_busbar
  drop_database bench_g12

  report G12 "memory per idle shape, $IDLE_SHAPES of them" B "$(median G12 bytes)" - \
    "$(median G12 bytes)" le 2048 512 \
    "after a restart $(median G12 restarted_bytes) B; made at $(median G12 many_per_s) a second"
}

ADMIT_ALL='BUSBAR_MAX_CONCURRENT_REQUESTS={"initial":10000,"existing":10000}'

# register ROW SERIES PARALLEL LAST QUERY [FIRST]: shapes per second, and our CPU time of one.
register() {
  local row=$1 series=$2 parallel=$3 to=$4 from=${6:-1} line before
  before=$(cpu_ns "$BUSBAR_PID")
  line=$("$LOAD" each --port "$HTTP_PORT" --from "$from" --to "$to" --parallel "$parallel" \
    --path "/v1/shape?offset=-1&$5")
  raw "$row" "${series}_per_s" "$(calc 'n / s' n=$((to - from + 1)) s="$(word seconds "$line")")"
  raw "$row" "${series}_cpu_us" "$(calc '(b - a) / 1e3 / n' a="$before" \
    b="$(cpu_ns "$BUSBAR_PID")" n=$((to - from + 1)))"
}
