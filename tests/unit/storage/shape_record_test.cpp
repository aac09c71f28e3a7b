#include "storage/shape_record.hpp"

#include <gtest/gtest.h>

#include <random>

namespace busbar::storage {
namespace {

shape_record sample() {
  shape_record r;
  r.handle = "48213375-1787299205123456";
  r.created_lsn = 0x16'b374'd848;
  r.table = std::make_shared<const table_info>(table_info{
      .oid = 16384,
      .schema = "public",
      .name = "größe",
      .columns =
          {{.name = "id",
            .type_oid = 23,
            .type_name = "int4",
            .key_index = 0,
            .interval_fields = {}},
           {.name = "state",
            .type_oid = 9999,
            .type_modifier = 14,
            .type_name = "mood",
            .type_class = "e",
            .dimensions = 2,
            .not_null = true,
            .generated = true,
            .ordered_bytewise = false,
            .deterministic = false,
            .interval_fields = "DAY",
            .number = 7,
            .ctype = "C.UTF-8",
            .enum_schema = "od.d",
            .enum_name = "mood",
            .labels = {"sad", "", "größe"},
            .base = {.name = "mood", .type_class = "e", .dimensions = 1, .type_modifier = 9}}},
      .partitioned = true,
      .database_ordered_bytewise = false,
      .database_ctype = "C"});
  r.selected = {0, 1};
  r.selects_all = true;
  r.where = "id = $1";
  r.parameters = {"5", ""};
  r.replica_full = true;
  r.changes_only = true;
  r.snapshot_complete = true;
  r.snapshot_chunks = 3;
  r.visibility = {.xmin = 1ull << 40, .xmax = (1ull << 40) + 9, .xip = {1ull << 40}};
  return r;
}

TEST(ShapeRecordTest, EveryFieldIsReadBack) {
  const auto r = sample();
  const auto read = decode_shape_record(encode(r));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->handle, r.handle);
  EXPECT_EQ(read->created_lsn, r.created_lsn);
  EXPECT_EQ(*read->table, *r.table);
  EXPECT_EQ(read->selected, r.selected);
  EXPECT_EQ(read->selects_all, r.selects_all);
  EXPECT_EQ(read->where, r.where);
  EXPECT_EQ(read->parameters, r.parameters);
  EXPECT_EQ(read->replica_full, r.replica_full);
  EXPECT_EQ(read->changes_only, r.changes_only);
  EXPECT_EQ(read->snapshot_complete, r.snapshot_complete);
  EXPECT_EQ(read->snapshot_chunks, r.snapshot_chunks);
  EXPECT_EQ(read->visibility, r.visibility);
}

TEST(ShapeRecordTest, ItsTableCanBeStoredElsewhere) {
  const auto r = sample();
  const auto bytes = encode(r, "name");
  EXPECT_LT(bytes.size(), encode(r).size() / 2);
  const auto read = decode_shape_record(bytes, [&](std::string_view digest) {
    EXPECT_EQ(digest, "name");
    return r.table;
  });
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->table, r.table);
  EXPECT_EQ(read->where, r.where);
  EXPECT_EQ(decode_shape_record(bytes).error().code, errc::corrupt);
  EXPECT_EQ(*decode_table(encode(*r.table)), *r.table);
  EXPECT_EQ(decode_table("").error().code, errc::corrupt);
}

TEST(KnownFactsTest, EveryFieldIsReadBack) {
  const table_facts facts{.table = *sample().table,
                          .published_by = {501, 4'000'000'000},
                          .published_above = {503},
                          .placed_by = {740, 741},
                          .publication_xid = 3'000'000'000,
                          .partitions = {{16385, 0, {4'100'000'000, 0}}, {16386, 740, {9, 10}}},
                          .files = {4'000'000'001, 4'000'000'002},
                          .column_xids = {3'000'000'001, 7}};
  const snapshot seen{.xmin = 1ull << 40, .xmax = (1ull << 40) + 9, .xip = {(1ull << 40) + 2}};
  const auto bytes = encode(facts, seen, {});
  const auto read = decode_known_facts(bytes, *sample().table);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read->facts, facts);
  EXPECT_EQ(read->seen, seen);
  for (std::size_t size = 0; size < bytes.size(); size += 8)
    static_cast<void>(decode_known_facts(bytes.substr(0, size), {}));
  EXPECT_EQ(decode_known_facts(bytes.substr(1), {}).error().code, errc::corrupt);
}

TEST(KnownFactsTest, TheTableOfTheRecordIsNotStoredTwice) {
  const table_facts facts{
      .table = *sample().table, .published_by = {501}, .publication_xid = 3, .partitions = {}};
  const auto bytes = encode(facts, {}, *sample().table);
  EXPECT_LT(bytes.size(), encode(facts, {}, {}).size() / 2);
  EXPECT_EQ(*decode_known_facts(bytes, *sample().table)->facts, facts);
}

TEST(ShapeRecordTest, SelectionOutsideOfTheTableIsCorrupt) {
  auto r = sample();
  r.selected = {0, 2};
  const auto read = decode_shape_record(encode(r));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, errc::corrupt);
}

TEST(ShapeRecordTest, DamagedBytesNeverCrash) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random{seed};
  const auto whole = encode(sample());
  for (std::size_t size = 0; size < whole.size(); ++size)
    static_cast<void>(decode_shape_record(std::string_view{whole}.substr(0, size)));
  int refused = 0;
  for (int round = 0; round < 10'000; ++round) {
    auto bytes = whole;
    for (int hit = 0; hit < 4; ++hit)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    const auto read = decode_shape_record(bytes);
    if (!read) {
      ASSERT_EQ(read.error().code, errc::corrupt);
      ++refused;
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_FALSE(decode_shape_record(""));
}

} // namespace
} // namespace busbar::storage
