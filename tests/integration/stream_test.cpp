#include "postgres/catalog.hpp"
#include "postgres/publication.hpp"
#include "tests/integration/stream_reader.hpp"

#include <gmock/gmock.h>

#include <csignal>
#include <thread>

namespace busbar::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class StreamTest : public PostgresTest {
protected:
  void SetUp() override {
    PostgresTest::SetUp();
    sql("CREATE TABLE item (id int PRIMARY KEY, name text, body text)");
  }

  /// A running stream with `table` published.
  stream_reader started(const std::string& table = "item") {
    stream_reader stream{stream_settings()};
    publish(table);
    stream.start();
    return stream;
  }
  void publish(const std::string& table) {
    auto found = must(postgres::find_table(*admin_, "public", table, in(10s)));
    ASSERT_TRUE(found.has_value());
    must(postgres::ensure_published(*admin_, stream_settings().publication(), *found, false,
                                    in(10s)));
  }
  std::string slot_position() {
    return value("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '" +
                 stream_settings().slot() + "'");
  }
};

TEST_F(StreamTest, DeliversEachKindOfChangeWithItsPosition) {
  auto stream = started();
  sql("BEGIN; INSERT INTO item VALUES (1, 'a', NULL), (2, '', 'x');"
      "UPDATE item SET name = 'b' WHERE id = 1; DELETE FROM item WHERE id = 2;"
      "TRUNCATE item; COMMIT");
  const auto seen = stream.next_transaction();
  EXPECT_THAT(seen.changes, ElementsAre("0 item + 1|a|~", "2 item + 2||x", "4 item 1|a|~ > 1|b|~",
                                        "6 item - 2||x", "8 item truncate"));
  EXPECT_GT(seen.end, seen.commit);
}

// F10
TEST_F(StreamTest, FillsUnchangedToastValuesFromTheOldRow) {
  sql("ALTER TABLE item ALTER body SET STORAGE EXTERNAL");
  auto stream = started();
  sql("INSERT INTO item VALUES (1, 'a', repeat('x', 10000))");
  sql("UPDATE item SET name = 'b'");
  const std::string big(10000, 'x');
  EXPECT_THAT(stream.next_transaction().changes, ElementsAre("0 item + 1|a|" + big));
  EXPECT_THAT(stream.next_transaction().changes,
              ElementsAre("0 item 1|a|" + big + " > 1|b|" + big));
}

TEST_F(StreamTest, AChangedPrimaryKeyIsOneUpdate) {
  auto stream = started();
  sql("INSERT INTO item VALUES (1, 'a', 'x')");
  sql("UPDATE item SET id = 2");
  stream.next_transaction();
  EXPECT_THAT(stream.next_transaction().changes, ElementsAre("0 item 1|a|x > 2|a|x"));
}

TEST_F(StreamTest, MessagesKeepTheirPlaceAmongTheData) {
  auto stream = started();
  sql("BEGIN; INSERT INTO item VALUES (1, 'a', 'x');"
      "SELECT pg_logical_emit_message(true, 'busbar', 'hello');"
      "SELECT pg_logical_emit_message(true, 'other', 'not ours');"
      "SELECT pg_logical_emit_message(false, 'busbar', 'not transactional');"
      "INSERT INTO item VALUES (2, 'b', 'y'); COMMIT");
  EXPECT_THAT(stream.next_transaction().changes,
              ElementsAre("0 item + 1|a|x", "message hello", "2 item + 2|b|y"));
  const std::string content{"\0\\ \xff'", 5};
  must(postgres::emit_message(*admin_, content, in(10s)));
  EXPECT_THAT(stream.next_transaction().changes, ElementsAre("message " + content));
}

TEST_F(StreamTest, ARolledBackMessageNeverComes) {
  auto stream = started();
  sql("BEGIN; SELECT pg_logical_emit_message(true, 'busbar', 'no'); ROLLBACK");
  must(postgres::emit_message(*admin_, "yes", in(10s)));
  EXPECT_THAT(stream.next_transaction().changes, ElementsAre("message yes"));
}

