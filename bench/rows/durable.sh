# DURABLE: the backlog of G1, from the moment at which PostgreSQL begins to stream until it has our
# confirmation that all is synced. RocksDB by itself then writes as many bytes, an entry a key, in as
# many synced groups as that took; and our storage does, an entry a transaction, which is the dearest
# way: that is the row's ratio. The line below it says how fast all of it went, which is how fast
# PostgreSQL sends; and both in blocks of 64 KiB, which is how large transactions are stored.

row_durable() {
  local ours theirs line
  prepare_backlog
  source "$WORK/backlog.env"
  consume_durable() { # as consume_ours does, but the numbers have to be read before it stops
    local slot=busbar_slot_bench_match began watch
    renew_slot kept_bench_match "$slot"
    rm -rf "$WORK/storage" && cp -a "$WORK/bench_match.kept" "$WORK/storage"
    sync
    sql bench_backlog "DO \$\$ BEGIN FOR i IN 1..90000 LOOP
        EXIT WHEN (SELECT confirmed_flush_lsn > '$BACKLOG_FLOOR' FROM pg_replication_slots
                   WHERE slot_name = '$slot');
        PERFORM pg_sleep(0.002); END LOOP; END \$\$" > /dev/null &
    watch=$!
    start_busbar bench_backlog bench_match "$WORK/storage"
    wait "$watch"
    local end
    end=$(now_ns)
    began=$(replication_began_ns "$slot")
    raw DURABLE backlog_s "$(calc '(b - a) / 1e9' a="$began" b="$end")"
    raw DURABLE bytes "$(busbar_metric busbar_shape_log_bytes_total)"
    raw DURABLE syncs "$(busbar_metric busbar_storage_sync_seconds_count)"
    stop_busbar
  }
  pair_durable() {
    local bytes syncs entry
    consume_durable
    bytes=$(awk -F '\t' '$2 == "bytes" { n = $3 } END { printf "%.0f", n }' "$OUT/raw.tsv")
    syncs=$(awk -F '\t' '$2 == "syncs" { n = $3 } END { printf "%.0f", n }' "$OUT/raw.tsv")
    entry=$(calc 'int(b / n)' b="$bytes" n="$BACKLOG_CHANGES")
    fill() { # fill PROGRAM OPTION…
      rm -rf "$WORK/fill"
      sync
      line=$("$@" --directory "$WORK/fill" --bytes "$bytes" --groups "$syncs")
      rm -rf "$WORK/fill"
      word seconds "$line"
    }
    raw DURABLE comparator_s "$(fill "$ROCKSDB" --value-bytes "$entry")"
    raw DURABLE ours_s "$(fill "$STORAGE" --entry-bytes "$entry")"
    raw DURABLE blocks_s "$(fill "$ROCKSDB" --value-bytes 65536)"
    raw DURABLE ours_blocks_s "$(fill "$STORAGE" --entry-bytes "$entry" --together 10000)"
  }
  each_pair pair_durable
  speed() { calc 'b / s / 1e6' b="$(median DURABLE bytes)" s="$(median DURABLE "$1")"; } # in MB/s
  ours=$(speed ours_s)
  theirs=$(speed comparator_s)
  report DURABLE "log of $BACKLOG_CHANGES changes, synced" MB/s "$ours" "$theirs" \
    "$(calc 'a / b' a="$ours" b="$theirs")" ge 0.7 1 \
    "$(median DURABLE bytes) B in $(median DURABLE syncs) syncs; in blocks of 64 KiB $(speed ours_blocks_s) and $(
      speed blocks_s) MB/s; from PostgreSQL to its confirmation $(speed backlog_s) MB/s"
}
