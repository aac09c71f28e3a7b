// Directories of other formats.
#include "tests/unit/storage/store_fixture.hpp"

#include <gmock/gmock.h>
#include <rocksdb/db.h>

#include <filesystem>

namespace busbar::storage {
namespace {

using testing::everything;
using ::testing::HasSubstr;

class StoreFormatTest : public testing::StoreTest {
protected:
  void SetUp() override {}

  /// A directory that a build of format 1, or 2, has written, frozen.
  void thaw(int format = 1) {
    std::filesystem::copy(BUSBAR_TEST_DATA "/storage-format-" + std::to_string(format),
                          settings().directory, std::filesystem::copy_options::recursive);
  }
  /// As another build would leave it.
  void write_key(family f, const std::string& key, const std::string& value) const {
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (const auto name : family_names)
      families.emplace_back(std::string{name}, rocksdb::ColumnFamilyOptions{});
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* db = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open({}, settings().directory, families, &handles, &db).ok());
    EXPECT_TRUE(db->Put({}, handles[static_cast<std::size_t>(f)], key, value).ok());
    for (auto* handle : handles)
      delete handle;
    delete db;
  }
};

TEST_F(StoreFormatTest, ADirectoryOfFormat1IsReadAndBecomesOneOfThisFormat) {
  thaw();
  for (int round = 0; round < 2; ++round) { // the second time it is of this format already
    reopen();
    EXPECT_EQ(store_->identity().value(),
              (node_identity{"7123456789012345678", 3, "app", "default"}));
    EXPECT_EQ(store_->durable().value(), lsn{300});
    const auto shapes = recover();
    ASSERT_EQ(shapes.size(), 2u);
    EXPECT_EQ(shapes[0].record.handle, "one");
    EXPECT_EQ(*shapes[0].record.table, *record("").table);
    EXPECT_EQ(shapes[0].head, (log_offset{200, 8}));
    EXPECT_EQ(shapes[0].open_chunk_bytes, 77u);
    EXPECT_EQ(shapes[0].splice_passed, 150u);
    ASSERT_TRUE(shapes[0].known);
    EXPECT_EQ(shapes[0].known->seen.xmax, 130u);
    EXPECT_EQ(read(shape_id{1}, log_offset::start(), everything), "a,b,c");
    EXPECT_EQ(shapes[1].record.handle, "two");
    EXPECT_TRUE(shapes[1].has_boundaries);
    EXPECT_EQ(read(shape_id{2}, log_offset::start(), everything), std::string(20'000, 'z'));
    const auto set = store_->read_set(shape_id{2}).value();
    ASSERT_EQ(set.values.size(), 1u);
    EXPECT_EQ(set.values[0].second, 7u);
    EXPECT_EQ(set.position, 200u);
    const auto piece = store_->read_snapshot_piece(shape_id{1}, 0, 0).value();
    ASSERT_TRUE(piece);
    EXPECT_EQ(block_view::open(*piece)->tail(0), R"({"snapshot":1})");
    EXPECT_GT(to_number(store_->next_shape_id().value()), 3u);
  }
}

TEST_F(StoreFormatTest, ADirectoryOfFormat2IsReadAndBecomesOneOfThisFormat) {
  thaw(2);
  for (int round = 0; round < 2; ++round) {
    reopen();
    EXPECT_EQ(store_->identity().value(),
              (node_identity{"7123456789012345678", 3, "app", "default"}));
    EXPECT_EQ(store_->control_key().value().size(), 32u);
    EXPECT_EQ(store_->durable().value(), lsn{300});
    EXPECT_EQ(store_->newest_xid().value(), 5'000'000'123u);
    EXPECT_TRUE(store_->lineage().value().empty());
    const auto shapes = recover();
    ASSERT_EQ(shapes.size(), 2u);
    const auto& one = shapes[0];
    EXPECT_EQ(one.record.handle, "one");
    EXPECT_EQ(one.record.table, shapes[1].record.table) << "of which the digest is stored";
    EXPECT_EQ(*one.record.table, *record("").table);
    EXPECT_EQ(one.head, (log_offset{200, 8})) << "half a transaction behind it is taken back";
    EXPECT_EQ(one.open_chunk_bytes, 77u);
    EXPECT_EQ(one.splice_passed, 150u);
    EXPECT_EQ(one.usage, (shape_usage{1'700'000'000'000'000, 321}));
    ASSERT_TRUE(one.known);
    EXPECT_EQ(one.known->seen.xmax, 130u);
    EXPECT_EQ(one.known->facts->published_by, std::vector<std::uint32_t>{501});
    EXPECT_EQ(one.known->facts->partitions,
              (std::vector<table_facts::partition>{{.oid = 16385, .attached_xid = 120}}));
    EXPECT_EQ(one.known->facts->files, row_files{}) << "which nobody looked at then";
    EXPECT_EQ(read(shape_id{1}, log_offset::start(), everything), "a,b,c");
    EXPECT_TRUE(shapes[1].has_boundaries);
    EXPECT_EQ(read(shape_id{2}, log_offset::start(), everything), std::string(20'000, 'z'));
    EXPECT_EQ(store_->compaction_of(shape_id{2}).value(), compaction_mark{});
    const auto set = store_->read_set(shape_id{2}).value();
    ASSERT_EQ(set.values.size(), 1u);
    EXPECT_EQ(set.values[0].second, 9u);
    EXPECT_EQ(set.position, 200u);
    const auto lag = store_->read_set(shape_id{1}).value().lag;
    ASSERT_EQ(lag.size(), 1u);
    EXPECT_EQ(lag[0].texts, std::vector<std::string>{"x"});
    const auto piece = store_->read_snapshot_piece(shape_id{1}, 0, 0).value();
    ASSERT_TRUE(piece);
    EXPECT_EQ(block_view::open(*piece)->tail(0), R"({"snapshot":1})");
    EXPECT_GT(to_number(store_->next_shape_id().value()), 3u);
  }
}

TEST_F(StoreFormatTest, AFollowerLeavesAnOlderFormatAsItIsUntilItLeads) {
  thaw();
  auto follows = settings();
  follows.replicated_log_bytes = 1u << 20;
  follows.follows = true;
  std::uint64_t at = 0;
  for (int round = 0; round < 2; ++round) {
    store_.reset();
    store_ = store::open(follows).value();
    at = at > 0 ? at : store_->sequence();
    EXPECT_EQ(store_->sequence(), at);
    const auto shapes = store_->recover(recovery::look).value();
    ASSERT_EQ(shapes.size(), 2u);
    EXPECT_EQ(shapes[0].record.handle, "one");
    EXPECT_EQ(store_->find_shape(shape_id{1}).value()->record.handle, "one");
    EXPECT_EQ(store_->sequence(), at);
  }
  ASSERT_TRUE(store_->begin_term(7));
  EXPECT_EQ(store_->lineage().value(), (lineage{{.term = 7, .first = at}}));
  EXPECT_GT(store_->sequence(), at + 1); // the term, and what brought it to this format
}

TEST_F(StoreFormatTest, ADirectoryOfANewerFormatIsRefusedAndLeftAlone) {
  reopen();
  put(shape_id{5}, record("five"));
  store_.reset();
  write_key(family::node, "format", std::string("\0\0\0\x04", 4));
  for (int round = 0; round < 2; ++round) {
    const auto opened = store::open(settings());
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, errc::misconfigured);
    EXPECT_THAT(opened.error().message, HasSubstr("format 4, written by a newer build"));
    EXPECT_EQ(opened.error().message.find('\n'), std::string::npos);
  }
  write_key(family::node, "format", std::string("\0\0\0\x03", 4));
  reopen();
  EXPECT_EQ(recover().size(), 1u);
}

TEST_F(StoreFormatTest, AFamilyThatThisBuildDoesNotKnowIsANewerBuilds) {
  reopen();
  store_.reset();
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const auto name : family_names)
    families.emplace_back(std::string{name}, rocksdb::ColumnFamilyOptions{});
  families.emplace_back("later", rocksdb::ColumnFamilyOptions{});
  rocksdb::DBOptions options;
  options.create_missing_column_families = true;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  ASSERT_TRUE(rocksdb::DB::Open(options, settings().directory, families, &handles, &db).ok());
  for (auto* handle : handles)
    delete handle;
  delete db;
  const auto opened = store::open(settings());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, errc::misconfigured);
  EXPECT_THAT(opened.error().message, HasSubstr("newer build"));
}

} // namespace
} // namespace busbar::storage