// F14
TEST_F(StreamTest, IdlePositionAdvancesWithoutChanges) {
  auto stream = started();
  sql("CREATE TABLE unpublished (id int)");
  sql("INSERT INTO unpublished SELECT generate_series(1, 1000)");
  const auto written = parse_lsn(value("SELECT pg_current_wal_lsn()")).value();
  EXPECT_TRUE(stream.wait_for_idle(written));
}

TEST_F(StreamTest, ConfirmMovesTheSlotAndNeverBack) {
  auto stream = started();
  sql("INSERT INTO item VALUES (1, 'a', 'x')");
  const auto end = stream.next_transaction().end;
  must(stream->confirm(end));
  wait_until("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '" +
                 stream_settings().slot() + "'",
             to_pg_string(end));
  must(stream->confirm(lsn{to_number(end) - 8}));
  sql("INSERT INTO item VALUES (2, 'a', 'x')");
  stream.next_transaction();
  EXPECT_EQ(slot_position(), to_pg_string(end));
}

// F01
TEST_F(StreamTest, WhatHasNotComeCannotBeConfirmed) {
  {
    auto stream = started();
    sql("INSERT INTO item VALUES (1, 'a', 'x')");
    const auto end = stream.next_transaction().end;
    must(stream->confirm(lsn{to_number(end) + (1u << 20)}));
    wait_until("SELECT confirmed_flush_lsn >= '" + to_pg_string(end) +
                   "' FROM pg_replication_slots WHERE slot_name = '" + stream_settings().slot() +
                   "'",
               "t");
  }
  sql("INSERT INTO item VALUES (2, 'b', 'y')");
  stream_reader again{stream_settings()};
  again.start();
  EXPECT_THAT(again.next_transaction().changes, ElementsAre("0 item + 2|b|y"));
}

// F06
TEST_F(StreamTest, ARestartResendsWhatWasNotConfirmedAndNothingElse) {
  lsn first_end{};
  std::uint64_t first_term = 0;
  {
    auto stream = started();
    EXPECT_TRUE(stream->leader().slot_created);
    first_term = stream->leader().term;
    sql("INSERT INTO item VALUES (1, 'a', 'x')");
    sql("INSERT INTO item VALUES (2, 'b', 'y')");
    first_end = stream.next_transaction().end;
    stream.next_transaction();
    must(stream->confirm(first_end));
    wait_until("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '" +
                   stream_settings().slot() + "'",
               to_pg_string(first_end));
  }
  stream_reader again{stream_settings()};
  EXPECT_FALSE(again->leader().slot_created);
  EXPECT_GT(again->leader().term, first_term);
  EXPECT_EQ(again->leader().confirmed_flush, first_end);
  again.start(first_end);
  EXPECT_THAT(again.next_transaction().changes, ElementsAre("0 item + 2|b|y"));
}

TEST_F(StreamTest, WhatIsDurableBeyondTheSlotIsNotSentAgain) {
  lsn durable{};
  {
    auto stream = started();
    sql("INSERT INTO item VALUES (1, 'a', 'x')");
    durable = stream.next_transaction().end;
  }
  sql("INSERT INTO item VALUES (2, 'b', 'y')");
  stream_reader again{stream_settings()};
  ASSERT_LT(again->leader().confirmed_flush, durable);
  again.start(durable);
  EXPECT_THAT(again.next_transaction().changes, ElementsAre("0 item + 2|b|y"));
}

/// What a new leader has itself, those that follow it may not have yet.
TEST_F(StreamTest, WhatIsDurableHereIsConfirmedByNobodyElseThanConfirm) {
  lsn durable{};
  {
    auto stream = started();
    sql("INSERT INTO item VALUES (1, 'a', 'x')");
    durable = stream.next_transaction().end;
  }
  const auto before = slot_position();
  stream_reader again{stream_settings()};
  ASSERT_LT(again->leader().confirmed_flush, durable);
  again.start(durable);
  const auto heard = "SELECT count(*) FROM pg_stat_replication r JOIN pg_replication_slots s"
                     " ON s.active_pid = r.pid WHERE s.slot_name = '" +
                     stream_settings().slot() + "' AND r.flush_lsn IS NOT NULL";
  for (const auto until = in(30s); value(heard) != "1";) {
    ASSERT_LT(std::chrono::steady_clock::now(), until) << "no feedback";
    must(again->next(in(50ms), true));
  }
  EXPECT_EQ(slot_position(), before);
  must(again->confirm(durable));
  wait_until("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '" +
                 stream_settings().slot() + "'",
             to_pg_string(durable));
}

