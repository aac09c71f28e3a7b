// A stream under trouble: a server that falls silent or is impatient, limits that the role has, a
// catalog that does not answer, WAL that is gone.
#include "postgres/catalog.hpp"
#include "postgres/publication.hpp"
#include "tests/integration/stream_reader.hpp"

#include <gmock/gmock.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>

extern "C" int PQsocket(const pg_conn* session);

namespace busbar::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class StreamLifeTest : public PostgresTest {
protected:
  void SetUp() override {
    PostgresTest::SetUp();
    sql("CREATE TABLE item (id int PRIMARY KEY, body text)");
  }
  void TearDown() override {
    if (is_impatient_)
      wait_for_readers("DEFAULT"); // also if the test has failed
    PostgresTest::TearDown();
  }
  /// How long the server goes on without a word of who reads its stream.
  void wait_for_readers(const std::string& time) {
    is_impatient_ = true;
    sql("ALTER SYSTEM SET wal_sender_timeout = " + time);
    sql("SELECT pg_reload_conf()");
  }
  void publish(const std::string& table, bool by_hand = false) {
    auto found = must(postgres::find_table(*admin_, "public", table, in(10s)));
    ASSERT_TRUE(found.has_value());
    must(postgres::ensure_published(*admin_, stream_settings().publication(), *found, false,
                                    in(10s), by_hand));
  }
  stream_reader started(const postgres::stream_settings& settings) {
    stream_reader stream{settings};
    publish("item");
    stream.start();
    return stream;
  }
  std::string streamer() {
    return value("SELECT active_pid FROM pg_replication_slots WHERE slot_name = '" +
                 stream_settings().slot() + "'");
  }
  /// Reads until the stream ends.
  static postgres::pg_error end_of(stream_reader& stream, postgres::deadline until) {
    while (std::chrono::steady_clock::now() < until)
      if (auto event = stream->next(until); !event)
        return event.error();
    return {postgres::trouble::none, {}, "it goes on"};
  }

private:
  bool is_impatient_ = false;
};

// F34
TEST_F(StreamLifeTest, AServerThatFallsSilentIsTakenForDead) {
  auto settings = stream_settings();
  settings.silence_max = 4'000ms;
  auto stream = started(settings);
  sql("INSERT INTO item VALUES (1, 'a')");
  stream.next_transaction();
  // An idle one that answers is not.
  EXPECT_EQ(end_of(stream, in(6s)).kind, postgres::trouble::none);
  const auto pid = static_cast<pid_t>(std::stoi(streamer()));
  ASSERT_EQ(kill(pid, SIGSTOP), 0);
  const auto why = end_of(stream, in(20s));
  kill(pid, SIGCONT);
  EXPECT_EQ(why.kind, postgres::trouble::transient);
  EXPECT_THAT(why.message, HasSubstr("does not answer in time"));
}

