#include "postgres/catalog.hpp"
#include "postgres/publication.hpp"
#include "postgres/snapshot_reader.hpp"
#include "tests/integration/stream_reader.hpp"

#include <gmock/gmock.h>

#include <thread>

namespace busbar::testing {
namespace {

using ::testing::ElementsAre;

class SnapshotTest : public PostgresTest {
protected:
  table_info table(const std::string& name) {
    return must(postgres::find_table(*admin_, "public", name, in(10s))).value();
  }
  /// All columns of the rows, each as stream_reader writes them.
  static std::vector<std::string> copy(postgres::snapshot_reader& reader, const table_info& table,
                                       std::string_view where = {}) {
    std::vector<std::uint16_t> columns(table.columns.size());
    for (std::size_t i = 0; i < columns.size(); ++i)
      columns[i] = static_cast<std::uint16_t>(i);
    std::vector<std::string> lines;
    const auto count = must(
        reader.copy({&table, columns, where}, in(10s), 10s, [&](std::span<const sql::cell> row) {
          auto& line = lines.emplace_back();
          for (std::size_t i = 0; i < row.size(); ++i) {
            line += i == 0 ? "" : "|";
            line += row[i].value_or("~");
          }
          return true;
        }));
    EXPECT_EQ(count, lines.size());
    return lines;
  }
  std::vector<std::string> rows_of(const std::string& name, std::string_view where = {}) {
    auto session = connect("snapshot");
    auto reader = must(postgres::snapshot_reader::begin(session, in(10s)));
    auto lines = copy(reader, table(name), where);
    must(reader.finish(in(10s)));
    return lines;
  }
};

TEST_F(SnapshotTest, NastyTextComesThroughUnchanged) {
  sql("CREATE TABLE t (id int, v text)");
  const std::vector<std::optional<std::string>> values{
      std::nullopt, "",    "\t",  "\n",           "\\", "\\N",  "\\\\N", "a\tb\nc\\d\r",
      "\b\f\v",     "\\t", "\\.", "naïve – 𝄞 漢", "N",  "\x01", "~|\"'", "\\x41\\101"};
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::optional<std::string> parameters[] = {std::to_string(i), values[i]};
    must(admin_->query("INSERT INTO t VALUES ($1::int, $2)", parameters, in(5s)));
  }
  const auto found = table("t");
  auto session = connect();
  auto reader = must(postgres::snapshot_reader::begin(session, in(10s)));
  const std::uint16_t columns[] = {1, 0}; // in another order than the table's
  std::size_t seen = 0;
  must(reader.copy({&found, columns, {}}, in(10s), 10s, [&](std::span<const sql::cell> row) {
    const auto i = std::stoul(std::string{row[1].value()});
    EXPECT_EQ(row[0].has_value(), values[i].has_value());
    EXPECT_EQ(std::string{row[0].value_or("")}, values[i].value_or(""));
    ++seen;
    return true;
  }));
  EXPECT_EQ(seen, values.size());
}

TEST_F(SnapshotTest, WhereSelectsAndQuotedNamesWork) {
  sql("CREATE TABLE \"A \"\"b\" (\"c \"\"d\" int); INSERT INTO \"A \"\"b\" VALUES (1), (2), (3)");
  EXPECT_THAT(rows_of("A \"b", "\"c \"\"d\" OPERATOR(pg_catalog.>) 1"), ElementsAre("2", "3"));
}

TEST_F(SnapshotTest, APartitionedTableHasTheRowsOfItsLeavesAndAChildIsLeftOut) {
  sql("CREATE TABLE root (a int) PARTITION BY LIST (a);"
      "CREATE TABLE leaf PARTITION OF root FOR VALUES IN (1); INSERT INTO root VALUES (1);"
      "CREATE TABLE parent (a int); INSERT INTO parent VALUES (1)");
  EXPECT_THAT(rows_of("root"), ElementsAre("1"));
  const auto parent = table("parent");
  sql("CREATE TABLE child () INHERITS (parent); INSERT INTO child VALUES (2)");
  auto session = connect();
  auto reader = must(postgres::snapshot_reader::begin(session, in(10s)));
  EXPECT_THAT(copy(reader, parent), ElementsAre("1"));
}

TEST_F(SnapshotTest, BeginFixesWhatIsSeen) {
  sql("CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
  const auto found = table("t");
  auto session = connect();
  auto reader = must(postgres::snapshot_reader::begin(session, in(10s)));
  sql("INSERT INTO t VALUES (2)");
  EXPECT_THAT(copy(reader, found), ElementsAre("1"));
  must(reader.finish(in(5s)));
  EXPECT_TRUE(session.usable());
}

// F25
TEST_F(SnapshotTest, RowsThatWereRewrittenSinceAreNotTakenForNone) {
  sql("CREATE TABLE t (id int PRIMARY KEY, v numeric(4,2)); INSERT INTO t VALUES (1, 1), (2, 2);"
      "CREATE TABLE root (a int) PARTITION BY LIST (a);"
      "CREATE TABLE leaf PARTITION OF root FOR VALUES IN (1);"
      "CREATE TABLE other PARTITION OF root FOR VALUES IN (2); INSERT INTO root VALUES (1), (2);"
      "CREATE TABLE twin (LIKE t)");
  const auto after = [&](const std::string& name, const std::string& statements) {
    const auto found = table(name);
    auto session = connect();
    auto reader = must(postgres::snapshot_reader::begin(session, in(10s)));
    sql(statements);
    const std::uint16_t columns[] = {0};
    const auto copied = reader.copy({&found, columns, {}}, in(10s), 10s,
                                    [](std::span<const sql::cell>) { return true; });
    must(reader.finish(in(10s)));
    return copied ? std::to_string(*copied) + " rows" : copied.error().sqlstate;
  };
  EXPECT_EQ(after("t", "INSERT INTO t VALUES (3, 3)"), "2 rows");
  EXPECT_EQ(after("t", "ALTER TABLE t ADD more int, ALTER v DROP NOT NULL"), "3 rows");
  EXPECT_EQ(after("t", "ALTER TABLE t ALTER v TYPE numeric(5,3)"), postgres::lost_rows);
  EXPECT_EQ(after("t", "TRUNCATE t"), postgres::lost_rows);
  EXPECT_EQ(
      after("t", "BEGIN; ALTER TABLE t RENAME TO was_t; ALTER TABLE twin RENAME TO t; COMMIT"),
      postgres::lost_rows);
  EXPECT_EQ(after("root", "SELECT 1"), "2 rows");
  EXPECT_EQ(after("root", "TRUNCATE other"), postgres::lost_rows);
  EXPECT_EQ(after("root", "DROP TABLE other"), postgres::lost_rows);
}

TEST_F(SnapshotTest, SnapshotAndStreamTogetherHaveEveryTransactionOnce) {
  sql("CREATE TABLE t (a int PRIMARY KEY, who text)");
  stream_reader stream{stream_settings()};
  const auto found = table("t");
  must(postgres::ensure_published(*admin_, stream_settings().publication(), found, false, in(10s)));
  stream.start();
  auto early = connect();
  auto late = connect();
  auto aborted = connect();
  must(early.command("BEGIN; INSERT INTO t VALUES (1, 'committed before')", in(5s)));
  must(late.command("BEGIN; INSERT INTO t VALUES (2, 'open at the snapshot')", in(5s)));
  must(aborted.command("BEGIN; INSERT INTO t VALUES (9, 'aborted')", in(5s)));
  must(early.command("COMMIT", in(5s)));
  sql("INSERT INTO t VALUES (3, 'later xid, committed before')");

  auto session = connect();
  auto reader = must(postgres::snapshot_reader::begin(session, in(10s)));
  sql("INSERT INTO t VALUES (4, 'after')");
  must(late.command("COMMIT", in(5s)));
  must(aborted.command("ROLLBACK", in(5s)));
  auto spliced = copy(reader, found);
  EXPECT_THAT(spliced, ElementsAre("1|committed before", "3|later xid, committed before"));
  EXPECT_EQ(reader.visibility().xip.size(), 2u);

  for (int i = 0; i < 4; ++i) {
    const auto seen = stream.next_transaction();
    ASSERT_EQ(seen.changes.size(), 1u);
    if (!reader.visibility().sees(seen.xid))
      spliced.push_back(seen.changes[0].substr(seen.changes[0].find('+') + 2));
    else
      EXPECT_LE(seen.end, reader.wal_position());
  }
  std::sort(spliced.begin(), spliced.end());
  EXPECT_THAT(spliced, ElementsAre("1|committed before", "2|open at the snapshot",
                                   "3|later xid, committed before", "4|after"));
}

// F15
TEST_F(SnapshotTest, EveryCommonTypeReadsTheSameInSnapshotAndStream) {
  sql("CREATE TYPE mood AS ENUM ('sad', 'so so'); CREATE TYPE pair AS (a int, b text);"
      "CREATE DOMAIN positive AS int CHECK (VALUE > 0)");
  // Whatever the database or the role prefers must not show.
  for (const auto* setting :
       {"DateStyle = 'SQL, MDY'", "TimeZone = 'America/New_York'", "IntervalStyle = 'postgres'",
        "bytea_output = 'escape'", "extra_float_digits = -5", "search_path = public, pg_catalog"})
    sql("ALTER DATABASE " + database_ + " SET " + setting);
  admin_ = connect();
  sql("CREATE TABLE t (id int PRIMARY KEY, b bool, i2 int2, i8 int8, f4 float4, f8 float8,"
      " n numeric, np numeric(10,4), m money, tx text, vc varchar(9), ch char(6), q \"char\","
      " nm name, by bytea, d date, ti time, tz timetz, ts timestamp, tt timestamptz, iv interval,"
      " u uuid, j json, jb jsonb, x xml, ip inet, ci cidr, ma macaddr, bi bit(3), vb varbit,"
      " po point, ra int4range, tr tstzrange, mr int4multirange, mo mood, pa pair, ps positive,"
      " ai int[], am text[][], at timestamptz[], ap pair[], rc regclass, ls pg_lsn, tv tsvector,"
      " big text)");
  stream_reader stream{stream_settings()};
  const auto found = table("t");
  must(postgres::ensure_published(*admin_, stream_settings().publication(), found, false, in(10s)));
  stream.start();
  sql("INSERT INTO t VALUES (1, true, -32768, 9223372036854775807, 0.1, 1e-300, 'NaN', 12.5,"
      " 1234.5, E'a\\tb\\\\c\\nd', 'vc', 'pad', 'x', 'nm', '\\x00ff5c', '0044-03-15 BC', '24:00',"
      " '12:00:00.5+05:30', '2024-02-29 23:59:59.999999', '1999-12-31 23:00:00-05',"
      " '1 year 2 mons -3 days 04:05:06.789', '00112233-4455-6677-8899-AABBCCDDEEFF',"
      " '{ \"a\" : [1, 2] }', '{\"b\": 1, \"a\": \"\\u00e9\"}', '<a>x</a>', '::1/64',"
      " '10.0.0.0/8', '08:00:2b:01:02:03', B'101', B'1', '(1.5,-2)', '[1,5)',"
      " '[2020-01-01 00:00+00,)', '{[1,3),[5,9)}', 'so so', ROW(1, 'x \"y'), 7, '{1,NULL,3}',"
      " '{{a,\"b c\"},{NULL,\"\"}}', '{\"2020-01-01 00:00+00\"}', ARRAY[ROW(1,'z')::pair],"
      " 'public.t', '16/B374D848', 'a fat:2 cat', repeat('long ', 5000));"
      "INSERT INTO t (id, f4, f8, d, ts, tt, iv) VALUES (2, 'Infinity', '-Infinity', 'infinity',"
      " '-infinity', '0001-01-01 00:00:00+00', '-1 day');"
      "INSERT INTO t (id, f8, f4, iv) VALUES (3, 0.1::float8 + 0.2::float8, 3.4028235e38, '0')");
  std::vector<std::string> streamed;
  for (const auto& change : stream.next_transaction().changes)
    streamed.push_back(change.substr(change.find('+') + 2));
  const auto copied = rows_of("t");
  ASSERT_EQ(copied.size(), 3u);
  EXPECT_EQ(copied, streamed);
}

TEST_F(SnapshotTest, AWaitForALockEndsAtTheDeadlineOfTheFirstRow) {
  sql("CREATE TABLE t (a int)");
  const auto found = table("t");
  auto session = connect();
  const auto pid = std::to_string(session.backend_pid());
  auto reader = must(postgres::snapshot_reader::begin(session, in(10s)));
  auto locker = connect();
  must(locker.command("BEGIN; LOCK TABLE t", in(5s)));
  const std::uint16_t columns[] = {0};
  const auto outcome = reader.copy({&found, columns, {}}, in(300ms), 10s,
                                   [](std::span<const sql::cell>) { return true; });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, postgres::trouble::transient);
  wait_until("SELECT count(*) FROM pg_stat_activity WHERE pid = " + pid, "0");
  must(locker.command("ROLLBACK", in(5s)));
}

TEST_F(SnapshotTest, WhoMayNotWaitLongForALockIsToldThatItIsHeld) {
  sql("CREATE TABLE t (a int)");
  const auto found = table("t");
  auto session = connect();
  auto reader = must(postgres::snapshot_reader::begin(session, in(10s), 50ms));
  auto locker = connect();
  must(locker.command("BEGIN; LOCK TABLE t", in(5s)));
  const std::uint16_t columns[] = {0};
  const auto outcome = reader.copy({&found, columns, {}}, in(30s), 10s,
                                   [](std::span<const sql::cell>) { return true; });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().sqlstate, "55P03");
  must(reader.finish(in(5s)));
  EXPECT_TRUE(session.usable());
}

