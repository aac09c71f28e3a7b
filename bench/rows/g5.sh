# G5: one change to every one of thousands of event streams: CPU time per delivery, against the
# bare server writing the very bytes that ours wrote. G7: the time from the change, its commit
# included, to the last client, against one sweep of the bare server; the same measurements.

row_g5() {
  local ours theirs
  make_database bench_g5
  rm -rf "$WORK/g5"
  sql bench_g5 "CREATE TABLE feed (id serial PRIMARY KEY, body text NOT NULL)"
  start_busbar bench_g5 bench_g5 "$WORK/g5"
  wait_active > /dev/null
  pair_g5() {
    local position
    position=$(shape_position '/v1/shape?table=feed')
    fan_out G5 ours "$BUSBAR_PID" insert_into_feed "$SSE_CLIENTS" "$SSE_CHANGES" \
      sse-clients --port "$HTTP_PORT" --save-delivery "$WORK/delivery" \
      --path "/v1/shape?table=feed&$position&live=true&live_sse=true"
    fan_out_bare G5 "$SSE_CLIENTS" "$SSE_CHANGES" --payload "$WORK/delivery"
  }
  FEED_DATABASE=bench_g5 each_pair pair_g5
  stop_busbar
  drop_database bench_g5
  ours=$(median G5 ours_cpu_us)
  theirs=$(median G5 comparator_cpu_us)
  report G5 "SSE to $SSE_CLIENTS clients, $(median G5 ours_bytes) B each" "CPU us/delivery" \
    "$ours" "$theirs" "$(calc 'a / b' a="$ours" b="$theirs")" le 1.5 1.1 ""
  ours=$(median G5 ours_last_client_ms)
  theirs=$(median G5 comparator_last_client_ms)
  report G7 "commit to the last of $SSE_CLIENTS SSE clients" ms "$ours" "$theirs" \
    "$(calc 'a / b' a="$ours" b="$theirs")" le 2 1.2 ""
}
row_g7() { row_g5; }

insert_into_feed() { # the row makes a log entry of about 300 B
  TRIGGER_NS=$(sql "$FEED_DATABASE" "INSERT INTO feed (body) VALUES (repeat('abcdefgh', 13))
    RETURNING (extract(epoch FROM clock_timestamp()) * 1e9)::int8")
}