// F34
TEST_F(StreamLifeTest, AMachineThatIsGoneIsNoticedByWhatItDoesNotAcknowledge) {
  const auto limit_of = [](const postgres::connection& session) {
    unsigned limit = 0;
    socklen_t size = sizeof limit;
    getsockopt(PQsocket(session.raw()), IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, &size);
    return limit;
  };
  const auto open = [&](const std::string& options) {
    const auto target = postgres::connection_url::parse(server().url(database_) + options).value();
    return must(postgres::connection::open_replication(target, in(10s)));
  };
  EXPECT_GT(limit_of(open("")), 0u);
  EXPECT_LE(limit_of(open("")), 30'000u);
  EXPECT_EQ(limit_of(open("?tcp_user_timeout=45000")), 45'000u);
}

// F45
TEST_F(StreamLifeTest, AnImpatientServerHearsOfAReaderThatPauses) {
  auto stream = started(stream_settings());
  // Only now: what was read at the take-over does not count any more.
  wait_for_readers("'3s'");
  const auto pid = streamer();
  sql("INSERT INTO item SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) i");
  for (const auto until = in(8s); std::chrono::steady_clock::now() < until;)
    must(stream->pause(until));
  EXPECT_EQ(streamer(), pid);
  EXPECT_EQ(stream.next_transaction().changes.size(), 20'000u);
  EXPECT_EQ(streamer(), pid);
}

// F45
TEST_F(StreamLifeTest, AReaderMayPauseForTenTimesAsLongAsTheServerWaits) {
  wait_for_readers("'1s'");
  wait_until("SHOW wal_sender_timeout", "1s");
  auto stream = started(stream_settings());
  const auto pid = streamer();
  sql("INSERT INTO item SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) i");
  for (const auto until = in(10s); std::chrono::steady_clock::now() < until;)
    must(stream->pause(until));
  EXPECT_EQ(stream.next_transaction().changes.size(), 20'000u);
  EXPECT_EQ(streamer(), pid);
}

// F34, F47
TEST_F(StreamLifeTest, LimitsThatTheRoleHasByDefaultEndNothing) {
  sql("CREATE ROLE hasty SUPERUSER LOGIN PASSWORD 'secret';"
      "ALTER ROLE hasty SET statement_timeout = '100ms';"
      "ALTER ROLE hasty SET lock_timeout = '100ms';"
      "ALTER ROLE hasty SET idle_session_timeout = '300ms';"
      "ALTER ROLE hasty SET idle_in_transaction_session_timeout = '100ms';"
      "CREATE TABLE slow (id int)");
  auto settings = stream_settings();
  settings.url = postgres::connection_url::parse(server().url(database_, "hasty")).value();
  {
    auto stream = started(settings);
    const auto pid = streamer();
    EXPECT_EQ(end_of(stream, in(1s)).kind, postgres::trouble::none);
    sql("INSERT INTO item VALUES (1, 'a')");
    EXPECT_THAT(stream.next_transaction().changes, ElementsAre("0 item + 1|a"));
    // A barrier that waits for longer than a statement may take.
    auto writer = connect();
    must(writer.command("BEGIN; INSERT INTO slow VALUES (1)", in(5s)));
    auto admin = must(postgres::connection::open(settings.url, "test", in(5s)));
    const auto table = must(postgres::find_table(admin, "public", "slow", in(5s)));
    std::thread end{[&] {
      std::this_thread::sleep_for(700ms);
      must(writer.command("COMMIT", in(5s)));
    }};
    const auto published =
        postgres::ensure_published(admin, settings.publication(), *table, false, in(10s));
    end.join();
    EXPECT_TRUE(published) << published.error().message;
    sql("INSERT INTO slow VALUES (2)");
    EXPECT_THAT(stream.next_transaction().changes, ElementsAre("0 slow + 2"));
    EXPECT_EQ(streamer(), pid);
  }
  wait_until("SELECT count(*) FROM pg_stat_activity WHERE usename = 'hasty'", "0");
  sql("DROP OWNED BY hasty; DROP ROLE hasty");
}

// F47
TEST_F(StreamLifeTest, ACatalogThatCannotBeAskedForAWhileHoldsUpTheStreamAndEndsItNot) {
  auto stream = started(stream_settings());
  const auto pid = streamer();
  auto locker = connect();
  must(locker.command("BEGIN; LOCK pg_inherits IN ACCESS EXCLUSIVE MODE", in(5s)));
  sql("INSERT INTO item VALUES (1, 'a')");
  std::thread end{[&] {
    std::this_thread::sleep_for(4s);
    must(locker.command("COMMIT", in(5s)));
  }};
  EXPECT_THAT(stream.next_transaction().changes, ElementsAre("0 item + 1|a"));
  end.join();
  EXPECT_EQ(streamer(), pid);
  for (int i = 2; i < 12; ++i) { // and one that is ended again and again
    sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'busbar catalog' AND datname = current_database()");
    sql("ALTER TABLE item ALTER body SET STATISTICS " + std::to_string(i));
    sql("INSERT INTO item VALUES (" + std::to_string(i) + ", 'a')");
    EXPECT_EQ(stream.next_transaction().changes.size(), 1u);
  }
  EXPECT_EQ(streamer(), pid);
}

// F35
TEST_F(StreamLifeTest, ANewSlotSaysWhomItWaitsFor) {
  auto writer = connect();
  must(writer.command("BEGIN; INSERT INTO item VALUES (1)", in(5s)));
  auto settings = stream_settings();
  std::mutex mutex;
  std::condition_variable told;
  std::string said;
  settings.on_slot_wait = [&](const std::string& whom) {
    const std::lock_guard guard{mutex};
    said = whom;
    told.notify_all();
  };
  std::atomic<bool> stop{false};
  std::optional<bool> opened;
  std::thread opener{
      [&] { opened = postgres::replication_stream::open(settings, stop).has_value(); }};
  {
    std::unique_lock guard{mutex};
    EXPECT_TRUE(told.wait_for(guard, 20s, [&] { return !said.empty(); }));
    EXPECT_THAT(said, HasSubstr("pid " + std::to_string(writer.backend_pid()) + " (for "));
  }
  must(writer.command("COMMIT", in(5s)));
  opener.join();
  EXPECT_EQ(opened, true);
}

// F37
TEST_F(StreamLifeTest, ASlotWhoseWalWasRemovedIsMadeAnew) {
  { auto stream = started(stream_settings()); }
  wait_until("SELECT count(*) FROM pg_replication_slots WHERE active", "0");
  sql("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
  sql("SELECT pg_reload_conf()");
  for (int i = 0; i < 3; ++i) {
    sql("INSERT INTO item SELECT i, 'x' FROM generate_series(" + std::to_string(i * 10) + ", " +
        std::to_string(i * 10 + 9) + ") i");
    sql("SELECT pg_switch_wal()");
  }
  sql("CHECKPOINT");
  wait_until("SELECT wal_status FROM pg_replication_slots WHERE slot_name = '" +
                 stream_settings().slot() + "'",
             "lost");
  sql("ALTER SYSTEM RESET max_slot_wal_keep_size");
  sql("SELECT pg_reload_conf()");
  stream_reader again{stream_settings()};
  EXPECT_TRUE(again->leader().slot_created);
  again.start();
  sql("INSERT INTO item VALUES (100, 'a')");
  EXPECT_THAT(again.next_transaction().changes, ElementsAre("0 item + 100|a"));
}

// F38
TEST_F(StreamLifeTest, ByHandNothingIsAlteredAndEachErrorSaysWhatToRun) {
  auto settings = stream_settings();
  settings.manual_publishing = true;
  std::atomic<bool> stop{false};
  auto opened = postgres::replication_stream::open(settings, stop);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, postgres::trouble::fatal);
  EXPECT_THAT(opened.error().message, HasSubstr("CREATE PUBLICATION \"" + settings.publication()));
  sql("CREATE PUBLICATION " + settings.publication() + " WITH (publish = 'insert')");
  opened = postgres::replication_stream::open(settings, stop);
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("ALTER PUBLICATION"));
  sql("ALTER PUBLICATION " + settings.publication() +
      " SET (publish = 'insert, update, delete, truncate')");
  stream_reader stream{settings};
  const auto table = must(postgres::find_table(*admin_, "public", "item", in(5s)));
  const auto publish_by_hand = [&] {
    return postgres::ensure_published(*admin_, settings.publication(), *table, false, in(5s), true);
  };
  const auto missing = publish_by_hand();
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message,
              HasSubstr("must run: ALTER PUBLICATION \"" + settings.publication() +
                        "\" ADD TABLE ONLY \"public\".\"item\"; ALTER TABLE ONLY "
                        "\"public\".\"item\" REPLICA IDENTITY FULL"));
  EXPECT_TRUE(missing.error().for_clients().known);
  EXPECT_EQ(value("SELECT count(*) FROM pg_publication_tables WHERE pubname = '" +
                  settings.publication() + "'"),
            "0");
  sql("ALTER PUBLICATION " + settings.publication() + " ADD TABLE item");
  EXPECT_THAT(publish_by_hand().error().message, HasSubstr("has no REPLICA IDENTITY FULL"));
  EXPECT_EQ(value("SELECT relreplident FROM pg_class WHERE oid = 'item'::regclass"), "d");
  sql("ALTER TABLE item REPLICA IDENTITY FULL");
  EXPECT_TRUE(publish_by_hand());
}

TEST_F(StreamLifeTest, ATemporarySlotGoesWithItsSession) {
  auto settings = stream_settings();
  settings.temporary_slot = true;
  settings.slot_name = "busbar_slot_0123";
  const auto slots = "SELECT string_agg(slot_name || ' ' || temporary, ',') FROM"
                     " pg_replication_slots WHERE database = current_database()";
  {
    auto stream = started(settings);
    EXPECT_TRUE(stream->leader().slot_created);
    EXPECT_EQ(value(slots), "busbar_slot_0123 true");
    sql("INSERT INTO item VALUES (1, 'a')");
    EXPECT_THAT(stream.next_transaction().changes, ElementsAre("0 item + 1|a"));
  }
  wait_until(slots, "");
  stream_reader again{settings};
  EXPECT_TRUE(again->leader().slot_created);
}

// F32
TEST_F(StreamLifeTest, TheLockExcludesWhateverTheSignOfItsKey) {
  for (const std::string id : {"a", "b", "c", "d", "0zero", "e1", "f2"}) {
    auto settings = stream_settings();
    settings.stream_id = id;
    settings.lock_idle_max = 50ms;
    std::atomic<bool> stop{false};
    auto holder = must(postgres::replication_stream::open(settings, stop));
    auto next = must(postgres::replication_stream::open(settings, stop)); // breaks the lock
    EXPECT_FALSE(holder.start({})) << id;
    EXPECT_TRUE(next.start({})) << id;
  }
}

} // namespace
} // namespace busbar::testing