TEST_F(SnapshotTest, RowsThatNobodyWantsAnyMoreAreNotWaitedFor) {
  sql("CREATE TABLE t (a int)");
  const auto found = table("t");
  auto session = connect();
  const auto pid = std::to_string(session.backend_pid());
  auto reader = must(postgres::snapshot_reader::begin(session, in(10s)));
  auto locker = connect();
  must(locker.command("BEGIN; LOCK TABLE t", in(5s)));
  std::atomic<bool> stop{false};
  std::thread leaving{[&] {
    wait_until("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = " + pid, "1");
    stop = true;
  }};
  const std::uint16_t columns[] = {0};
  const auto outcome =
      reader.copy({.table = &found, .columns = columns, .where = {}, .stop = &stop}, in(30s), 10s,
                  [](std::span<const sql::cell>) { return true; });
  leaving.join();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().message.find("in time"), std::string::npos) << outcome.error().message;
  EXPECT_FALSE(session.usable());
  wait_until("SELECT count(*) FROM pg_stat_activity WHERE pid = " + pid, "0");
}

TEST_F(SnapshotTest, RowsThatAPolicyWouldLeaveOutAreRefusedAndNotMissing) {
  const auto role = "reader_" + database_;
  sql("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2); ALTER TABLE t ENABLE ROW LEVEL "
      "SECURITY;"
      "CREATE POLICY p ON t USING (a = 1); CREATE ROLE " +
      role + "; GRANT SELECT ON t TO " + role);
  const auto found = table("t");
  {
    auto session = connect("snapshot");
    must(session.command("SET ROLE " + role, in(5s)));
    auto reader = must(postgres::snapshot_reader::begin(session, in(10s)));
    const std::uint16_t columns[] = {0};
    const auto copied = reader.copy({&found, columns, {}}, in(10s), 10s,
                                    [](std::span<const sql::cell>) { return true; });
    ASSERT_FALSE(copied);
    EXPECT_EQ(copied.error().sqlstate, "42501");
  }
  EXPECT_THAT(rows_of("t"), ElementsAre("1", "2")) << "whom no policy is for";
  sql("DROP OWNED BY " + role + "; DROP ROLE " + role);
}

