#include "app/diagnosis.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace busbar::app {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using namespace std::chrono_literals;

const our_names names{.slot = "busbar_slot_default", .publication = "busbar_publication_default"};

postgres::server_inspection good_server() {
  postgres::server_inspection out;
  out.version = 150014;
  out.version_text = "15.14";
  out.wal_level = "logical";
  out.slots_max = out.senders_max = 10;
  out.sender_timeout_ms = 60'000;
  out.slot_wal_keep_mb = 20'480;
  return out;
}
postgres::role_inspection good_role() {
  return {.name = "ann", .database = "shop", .replication = true, .creates_in_database = true};
}
postgres::slot_inspection good_slot() {
  postgres::slot_inspection out;
  out.plugin = "pgoutput";
  out.type = "logical";
  out.database = "shop";
  out.is_here = true;
  out.wal_status = "reserved";
  out.confirmed = lsn{100};
  return out;
}
postgres::publication_inspection good_publication() {
  postgres::publication_inspection out;
  out.owner = "ann";
  out.owned = out.has_all_operations = true;
  return out;
}
postgres::leaf_inspection good_leaf() {
  postgres::leaf_inspection out;
  out.name = out.root = "public.items";
  out.owner = "ann";
  out.identity = 'f';
  out.has_key = out.owned = out.readable = true;
  return out;
}

/// The findings that are not ok.
findings faults(const findings& all) {
  findings out;
  for (const auto& f : all)
    if (f.is != verdict::ok)
      out.push_back(f);
  return out;
}
auto fault(verdict is, const std::string& check, const std::string& mend) {
  return AllOf(Field(&finding::is, is), Field(&finding::check, check),
               Field(&finding::mend, Contains(HasSubstr(mend))));
}
/// Every fault says what mends it.
void expect_mends(const findings& all) {
  for (const auto& f : faults(all))
    EXPECT_THAT(f.mend, Not(IsEmpty())) << f.check << ": " << f.says;
}

TEST(Diagnosis, WhatIsGoodIsOk) {
  EXPECT_THAT(faults(judge_server(good_server())), IsEmpty());
  EXPECT_THAT(faults(judge_capacity(good_server(), true)), IsEmpty());
  EXPECT_THAT(faults(judge_clock(good_server())), IsEmpty());
  EXPECT_THAT(faults(judge_retention(good_server())), IsEmpty());
  EXPECT_THAT(faults(judge_role(good_role(), std::nullopt, names)), IsEmpty());
  EXPECT_THAT(faults(judge_slot(good_slot(), names)), IsEmpty());
  EXPECT_THAT(faults(judge_slot(std::nullopt, names)), IsEmpty());
  EXPECT_THAT(faults(judge_publication(good_publication(), good_role(), names)), IsEmpty());
  EXPECT_THAT(faults(judge_leaves({good_leaf()}, good_role(), names)), IsEmpty());
}

TEST(Diagnosis, AServerThatCannotDecodeIsWrong) {
  auto server = good_server();
  server.wal_level = "replica";
  server.in_recovery = true;
  server.version = 130000;
  const auto found = faults(judge_server(server));
  EXPECT_THAT(found, ElementsAre(fault(verdict::wrong, "version", "upgrade"),
                                 fault(verdict::wrong, "role of server", "target_session_attrs"),
                                 fault(verdict::wrong, "wal_level",
                                       "ALTER SYSTEM SET wal_level = 'logical'; -- then restart")));
}

TEST(Diagnosis, AReleaseWhoseDecodingIsFaultyIsAWarning) {
  auto server = good_server();
  server.version = 150012;
  server.version_text = "15.12";
  const auto found = faults(judge_server(server));
  EXPECT_THAT(found,
              ElementsAre(fault(verdict::warn, "version", "minor release of PostgreSQL 15")));
  EXPECT_THAT(found.front().says, HasSubstr("PostgreSQL 15.12: a change that is under way"));
}

TEST(Diagnosis, TheLastFreeSlotIsTakenWithAWarning) {
  auto server = good_server();
  server.slots_used = 9;
  server.senders_used = 10;
  EXPECT_THAT(faults(judge_capacity(server, true)),
              ElementsAre(fault(verdict::warn, "max_replication_slots",
                                "ALTER SYSTEM SET max_replication_slots = 15; -- then restart"),
                          fault(verdict::wrong, "max_wal_senders", "max_wal_senders = 15")));
  server.slots_used = server.slots_max;
  EXPECT_THAT(faults(judge_capacity(server, false)),
              Not(Contains(Field(&finding::is, verdict::wrong))));
}

TEST(Diagnosis, AClockIsJudgedByMoreThanTheRoundTrip) {
  auto server = good_server();
  server.clock_ahead = -4000ms;
  EXPECT_THAT(faults(judge_clock(server)), ElementsAre(fault(verdict::warn, "clock", "chrony")));
  server.round_trip = 3000ms;
  EXPECT_THAT(faults(judge_clock(server)), IsEmpty());
}

