# G11: memory per parked long poll: RSS growth of the server plus the kernel's part, against the
# bare server holding as many sockets. The kernel's part is half the growth of Slab, because both
# ends of every connection are on this machine. Every repetition starts a new server: a process
# that has once held the clients would reuse that memory.

row_g11() {
  local ours theirs
  make_database bench_g11
  rm -rf "$WORK/g11"
  sql bench_g11 "$(make_table waited)" "$(make_rows waited 10)"
  pair_g11() {
    local position
    # Nobody may be answered while we look.
    start_busbar bench_g11 bench_g11 "$WORK/g11" BUSBAR_LONG_POLL_TIMEOUT=600000
    wait_active > /dev/null
    position=$(shape_position '/v1/shape?table=waited')
    hold_clients ours "$BUSBAR_PID" "$HTTP_PORT" "/v1/shape?table=waited&$position&live=true"
    stop_busbar
    start_bare --mode hold
    hold_clients comparator "$BARE_PID" "$BARE_PORT" \
      "/v1/shape?table=waited&$position&live=true"
    end_process "$BARE_PID"
  }
  each_pair pair_g11
  drop_database bench_g11
  ours=$(median G11 ours_bytes)
  theirs=$(median G11 comparator_bytes)
  report G11 "$PARKED_CLIENTS parked long polls" "B/client" "$ours" "$theirs" \
    "$(calc 'a / b' a="$ours" b="$theirs")" le 1.5 1.1 \
    "RSS $(median G11 ours_rss_bytes) B against $(median G11 comparator_rss_bytes) B, the rest is the kernel's"
}

hold_clients() { # hold_clients LABEL PID PORT PATH
  local rss slab line fd client_pid
  settle "$2"
  rss=$(rss_kb "$2")
  slab=$(slab_kb)
  exec {fd}< <(exec "$LOAD" park --port "$3" --path "$4" --count "$PARKED_CLIENTS" --reset)
  client_pid=$!
  note_process "$client_pid"
  read -r -t 120 -u "$fd" line || die "G11: the clients could not be parked"
  settle "$2"
  raw G11 "$1_rss_bytes" "$(calc '(b - a) * 1024 / n' a="$rss" b="$(rss_kb "$2")" \
    n="$PARKED_CLIENTS")"
  raw G11 "$1_kernel_bytes" "$(calc '(b - a) * 1024 / 2 / n' a="$slab" b="$(slab_kb)" \
    n="$PARKED_CLIENTS")"
  raw G11 "$1_bytes" "$(tail -n 2 "$OUT/raw.tsv" | awk -F '\t' '{ s += $3 } END { print s }')"
  kill -TERM "$client_pid"
  read -r -t 60 -u "$fd" line || die "G11: the clients did not end"
  [[ $(word answered "$line") == 0 ]] || die "G11: polls were answered: $line"
  exec {fd}<&-
}
