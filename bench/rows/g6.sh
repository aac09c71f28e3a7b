# G6: one change to thousands of long polls over kept connections: CPU time of a cycle (answer,
# then the next request read and parked), against a bare epoll responder that writes the very
# response that ours wrote and does no more with a request than to see that it is whole.

row_g6() {
  local ours theirs
  make_database bench_g6
  rm -rf "$WORK/g6"
  sql bench_g6 "CREATE TABLE feed (id serial PRIMARY KEY, body text NOT NULL)"
  start_busbar bench_g6 bench_g6 "$WORK/g6" BUSBAR_LONG_POLL_TIMEOUT=600000
  wait_active > /dev/null
  pair_g6() {
    local position handle offset polls
    position=$(shape_position '/v1/shape?table=feed')
    handle=${position#handle=} handle=${handle%%&*} offset=${position##*offset=}
    polls=(--path '/v1/shape?table=feed&live=true' --handle "$handle" --offset "$offset")
    fan_out G6 ours "$BUSBAR_PID" insert_into_feed "$SSE_CLIENTS" "$SSE_CHANGES" \
      poll-clients --port "$HTTP_PORT" --save-delivery "$WORK/answer" "${polls[@]}"
    start_bare --mode poll --payload "$WORK/answer"
    fan_out G6 comparator "$BARE_PID" trigger_bare "$SSE_CLIENTS" "$SSE_CHANGES" \
      poll-clients --port "$BARE_PORT" "${polls[@]}"
    end_process "$BARE_PID"
  }
  FEED_DATABASE=bench_g6 each_pair pair_g6
  stop_busbar
  drop_database bench_g6
  ours=$(median G6 ours_cpu_us)
  theirs=$(median G6 comparator_cpu_us)
  report G6 "long-poll cycle of $SSE_CLIENTS clients, $(median G6 ours_bytes) B" "CPU us/cycle" \
    "$ours" "$theirs" "$(calc 'a / b' a="$ours" b="$theirs")" le 2 1.3 \
    "commit to last client $(median G6 ours_last_client_ms) ms, one bare sweep $(median G6 comparator_last_client_ms) ms"
}
