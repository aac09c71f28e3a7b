// tests/integration/stream_reader.hpp: a replication stream whose transactions read as short texts.
#pragma once

#include "tests/integration/postgres_server.hpp"

#include <deque>
#include <map>

namespace busbar::testing {

/// One whole transaction. A change reads "<position> <table> [key only] <old> > <new>", an insert
/// "+ <new>", a delete "- <old>"; values are joined by '|', NULL is '~'.
struct seen_transaction {
  lsn commit{};
  lsn end{};
  std::uint32_t xid = 0;
  std::size_t frames = 0;
  std::vector<std::string> changes;   ///< Busbar's messages among them, "message <content>".
  std::vector<std::string> relations; ///< Described in this transaction's frames.
};

class stream_reader {
public:
  /// Opens the stream, which makes publication and slot; throws if PostgreSQL refuses.
  explicit stream_reader(const postgres::stream_settings& settings)
      : stream_{must(postgres::replication_stream::open(settings, stop_))} {}
  stream_reader(stream_reader&& other) noexcept
      : stream_{std::move(other.stream_)}, ready_{std::move(other.ready_)},
        open_{std::move(other.open_)}, tables_{std::move(other.tables_)}, idle_{other.idle_} {}

  void start(lsn durable = {}) { must(stream_.start(durable)); }
  postgres::replication_stream* operator->() { return &stream_; }

  /// The next transaction that has changes or messages of ours; throws after ten seconds.
  seen_transaction next_transaction();
  bool wait_for_idle(lsn wanted);
  postgres::pg_result_of<bool> next_event(postgres::deadline until);

private:
  void read(const frame& taken);

  std::atomic<bool> stop_{false};
  postgres::replication_stream stream_;
  std::deque<seen_transaction> ready_;
  seen_transaction open_;
  std::map<std::uint32_t, std::string> tables_;
  lsn idle_{};
};

} // namespace busbar::testing