// F06: the server's first keepalive names where the slot stands, which may be long before.
TEST_F(StreamTest, NoKeepaliveTakesBackWhatIsDurable) {
  lsn durable{};
  {
    auto stream = started();
    // What the server must read again before it is there, which takes it a moment.
    sql("CREATE TABLE other AS SELECT i FROM generate_series(1, 200000) i");
    sql("INSERT INTO item VALUES (1, 'a', 'x')");
    durable = stream.next_transaction().end;
  }
  stream_reader again{stream_settings()};
  ASSERT_LT(again->leader().confirmed_flush, durable);
  again.start(durable);
  lsn first{};
  for (const auto until = in(10s); first == lsn{0} && std::chrono::steady_clock::now() < until;)
    first = must(again->next(until, true)).idle_up_to;
  EXPECT_GT(first, durable);
}

// F05
TEST_F(StreamTest, ALargeTransactionComesInSeveralFrames) {
  auto settings = stream_settings();
  settings.frame_bytes_max = 64 * 1024;
  stream_reader stream{settings};
  publish("item");
  stream.start();
  sql("INSERT INTO item SELECT i, repeat('n', 50), repeat('b', 50) FROM generate_series(1, 10000) "
      "i");
  const auto seen = stream.next_transaction();
  ASSERT_EQ(seen.changes.size(), 10000u);
  EXPECT_GT(seen.frames, 10u);
  EXPECT_THAT(seen.changes.back(), ::testing::StartsWith("19998 item + 10000|"));
}

TEST_F(StreamTest, WakeEndsWaitingAndPausing) {
  auto stream = started();
  must(stream.next_event(in(2s)));
  for (const bool paused : {false, true}) {
    std::thread waker{[&] { stream->wake(); }};
    const auto begun = std::chrono::steady_clock::now();
    for (bool woken = false; !woken;) {
      if (paused) {
        must(stream->pause(in(20s)));
        woken = true;
      } else {
        const auto event = must(stream->next(in(20s)));
        woken = event.transactions.empty() && to_number(event.idle_up_to) == 0;
      }
      ASSERT_LT(std::chrono::steady_clock::now() - begun, 10s);
    }
    waker.join();
  }
}

// F33
TEST_F(StreamTest, AStandbyWaitsForTheLockAndTakesOverWhenTheLeaderGoes) {
  std::optional<stream_reader> leader{started()};
  std::atomic<bool> stop{false};
  std::optional<std::uint64_t> term;
  std::thread standby{[&] {
    auto opened = postgres::replication_stream::open(stream_settings(), stop);
    if (opened && opened->start({}))
      term = opened->leader().term;
  }};
  wait_until("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'busbar replication'"
             " AND query LIKE 'SELECT pg_try_advisory_lock%' AND datname = current_database()",
             "1");
  const auto first = (*leader)->leader().term;
  leader.reset();
  standby.join();
  ASSERT_TRUE(term.has_value());
  EXPECT_GT(*term, first);
}

// F31, F32
TEST_F(StreamTest, ASessionThatHoldsTheLockWithoutStreamingIsEnded) {
  std::atomic<bool> stop{false};
  auto idle = must(postgres::replication_stream::open(stream_settings(), stop));
  auto settings = stream_settings();
  settings.lock_idle_max = 100ms;
  stream_reader next{settings};
  EXPECT_GT(next->leader().term, idle.leader().term);
  EXPECT_FALSE(idle.start({}));
}