TEST(Diagnosis, MissingPrivilegesComeWithTheirGrants) {
  auto role = good_role();
  role.name = "o\"ann";
  role.replication = role.creates_in_database = false;
  EXPECT_THAT(faults(judge_role(role, std::nullopt, names)),
              ElementsAre(fault(verdict::wrong, "replication privilege",
                                "ALTER ROLE \"o\"\"ann\" REPLICATION;"),
                          fault(verdict::wrong, "create privilege",
                                "GRANT CREATE ON DATABASE \"shop\" TO \"o\"\"ann\";")));
  role.has_managed_replication = true;
  EXPECT_THAT(faults(judge_role(role, good_publication(), names)),
              ElementsAre(fault(verdict::wrong, "replication privilege", "GRANT rds_replication")));
}

TEST(Diagnosis, ALostSlotIsWrongAndOneThatRunsOutIsWarnedOf) {
  auto slot = good_slot();
  slot.wal_status = "lost";
  slot.invalidated = "wal_removed";
  auto found = faults(judge_slot(slot, names));
  EXPECT_THAT(found, ElementsAre(fault(verdict::wrong, "slot",
                                       "SELECT pg_drop_replication_slot('busbar_slot_default');")));
  EXPECT_THAT(found[0].says, HasSubstr("wal_removed"));
  slot = good_slot();
  slot.wal_status = "unreserved";
  slot.safe_wal_bytes = -5;
  EXPECT_THAT(faults(judge_slot(slot, names)),
              ElementsAre(fault(verdict::warn, "slot", "max_slot_wal_keep_size")));
  slot = good_slot();
  slot.retained_bytes = std::int64_t{20} << 30;
  EXPECT_THAT(faults(judge_slot(slot, names)),
              ElementsAre(fault(verdict::warn, "slot", "busbar cleanup")));
  slot.active_pid = 7;
  EXPECT_THAT(faults(judge_slot(slot, names)),
              ElementsAre(fault(verdict::warn, "slot", "does not keep up")));
}

TEST(Diagnosis, ASlotOfSomebodyElseIsNotToBeDroppedBlindly) {
  auto slot = good_slot();
  slot.is_here = false;
  slot.database = "other";
  EXPECT_THAT(faults(judge_slot(slot, names)),
              ElementsAre(fault(verdict::wrong, "slot", "BUSBAR_REPLICATION_STREAM_ID")));
}

TEST(Diagnosis, AHalfMadeSlotNamesWhomItWaitsFor) {
  auto slot = good_slot();
  slot.confirmed.reset();
  EXPECT_THAT(faults(judge_slot(slot, names)),
              ElementsAre(fault(verdict::warn, "slot", "pg_stat_activity")));
}

TEST(Diagnosis, RetentionIsNeitherEndlessNorShort) {
  auto server = good_server();
  server.slot_wal_keep_mb = -1;
  server.sender_timeout_ms = 0;
  server.idle_slot_timeout = 60;
  EXPECT_THAT(
      faults(judge_retention(server)),
      ElementsAre(fault(verdict::warn, "max_slot_wal_keep_size", "SELECT pg_reload_conf();"),
                  fault(verdict::warn, "idle_replication_slot_timeout",
                        "idle_replication_slot_timeout = 0"),
                  fault(verdict::warn, "wal_sender_timeout", "'60s'")));
  server.slot_wal_keep_mb = 100;
  server.sender_timeout_ms = 1000;
  EXPECT_THAT(faults(judge_retention(server)), SizeIs(3));
}

TEST(Diagnosis, APublicationOfSomebodyElseMustBeCompleteAlready) {
  auto publication = good_publication();
  publication.has_all_operations = false;
  EXPECT_THAT(faults(judge_publication(publication, good_role(), names)),
              ElementsAre(fault(verdict::warn, "publication", "publish = 'insert, update")));
  publication.owned = false;
  publication.owner = "dba";
  EXPECT_THAT(faults(judge_publication(publication, good_role(), names)),
              ElementsAre(fault(verdict::wrong, "publication", "-- as its owner, \"dba\""),
                          fault(verdict::warn, "publication owner", "OWNER TO \"ann\";")));
  publication = good_publication();
  publication.without_generated = true;
  EXPECT_THAT(faults(judge_publication(publication, good_role(), names)),
              ElementsAre(fault(verdict::warn, "publication", "publish_generated_columns")));
}

TEST(Diagnosis, ATablesFaultsAreToldOneByOne) {
  auto leaf = good_leaf();
  leaf.name = leaf.root = "\"a.b\".items";
  leaf.identity = 'd';
  leaf.has_key = leaf.owned = leaf.readable = false;
  leaf.owner = "dba";
  leaf.partial = leaf.row_security = true;
  const auto found = faults(judge_leaves({leaf}, good_role(), names));
  EXPECT_THAT(found,
              ElementsAre(fault(verdict::wrong, "replica identity",
                                "ALTER TABLE \"a.b\".items REPLICA IDENTITY FULL; -- as \"dba\""),
                          fault(verdict::wrong, "row filter or column list", "DROP TABLE"),
                          fault(verdict::wrong, "row security", "BYPASSRLS"),
                          fault(verdict::wrong, "select privilege",
                                "GRANT USAGE ON SCHEMA \"a.b\" TO \"ann\"; GRANT SELECT"),
                          fault(verdict::warn, "ownership", "GRANT \"dba\" TO \"ann\";")));
}