// F25
TEST_F(SnapshotTest, ADroppedColumnKeepsItsSqlstate) {
  sql("CREATE TABLE t (a int, b int)");
  const auto found = table("t");
  sql("ALTER TABLE t DROP b");
  auto session = connect();
  auto reader = must(postgres::snapshot_reader::begin(session, in(10s)));
  const std::uint16_t columns[] = {0, 1};
  const auto outcome = reader.copy({&found, columns, {}}, in(5s), 5s,
                                   [](std::span<const sql::cell>) { return true; });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().sqlstate, "42703");
  must(reader.finish(in(5s)));
  EXPECT_TRUE(session.usable());
}

TEST_F(SnapshotTest, AnErrorInTheMiddleOfTheRowsIsReported) {
  sql("CREATE TABLE t (a int); INSERT INTO t SELECT 100 - i FROM generate_series(1, 100) i");
  const auto found = table("t");
  auto session = connect();
  auto reader = must(postgres::snapshot_reader::begin(session, in(10s)));
  const std::uint16_t columns[] = {0};
  const auto outcome = reader.copy({&found, columns, "1/a >= 0"}, in(5s), 5s,
                                   [](std::span<const sql::cell>) { return true; });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().sqlstate, "22012");
  must(reader.finish(in(5s)));
  EXPECT_TRUE(session.usable());
}

TEST_F(SnapshotTest, TheReaderMayStopEarly) {
  sql("CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 200000)");
  const auto found = table("t");
  auto session = connect();
  auto reader = must(postgres::snapshot_reader::begin(session, in(10s)));
  const std::uint16_t columns[] = {0};
  int seen = 0;
  EXPECT_EQ(must(reader.copy({&found, columns, {}}, in(5s), 5s,
                             [&](std::span<const sql::cell>) { return ++seen < 10; })),
            10u);
  EXPECT_EQ(seen, 10);
  must(reader.finish(in(5s)));
}

} // namespace
} // namespace busbar::testing