// F31
TEST_F(StreamTest, ALeaderThatStreamsKeepsTheLock) {
  auto leader = started();
  auto settings = stream_settings();
  settings.lock_idle_max = 50ms;
  std::atomic<bool> stop{false};
  std::thread standby{[&] { (void)postgres::replication_stream::open(settings, stop); }};
  // The breaker's own statement shows that it has had its try.
  wait_until("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_terminate_backend%'"
             " AND pid <> pg_backend_pid() AND datname = current_database()",
             "1");
  stop = true;
  standby.join();
  sql("INSERT INTO item VALUES (1, 'a', 'x')");
  EXPECT_THAT(leader.next_transaction().changes, ElementsAre("0 item + 1|a|x"));
}

/// A member that waits for the lock, with a breaker that is at it all the time, and then leads.
class lock_waiter {
public:
  explicit lock_waiter(postgres::stream_settings settings) : settings_{std::move(settings)} {}
  ~lock_waiter() { end(); }
  lock_waiter(const lock_waiter&) = delete;
  lock_waiter& operator=(const lock_waiter&) = delete;

  void resign() { resigns_ = true; }
  void come_back() { resigns_ = false; }
  bool leads() const { return leads_; }
  /// What went wrong, when it has ended.
  std::string end() {
    stop_ = true;
    if (thread_.joinable())
      thread_.join();
    return trouble_;
  }

private:
  void run() {
    while (!stop_ && trouble_.empty()) {
      if (resigns_) {
        std::this_thread::sleep_for(5ms);
        continue;
      }
      auto stream = postgres::replication_stream::open(settings_, stop_);
      if (!stream) {
        trouble_ = stop_ ? "" : "open: " + stream.error().message;
        return;
      }
      auto done = stream->start({});
      leads_ = done.has_value();
      while (done && !stop_ && !resigns_)
        if (auto event = stream->next(in(20ms)); !event)
          done = tl::unexpected{std::move(event).error()};
      if (!done)
        trouble_ = "as leader: " + done.error().message;
      leads_ = false;
    }
  }

  postgres::stream_settings settings_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> leads_{false};
  std::atomic<bool> resigns_{false};
  std::string trouble_;
  std::thread thread_{[this] { run(); }};
};

// F31
TEST_F(StreamTest, ThoseWhoBreakALockAtOnceEndNobodyWhoHasJustGotIt) {
  std::atomic<bool> stop{false};
  auto half_dead = must(postgres::replication_stream::open(stream_settings(), stop));
  publish("item");
  auto settings = stream_settings();
  settings.lock_idle_max = 1s;
  std::vector<std::unique_ptr<lock_waiter>> members;
  for (int i = 0; i < 3; ++i)
    members.push_back(std::make_unique<lock_waiter>(settings));
  const auto leader = [&]() -> lock_waiter* {
    lock_waiter* found = nullptr;
    for (const auto until = in(30s); std::chrono::steady_clock::now() < until && found == nullptr;
         std::this_thread::sleep_for(5ms))
      for (const auto& one : members)
        found = one->leads() ? one.get() : found;
    return found;
  };
  for (int round = 0; round < 4; ++round) {
    auto* const leads = leader();
    ASSERT_NE(leads, nullptr) << "nobody leads";
    if (round == 0) {
      EXPECT_FALSE(half_dead.start({}));
    }
    // The breaker's own statement shows that one has had its try.
    wait_until("SELECT count(*) > 0 FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
               " AND query LIKE '%pg_terminate_backend%' AND datname = current_database()",
               "t");
    EXPECT_TRUE(leads->leads());
    leads->resign();
    for (const auto until = in(30s); leader() == leads;)
      ASSERT_LT(std::chrono::steady_clock::now(), until) << "it does not resign";
    ASSERT_NE(leader(), nullptr) << "nobody has followed in round " << round;
    leads->come_back();
  }
  for (const auto& one : members)
    EXPECT_EQ(one->end(), "");
}

