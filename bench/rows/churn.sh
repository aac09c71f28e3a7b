# CHURN: how late commits reach event streams of a table on which there are 100,000 shapes, while others are
# made and the oldest removed all the time; against the same without that. Every commit has a row
# that those who listen want, and one for a shape that nobody reads.

CHURN_CLIENTS=200    # The row is about the feed, not about the number of readers.
CHURN_PER_SECOND=300 # Shapes made, and as many removed.

row_churn() {
  local ours theirs next
  local query='table=feed&log=changes_only&where=tenant%20%3D%20{i}'
  make_database bench_churn
  rm -rf "$WORK/churn"
  sql bench_churn "CREATE TABLE feed (id bigserial PRIMARY KEY, tenant int4 NOT NULL, sent_ns int8 NOT NULL)"
  start_busbar bench_churn bench_churn "$WORK/churn" "$ADMIT_ALL" BUSBAR_ENABLE_INTEGRATION_TESTING=true
  wait_active > /dev/null
  # The first shape of a table puts it into the publication.
  shape_position '/v1/shape?table=feed&where=tenant%20%3D%200' > /dev/null
  register CHURN standing 256 "$STANDING_SHAPES" "$query"
  next=$((STANDING_SHAPES + 1))
  pair_churn() {
    settle "$BUSBAR_PID"
    lateness_churn alone
    settle "$BUSBAR_PID"
    begin_churn "$next" "$query"
    lateness_churn beside
    end_churn
    next=$(word next "$CHURN_LINE")
  }
  each_pair pair_churn
  stop_busbar
  drop_database bench_churn
  rm -rf "$WORK/churn"
  ours=$(median CHURN beside_p99_ms)
  theirs=$(median CHURN alone_p99_ms)
  report CHURN "commit to client, $STANDING_SHAPES shapes, p99" ms "$ours" "$theirs" \
    "$(calc 'a / b' a="$ours" b="$theirs")" le 3 1.5 \
    "$(median CHURN changed_per_s) shapes a second made and as many removed, p99 of making one $(median \
      CHURN made_p99_ms) ms; p50 $(median CHURN beside_p50_ms) ms, alone $(median CHURN \
      alone_p50_ms); worst $(median CHURN beside_max_ms) ms, alone $(median CHURN alone_max_ms)"
}

lateness_churn() { # lateness_churn SERIES
  local line part
  line=$(lateness CHURN bench_churn '/v1/shape?table=feed&where=tenant%20%3D%200' "$CHURN_CLIENTS" \
    "INSERT INTO feed (tenant, sent_ns) SELECT t, $SENT_NS
     FROM unnest(ARRAY[0, 1 + (random() * $STANDING_SHAPES)::int]) t")
  for part in p50_ms p99_ms max_ms; do raw CHURN "$1_$part" "$(word "$part" "$line")"; done
}

begin_churn() { # begin_churn FIRST QUERY
  exec {CHURN_FD}< <(exec "$LOAD" churn --port "$HTTP_PORT" --path "/v1/shape?offset=-1&$2" --from "$1" \
    --standing "$STANDING_SHAPES" --per-second "$CHURN_PER_SECOND" --parallel 64)
  CHURN_PID=$!
  note_process "$CHURN_PID"
}

end_churn() { # sets CHURN_LINE
  kill -TERM "$CHURN_PID" 2> /dev/null || true
  read -r -t 60 -u "$CHURN_FD" CHURN_LINE || die "CHURN: the shapes did not come and go to the end"
  exec {CHURN_FD}<&-
  raw CHURN changed_per_s "$(word per_second "$CHURN_LINE")"
  raw CHURN made_p99_ms "$(word made_p99_ms "$CHURN_LINE")"
}
