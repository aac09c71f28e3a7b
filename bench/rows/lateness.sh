# How late committed rows reach event streams. Commits come at a fixed pace, 20 a second, whether or not
# those before have arrived; each row says when it was sent.

# lateness ROW DATABASE SHAPE CLIENTS STATEMENT [COMMAND…]: prints "p50_ms=… p99_ms=… max_ms=…" of
# $OTHERS_SECONDS seconds, in which STATEMENT is what each transaction does. The
# COMMAND runs meanwhile, from two seconds after the beginning.
lateness() {
  local row=$1 database=$2 shape=$3 clients=$4 statement=$5 position line fd client writer
  shift 5
  position=$(shape_position "$shape")
  exec {fd}< <(exec "$LOAD" timed-clients --port "$HTTP_PORT" --count "$clients" --patience 30 \
    --path "$shape&$position&live=true&live_sse=true")
  client=$!
  note_process "$client"
  read -r -t 60 -u "$fd" line || die "$row: the clients did not get ready"
  [[ $line == ready* ]] || die "$row: $line"
  sql "$database" "DO \$\$ BEGIN FOR i IN 1..$((OTHERS_SECONDS * 20)) LOOP
      $statement; COMMIT; PERFORM pg_sleep(0.05); END LOOP; END \$\$" > /dev/null &
  writer=$!
  if (($# > 0)); then
    sleep 2
    "$@"
  fi
  wait "$writer"
  await_seen "$database" "$shape"
  kill -TERM "$client"
  read -r -t 30 -u "$fd" line || die "$row: the clients did not finish"
  exec {fd}<&-
  echo "$line"
}
# An expression of SQL, for a column sent_ns.
SENT_NS='(extract(epoch FROM clock_timestamp()) * 1e9)::int8'

# await_seen DATABASE SHAPE: until all that was committed has been seen.
await_seen() {
  "$LOAD" await --port "$HTTP_PORT" --path "$2&offset=now" --interval-ms 20 --patience 120 \
    --seen-from "$(sql "$1" "SELECT pg_current_wal_lsn() - '0/0' - 1000")" > /dev/null
}