TEST_F(StreamTest, ALeaderIsDeposedOnlyByWhoHasAllThatPostgresWasToldIsSafe) {
  auto leader = started();
  sql("INSERT INTO item VALUES (1, 'a', 'x')");
  const auto end = leader.next_transaction().end;
  must(leader->confirm(end));
  wait_until("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '" +
                 stream_settings().slot() + "'",
             to_pg_string(end));
  std::atomic<int> tries{0};
  std::atomic<bool> stop{false};
  std::atomic<bool> leads{false};
  auto settings = stream_settings();
  settings.may_depose = [&] { // the second time it has caught up
    return std::optional{lsn{to_number(end) - (++tries == 1 ? 8 : 0)}};
  };
  std::thread deposes{
      [&] { leads = postgres::replication_stream::open(settings, stop).has_value(); }};
  bool ended = false;
  for (const auto until = in(30s); !ended && std::chrono::steady_clock::now() < until;)
    ended = !leader->next(in(20ms));
  EXPECT_TRUE(ended);
  EXPECT_EQ(tries, 2) << "deposed by who lacks something";
  stop = !ended;
  deposes.join();
  EXPECT_TRUE(leads);
}

TEST_F(StreamTest, ASlotOfAnotherDatabaseIsLeftAlone) {
  sql("CREATE DATABASE other_" + database_);
  const auto slot = stream_settings().slot();
  {
    const auto target = postgres::connection_url::parse(server().url("other_" + database_)).value();
    auto other = must(postgres::connection::open(target, "test", in(10s)));
    must(other.command("SELECT pg_create_logical_replication_slot('" + slot + "', 'pgoutput')",
                       in(10s)));
  }
  std::atomic<bool> stop{false};
  const auto opened = postgres::replication_stream::open(stream_settings(), stop);
  EXPECT_EQ(value("SELECT count(*) FROM pg_replication_slots WHERE slot_name = '" + slot + "'"),
            "1");
  sql("SELECT pg_drop_replication_slot('" + slot + "')");
  sql("DROP DATABASE other_" + database_ + " WITH (FORCE)");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, postgres::trouble::fatal);
  EXPECT_THAT(opened.error().message, HasSubstr("choose another stream id"));
}

TEST_F(StreamTest, StopEndsTheWaitForTheLock) {
  auto leader = started();
  std::atomic<bool> stop{false};
  std::optional<std::string> said;
  std::thread standby{[&] {
    auto opened = postgres::replication_stream::open(stream_settings(), stop);
    said = opened ? "opened" : opened.error().message;
  }};
  stop = true;
  standby.join();
  EXPECT_EQ(said, "stopped");
}

// F35
TEST_F(StreamTest, StopEndsTheWaitForANewSlot) {
  auto writer = connect();
  must(writer.command("BEGIN; INSERT INTO item VALUES (1)", in(5s)));
  std::atomic<bool> stop{false};
  std::optional<std::string> said;
  std::thread opener{[&] {
    auto opened = postgres::replication_stream::open(stream_settings(), stop);
    said = opened ? "opened" : opened.error().message;
  }};
  wait_until("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE_REPLICATION_SLOT%'"
             " AND wait_event_type = 'Lock' AND datname = current_database()",
             "1");
  stop = true;
  opener.join();
  EXPECT_EQ(said, "stopped");
  must(writer.command("COMMIT", in(5s)));
}

// F37
TEST_F(StreamTest, ADroppedSlotIsReportedAndMadeAnew) {
  { auto stream = started(); }
  wait_until("SELECT count(*) FROM pg_replication_slots WHERE active", "0");
  std::atomic<bool> stop{false};
  {
    auto opened = must(postgres::replication_stream::open(stream_settings(), stop));
    EXPECT_FALSE(opened.leader().slot_created);
    sql("SELECT pg_drop_replication_slot('" + stream_settings().slot() + "')");
    auto begun = opened.start({});
    ASSERT_FALSE(begun);
    EXPECT_EQ(begun.error().kind, postgres::trouble::slot_lost) << begun.error().message;
  }
  const auto again = must(postgres::replication_stream::open(stream_settings(), stop));
  EXPECT_TRUE(again.leader().slot_created);
}

