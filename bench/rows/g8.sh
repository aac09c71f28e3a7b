# G8: hot chunks of three sizes over kept connections: bytes per CPU second of the server, against
# nginx serving the same bytes from a file.

row_g8() {
  local size
  make_database bench_g8
  rm -rf "$WORK"/g8-*
  sql bench_g8 "$(make_table chunked)" "$(make_rows chunked 60000)" "VACUUM ANALYZE chunked"
  mkdir -p "$WORK/www"
  chmod 755 "$WORK/www"
  for size in 250000 1000000 10000000; do
    start_busbar bench_g8 "bench_g8_$size" "$WORK/g8-$size" \
      "BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD=$size"
    wait_active > /dev/null
    shape_position '/v1/shape?table=chunked' > /dev/null
    curl -sf -o "$WORK/www/chunk" "http://127.0.0.1:$HTTP_PORT/v1/shape?table=chunked&offset=-1"
    chmod 644 "$WORK/www/chunk"
    start_nginx "$WORK/www"
    settle "$BUSBAR_PID"
    pair_g8() {
      hot_reads ours "$size" "$BUSBAR_PID" \
        "http://127.0.0.1:$HTTP_PORT/v1/shape?table=chunked&offset=-1"
      hot_reads comparator "$size" "$NGINX_PID" "http://127.0.0.1:$NGINX_PORT/chunk"
    }
    each_pair pair_g8
    end_process "$NGINX_PID"
    stop_busbar
    report_g8 "$size"
  done
  drop_database bench_g8
}

hot_reads() { # hot_reads LABEL SIZE PID URL
  local before after line
  wrk -t 1 -c 8 -d 1 "$4" > /dev/null # warm
  before=$(cpu_ns "$3")
  line=$(wrk -t 1 -c 8 -d "$HTTP_SECONDS" -s "$BENCH/rows/totals.lua" "$4" | grep '^totals')
  after=$(cpu_ns "$3")
  [[ $(word errors "$line") == 0 ]] || die "G8: wrk met errors: $line"
  raw G8 "$1_$2" "$(calc 'b / 1e9 / ((t1 - t0) / 1e9)' b="$(word bytes "$line")" t0="$before" \
    t1="$after")"
  raw G8 "$1_$2_wall" "$(calc 'b / 1e9 / s' b="$(word bytes "$line")" s="$(word seconds "$line")")"
}

report_g8() {
  local ours theirs
  ours=$(median G8 "ours_$1")
  theirs=$(median G8 "comparator_$1")
  report G8 "hot chunk GET, $(stat -c %s "$WORK/www/chunk") B" "GB/CPU s" "$ours" "$theirs" \
    "$(calc 'a / b' a="$ours" b="$theirs")" ge 0.8 1.0 \
    "wall: $(median G8 "ours_$1_wall") against $(median G8 "comparator_$1_wall") GB/s"
}