TEST(Diagnosis, AThousandTablesWithOneFaultAreNotAThousandLines) {
  auto leaf = good_leaf();
  leaf.identity = 'd';
  const std::vector<postgres::leaf_inspection> many(1000, leaf);
  const auto found = judge_leaves(many, good_role(), names);
  EXPECT_THAT(found, SizeIs(11));
  EXPECT_THAT(found.back().says, HasSubstr("990 more"));
}

TEST(Diagnosis, StorageOfAnotherDatabaseIsWrongAndAnOlderCopyIsWarnedOf) {
  storage::directory_inspection stored;
  stored.state = storage::directory_state::readable;
  stored.format = 1;
  stored.identity = storage::node_identity{"7", 1, "shop", "default"};
  stored.durable = lsn{100};
  postgres::system_inspection server{.system_id = "7", .timeline = 1, .database = "shop"};
  const auto judge = [&] { return judge_storage("d", stored, server, good_slot(), "default"); };
  EXPECT_THAT(faults(judge()), IsEmpty());
  stored.durable = lsn{99};
  EXPECT_THAT(faults(judge()), ElementsAre(fault(verdict::warn, "storage", "intended")));
  server.timeline = 2;
  EXPECT_THAT(faults(judge()), ElementsAre(fault(verdict::warn, "storage", "intended")));
  server.system_id = "8";
  EXPECT_THAT(faults(judge()), ElementsAre(fault(verdict::wrong, "storage", "BUSBAR_STORAGE_DIR")));
}

TEST(Diagnosis, StorageThatIsInUseIsFine) {
  storage::directory_inspection stored;
  stored.state = storage::directory_state::in_use;
  stored.holder = 42;
  const auto found = judge_storage("d", stored, std::nullopt, std::nullopt, "default");
  EXPECT_THAT(faults(found), IsEmpty());
  EXPECT_THAT(found[0].says, HasSubstr("in use by process 42"));
}

TEST(Diagnosis, ADiskIsJudgedByKindRoomAndSpeed) {
  disk_inspection disk{.directory = "/d",
                       .problem = "",
                       .file_system = "ext4",
                       .total_bytes = std::uint64_t{100} << 30,
                       .free_bytes = std::uint64_t{50} << 30,
                       .is_writable = true,
                       .sync_time = 900us};
  EXPECT_THAT(faults(judge_disk(disk)), IsEmpty());
  disk.is_network = true;
  disk.free_bytes = 1u << 20;
  disk.sync_time = 50ms;
  EXPECT_THAT(faults(judge_disk(disk)),
              ElementsAre(fault(verdict::warn, "file system", "BUSBAR_STORAGE_DIR"),
                          fault(verdict::wrong, "disk space", "make room"),
                          fault(verdict::warn, "disk writes", "faster disk")));
  disk.is_writable = false;
  expect_mends(judge_disk(disk));
}

TEST(Diagnosis, ARefusedConnectionIsWrongOnlyIfWaitingCannotHelp) {
  const auto judge = [](postgres::trouble kind, const std::string& state) {
    return judge_refusal("connection", "ann@db:5432/shop", {kind, state, "no"});
  };
  EXPECT_EQ(judge(postgres::trouble::transient, "").is, verdict::unknown);
  EXPECT_EQ(judge(postgres::trouble::fatal, "28P01").is, verdict::wrong);
  for (const auto* state : {"", "28P01", "28000", "3D000"})
    EXPECT_THAT(judge(postgres::trouble::fatal, state).mend, Not(IsEmpty())) << state;
}

TEST(Findings, TheExitStatusIsOfTheWorst) {
  const auto status = [](std::initializer_list<verdict> all) {
    findings found;
    for (const auto is : all)
      found.push_back({is, "c", "s", {}});
    return exit_status(found);
  };
  EXPECT_EQ(status({verdict::ok, verdict::warn}), 0);
  EXPECT_EQ(status({verdict::ok, verdict::unknown}), 1);
  EXPECT_EQ(status({verdict::unknown, verdict::wrong}), 2);
}

TEST(Findings, ReadAsLinesAndAsJson) {
  const findings found{{verdict::ok, "version", "15.4", {}},
                       {verdict::wrong, "wal_level", "it is 'r\xff'", {"SQL;", "or else"}}};
  EXPECT_EQ(as_text({found[0], {verdict::wrong, "wal_level", "no", {"SQL;"}}}),
            "ok      version   15.4\n"
            "wrong   wal_level no\n"
            "        mend: SQL;\n");
  const auto json = nlohmann::json::parse(as_json(found));
  EXPECT_EQ(json["verdict"], "wrong");
  EXPECT_EQ(json["checks"][1]["mend"][1], "or else");
}

} // namespace
} // namespace busbar::app