TEST_F(StreamTest, ARecreatedPublicationMakesANewSlot) {
  { auto stream = started(); }
  sql("DROP PUBLICATION " + stream_settings().publication());
  stream_reader again{stream_settings()};
  EXPECT_TRUE(again->leader().slot_created);
  publish("item");
  again.start();
  sql("INSERT INTO item VALUES (1, 'a', 'x')");
  EXPECT_THAT(again.next_transaction().changes, ElementsAre("0 item + 1|a|x"));
}

// F42
TEST_F(StreamTest, APublicationDroppedWhileStreamingLosesTheSlot) {
  auto stream = started();
  sql("DROP PUBLICATION " + stream_settings().publication());
  sql("INSERT INTO item VALUES (1, 'a', 'x')");
  std::optional<postgres::pg_error> why;
  for (const auto until = in(10s); !why && std::chrono::steady_clock::now() < until;)
    if (auto event = stream->next(until); !event)
      why = event.error();
  ASSERT_TRUE(why.has_value());
  EXPECT_EQ(why->kind, postgres::trouble::slot_lost) << why->message;
  EXPECT_EQ(value("SELECT count(*) FROM pg_replication_slots WHERE slot_name = '" +
                  stream_settings().slot() + "'"),
            "0");
}

TEST_F(StreamTest, ACrashOfPostgresIsTransientAndLosesNothing) {
  {
    auto stream = started();
    sql("INSERT INTO item VALUES (1, 'a', 'x')");
    must(stream->confirm(stream.next_transaction().end));
    sql("INSERT INTO item VALUES (2, 'b', 'y')");
    sql("CHECKPOINT");
    server().stop(SIGQUIT);
    std::optional<postgres::pg_error> why;
    for (const auto until = in(10s); !why && std::chrono::steady_clock::now() < until;)
      if (auto event = stream->next(until); !event)
        why = event.error();
    server().start();
    ASSERT_TRUE(why.has_value());
    EXPECT_EQ(why->kind, postgres::trouble::transient) << why->message;
  }
  admin_ = connect("admin");
  sql("INSERT INTO item VALUES (3, 'c', 'z')");
  stream_reader again{stream_settings()};
  EXPECT_FALSE(again->leader().slot_created);
  again.start();
  std::vector<std::string> all;
  while (all.empty() || all.back() != "0 item + 3|c|z") {
    const auto seen = again.next_transaction();
    ASSERT_FALSE(seen.changes.empty());
    all.insert(all.end(), seen.changes.begin(), seen.changes.end());
  }
  EXPECT_THAT(all, ::testing::Contains("0 item + 2|b|y"));
}

TEST_F(StreamTest, StreamsOverTlsWithAVerifiedCertificate) {
  const auto tls = server().tls_settings();
  if (tls.empty())
    GTEST_SKIP() << "no openssl program";
  admin_.reset();
  server().stop(SIGINT);
  server().start(tls);
  admin_ = connect("admin");
  auto settings = stream_settings();
  const auto with = [&](const std::string& options) {
    return postgres::connection_url::parse(server().url(database_) + options).value();
  };
  settings.url = with("?sslmode=verify-full&sslrootcert=" + server().certificate());
  settings.frame_bytes_max = 16 * 1024;
  {
    stream_reader stream{settings};
    publish("item");
    stream.start();
    EXPECT_EQ(value("SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_replication r USING (pid)"
                    " WHERE s.ssl AND r.application_name = 'busbar replication'"),
              "1");
    // TLS hands over up to 16 KB at once, of which libpq may take a part: none may get stuck.
    for (int i = 0; i < 50; ++i) {
      sql("INSERT INTO item SELECT g, repeat('n', 1 + g * 7 % 3000), NULL FROM generate_series(" +
          std::to_string(i * 50) + ", " + std::to_string(i * 50 + 49) + ") g");
      EXPECT_EQ(stream.next_transaction().changes.size(), 50u);
    }
  }
  const auto refused = postgres::connection::open(
      with("?sslmode=verify-full&sslrootcert=/etc/hostname"), "test", in(10s));
  server().stop(SIGINT);
  server().start();
  admin_ = connect("admin");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, postgres::trouble::fatal) << refused.error().message;
}

