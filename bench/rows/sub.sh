# SUB: a thousand shapes that ask, each by a subquery, which members a team has, while the members
# move between the teams; and what a value of an inner set keeps in memory. There is no comparator.

row_sub() {
  local before values
  make_database bench_sub
  rm -rf "$WORK/sub"
  sql bench_sub "$(make_table items)" "$(make_rows items 100000)" "CREATE INDEX ON items (tenant)" \
    "CREATE TABLE members (id int PRIMARY KEY, team int, many int)" \
    "INSERT INTO members SELECT i, 1 + i % 1000, 0 FROM generate_series(0, 999) i" \
    "CREATE TABLE large (id int8 PRIMARY KEY)" \
    "INSERT INTO large SELECT i FROM generate_series(1, $INNER_VALUES) i" "VACUUM ANALYZE"
  start_busbar bench_sub bench_sub "$WORK/sub" "$ADMIT_ALL"
  wait_active > /dev/null
  shape_position '/v1/shape?table=items&where=id%20%3C%200' > /dev/null
  register SUB shapes 64 1000 \
    "table=items&columns=id,tenant&where=tenant%20IN%20(SELECT%20id%20FROM%20members%20WHERE%20team%20%3D%20{i})"
  pair_sub() {
    sub_changes inner "UPDATE members SET team = 1 + (team + 7) % 1000 WHERE id = (n * 7919) % 1000"
    sub_changes outer "UPDATE items SET title = 'new ' || n WHERE id = 1 + (n * 7919) % 100000"
  }
  each_pair pair_sub
  settle "$BUSBAR_PID"
  before=$(rss_kb "$BUSBAR_PID")
  shape_position '/v1/shape?table=items&columns=id&where=id%20IN%20(SELECT%20id%20FROM%20large)%20AND%20id%20%3C%200' > /dev/null
  settle "$BUSBAR_PID"
  values=$(calc '(b - a) * 1024 / n' a="$before" b="$(rss_kb "$BUSBAR_PID")" n="$INNER_VALUES")
  stop_busbar
  drop_database bench_sub

  report SUB "1000 subqueries, members move" changes/s "$(median SUB inner_per_s)" - \
    "$(median SUB inner_per_s)" ge 0 0 "our CPU $(median SUB inner_cpu_us) us a change; shapes made at $(median SUB shapes_per_s) a second"
  report SUB "1000 subqueries, their rows change" changes/s "$(median SUB outer_per_s)" - \
    "$(median SUB outer_per_s)" ge 0 0 "our CPU $(median SUB outer_cpu_us) us a change"
  report SUB "memory per inner value, $INNER_VALUES of them" B "$values" - "$values" le 100 60 \
    "with what RocksDB still holds of them in memory"
}

# sub_changes SERIES STATEMENT: single transactions, and how long until PostgreSQL is told that all of
# them are safe, which no shape that waits for rows allows.
sub_changes() {
  local began cpu position deadline=$((SECONDS + 60 + INNER_MOVES / 100))
  cpu=$(cpu_ns "$BUSBAR_PID")
  began=$(now_ns)
  sql bench_sub "SET synchronous_commit = off" \
    "DO \$\$ BEGIN FOR n IN 1..$INNER_MOVES LOOP $2; COMMIT; END LOOP; END \$\$"
  position=$(sql bench_sub 'SELECT pg_current_wal_insert_lsn()')
  until [[ $(sql bench_sub "SELECT confirmed_flush_lsn >= '$position' FROM pg_replication_slots
    WHERE slot_name = 'busbar_slot_bench_sub'") == t ]]; do
    ((SECONDS < deadline)) || die "SUB $1: $(sql bench_sub "SELECT pg_wal_lsn_diff('$position',
      confirmed_flush_lsn) || ' bytes of WAL are missing at ' || confirmed_flush_lsn
      FROM pg_replication_slots WHERE slot_name = 'busbar_slot_bench_sub'"); see $WORK/busbar-bench_sub.log"
    sleep 0.05
    sql bench_sub "UPDATE items SET title = 'last' WHERE id = 1"
  done
  raw SUB "${1}_per_s" "$(calc 'n / ((b - a) / 1e9)' a="$began" b="$(now_ns)" n="$INNER_MOVES")"
  raw SUB "${1}_cpu_us" "$(calc '(b - a) / 1e3 / n' a="$cpu" b="$(cpu_ns "$BUSBAR_PID")" n="$INNER_MOVES")"
}