TEST_F(StreamTest, AChangedTableIsDescribedAgain) {
  auto stream = started();
  sql("INSERT INTO item VALUES (1, 'a', 'x')");
  stream.next_transaction();
  sql("INSERT INTO item VALUES (2, 'a', 'x')");
  EXPECT_THAT(stream.next_transaction().relations, IsEmpty());
  sql("ALTER TABLE item ADD extra int");
  sql("INSERT INTO item VALUES (3, 'a', 'x', 7)");
  const auto seen = stream.next_transaction();
  EXPECT_THAT(seen.relations, ElementsAre("public.item id name body extra full"));
  EXPECT_THAT(seen.changes, ElementsAre("0 item + 3|a|x|7"));
}

TEST_F(StreamTest, LeavesOfAPartitionedTableStreamWithOldRows) {
  sql("CREATE TABLE part (id int, name text) PARTITION BY RANGE (id);"
      "CREATE TABLE part_low PARTITION OF part FOR VALUES FROM (0) TO (10);"
      "CREATE TABLE part_high PARTITION OF part FOR VALUES FROM (10) TO (20)");
  auto stream = started("part");
  sql("INSERT INTO part VALUES (1, 'a')");
  sql("UPDATE part SET name = 'b'");
  EXPECT_THAT(stream.next_transaction().changes, ElementsAre("0 part_low + 1|a"));
  EXPECT_THAT(stream.next_transaction().changes, ElementsAre("0 part_low 1|a > 1|b"));
  sql("UPDATE part SET id = 11");
  EXPECT_THAT(stream.next_transaction().changes,
              ElementsAre("0 part_low - 1|b", "2 part_high + 11|b"));
}

// F44
TEST_F(StreamTest, ALostIdentityMarksChangesAsKeyOnly) {
  auto stream = started();
  sql("INSERT INTO item VALUES (1, 'a', 'x')");
  sql("ALTER TABLE item REPLICA IDENTITY DEFAULT");
  sql("UPDATE item SET name = 'b'");
  sql("UPDATE item SET id = 2");
  sql("DELETE FROM item");
  stream.next_transaction();
  EXPECT_THAT(stream.next_transaction().changes, ElementsAre("0 item key only > 1|b|x"));
  EXPECT_THAT(stream.next_transaction().changes, ElementsAre("0 item key only 1|~|~ > 2|b|x"));
  EXPECT_THAT(stream.next_transaction().changes, ElementsAre("0 item key only - 2|~|~"));
}

TEST_F(StreamTest, WalLevelAndMissingPrivilegesAreFatalWithAClearLine) {
  sql("CREATE ROLE plain LOGIN PASSWORD 'secret'; CREATE ROLE repl LOGIN REPLICATION PASSWORD "
      "'secret'");
  std::atomic<bool> stop{false};
  auto settings = stream_settings();
  settings.url = postgres::connection_url::parse(server().url(database_, "plain")).value();
  auto opened = postgres::replication_stream::open(settings, stop);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, postgres::trouble::fatal);
  EXPECT_THAT(opened.error().message, HasSubstr("ALTER ROLE"));

  settings.url = postgres::connection_url::parse(server().url(database_, "repl")).value();
  opened = postgres::replication_stream::open(settings, stop);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, postgres::trouble::fatal);
  EXPECT_THAT(opened.error().message, HasSubstr("may not create publication"));
  sql("DROP ROLE plain; DROP ROLE repl");

  admin_.reset();
  server().stop(SIGINT);
  server().start({"wal_level=replica"});
  opened = postgres::replication_stream::open(stream_settings(), stop);
  server().stop(SIGINT);
  server().start();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, postgres::trouble::fatal);
  EXPECT_THAT(opened.error().message, HasSubstr("set wal_level = logical"));
}

} // namespace
} // namespace busbar::testing
