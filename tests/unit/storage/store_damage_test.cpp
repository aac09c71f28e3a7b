// Damaged files: what they cost, and what they must not. F30
#include "tests/unit/storage/store_fixture.hpp"

#include <gmock/gmock.h>
#include <rocksdb/db.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <vector>

namespace busbar::storage {
namespace {

namespace fs = std::filesystem;
using testing::everything;
using ::testing::HasSubstr;

class StoreDamageTest : public testing::StoreTest {
protected:
  static constexpr std::uint64_t shapes = 40;

  std::string text_of(std::uint64_t id) const { return std::string(20'000, char('a' + id % 26)); }

  /// Shapes whose logs and snapshots are large enough for blob files, and small ones.
  void fill() {
    ASSERT_TRUE(store_->set_identity({"7", 1, "app", "default"}));
    for (std::uint64_t i = 1; i <= shapes; ++i) {
      const auto id = store_->next_shape_id().value();
      put(id, record("shape" + std::to_string(to_number(id))));
      const auto piece = block({{0, i % 2 == 0 ? text_of(i) : "small"}}, 0);
      ASSERT_TRUE(store_->put_snapshot_piece(id, 0, 0, piece, true));
      batch writes;
      for (std::uint64_t tx = 100; tx < 105; ++tx)
        writes.append_block(id, {tx, 0}, block({{0, i % 2 == 0 ? text_of(i) : "small"}}));
      commit(writes);
    }
    ASSERT_TRUE(store_->sync(lsn{200}));
  }
  /// What is in the log goes into files at the next opening.
  void flush() {
    reopen();
    recover();
    reopen();
  }

  std::vector<fs::path> files(const std::string& kind) const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator{settings().directory})
      if (entry.is_regular_file() &&
          entry.path().filename().string().find(kind) != std::string::npos)
        found.push_back(entry.path());
    std::ranges::sort(found);
    return found;
  }
  static void flip(const fs::path& file, std::uint64_t at) {
    std::fstream open{file, std::ios::in | std::ios::out | std::ios::binary};
    open.seekg(static_cast<std::streamoff>(at));
    const char was = static_cast<char>(open.get());
    open.seekp(static_cast<std::streamoff>(at));
    open.put(static_cast<char>(was ^ 0x40));
  }
  std::vector<fs::path> set_aside() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator{settings().directory})
      if (entry.path().filename().string().starts_with("damaged-"))
        found.push_back(entry.path());
    return found;
  }
  /// Every shape that is found is as it was written, or says itself that it cannot be read. Returns
  /// how many are whole.
  std::size_t judge() { return judge(recover()); }
  std::size_t judge(const std::vector<recovered_shape>& found) {
    std::size_t whole = 0;
    for (const auto& shape : found) {
      const auto i = to_number(shape.id);
      if (i > shapes)
        continue;
      const auto text = i % 2 == 0 ? text_of(i) : "small";
      EXPECT_EQ(shape.head, (log_offset{104, 0})) << i;
      std::size_t blocks = 0;
      auto done = store_->read_log(shape.id, log_offset::snapshot_end(), everything,
                                   [&](log_offset, std::string_view stored) {
                                     const auto view = block_view::open(stored);
                                     EXPECT_TRUE(view && view->tail(0) == text) << i;
                                     ++blocks;
                                     return true;
                                   });
      auto piece = store_->read_snapshot_piece(shape.id, 0, 0);
      if (!done || !piece) {
        EXPECT_EQ((done ? piece.error() : done.error()).code, errc::corrupt) << i;
        continue;
      }
      EXPECT_EQ(blocks, 5u) << i;
      EXPECT_TRUE(*piece) << i;
      ++whole;
    }
    return whole;
  }
  /// What a server does at start and then, here on what may be damaged.
  result<void> go_on(bool has_all) {
    const auto found = store_->recover();
    if (!found)
      return fail(error{found.error()});
    if (has_all)
      judge(*found);
    const shape_id id{1'000'000};
    if (auto done = store_->finish_snapshots(std::array{std::pair{id, record("new")}}, false);
        !done)
      return done;
    batch writes;
    writes.append_block(id, {300, 0}, block({{0, "new"}}));
    return store_->commit(writes);
  }
};

// F30
TEST_F(StoreDamageTest, AFlippedByteInATableOrABlobCostsNoMoreThanTheShapesThatHaveItInTheirBlock) {
  fill();
  flush();
  ASSERT_EQ(judge(), shapes);
  store_.reset();
  const auto blobs = files(".blob");
  ASSERT_FALSE(blobs.empty());
  flip(blobs.front(), fs::file_size(blobs.front()) / 2);
  reopen();
  EXPECT_EQ(judge(), shapes - 1);
  EXPECT_TRUE(set_aside().empty());
}

// F30
TEST_F(StoreDamageTest, AMissingTableIsLeftOutAndTheOthersAreCopied) {
  fill();
  flush();
  store_.reset();
  ASSERT_FALSE(files(".sst").empty());
  fs::remove(files(".sst").back());
  reopen();
  judge();
  EXPECT_EQ(set_aside().size(), 1u);
  reopen(); // and that was it
  EXPECT_EQ(set_aside().size(), 1u);
}

// F30
TEST_F(StoreDamageTest, AStoreWithoutCurrentOrManifestIsSetAsideAndANewOneBegins) {
  for (const std::string kind : {"CURRENT", "MANIFEST-"}) {
    for (const bool gone : {true, false}) {
      SCOPED_TRACE(kind + (gone ? " gone" : " broken"));
      store_.reset();
      fs::remove_all(settings().directory);
      reopen();
      fill();
      store_.reset();
      const auto found = files(kind);
      ASSERT_FALSE(found.empty());
      for (const auto& file : found) {
        if (gone)
          fs::remove(file);
        else
          std::ofstream{file, std::ios::trunc} << "nonsense\n";
      }
      reopen();
      EXPECT_TRUE(recover().empty());
      EXPECT_EQ(store_->identity().value(), std::nullopt);
      EXPECT_EQ(store_->durable().value(), lsn{0});
      ASSERT_EQ(set_aside().size(), 1u);
      EXPECT_FALSE(fs::is_empty(set_aside().front()));
      put(shape_id{5}, record("five"));
      reopen();
      EXPECT_EQ(recover().size(), 1u);
    }
  }
}

// Some families may have been flushed after the hole: their sound parts do not fit the others'.
TEST_F(StoreDamageTest, AHoleInTheLogThatWasFlushedOverLeavesNothingToGoOnFrom) {
  put(shape_id{5}, record("five"));
  store_.reset();
  const auto crashed = directory_ / "crashed";
  { // as RocksDB does when one family's buffer is full, and another's is not
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (const auto name : family_names)
      families.emplace_back(std::string{name}, rocksdb::ColumnFamilyOptions{});
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* db = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open({}, settings().directory, families, &handles, &db).ok());
    const auto of = [&handles](family f) { return handles[static_cast<std::size_t>(f)]; };
    const auto entry = block({{0, "entry"}});
    EXPECT_TRUE(db->Put({}, of(family::log), log_key(shape_id{5}, {200, 0}), entry).ok());
    EXPECT_TRUE(db->Put({}, of(family::directory), shape_key('p', shape_id{5}), "passed").ok());
    EXPECT_TRUE(db->Flush({}, of(family::directory)).ok());
    EXPECT_TRUE(db->Put({}, of(family::node), durable_name, std::string(8, '\1')).ok());
    copy_as_it_is(settings().directory, crashed);
    for (auto* handle : handles)
      delete handle;
    delete db;
  }
  fs::remove_all(settings().directory);
  fs::rename(crashed, settings().directory);
  const auto logs = files(".log");
  const auto holed = std::ranges::find_if(logs, [](const auto& log) {
    return fs::file_size(log) > 0; // the first that has anything: the entry
  });
  ASSERT_NE(holed, logs.end());
  flip(*holed, 40);
  reopen();
  EXPECT_EQ(store_->durable().value(), lsn{0});
  EXPECT_TRUE(recover().empty());
  EXPECT_EQ(set_aside().size(), 1u);
}

TEST_F(StoreDamageTest, WhatIsSoundIsCopiedWhenRocksDbSaidThatItCannotGoOn) {
  fill();
  batch writes;
  writes.put_set_value(shape_id{3}, digest{}, 7);
  writes.mark_splice_passed(shape_id{4}, 90);
  writes.mark_removed(shape_id{9});
  commit(writes);
  const std::array usage{std::pair{shape_id{5}, shape_usage{77, 88}}};
  ASSERT_TRUE(store_->put_usage(usage));
  const auto key = store_->control_key().value();
  flush();
  store_.reset();
  std::ofstream{settings().directory + "/DAMAGED"};
  const auto blobs = files(".blob");
  ASSERT_FALSE(blobs.empty());
  flip(blobs.front(), fs::file_size(blobs.front()) / 2);
  reopen();
  EXPECT_EQ(set_aside().size(), 1u);
  EXPECT_EQ(judge(), shapes - 2); // the damaged one, and the removed one
  EXPECT_EQ(store_->control_key().value(), key);
  EXPECT_EQ(store_->durable().value(), lsn{200});
  EXPECT_EQ(store_->read_set(shape_id{3}).value().values.size(), 1u);
  for (const auto& shape : recover()) {
    EXPECT_EQ(shape.splice_passed, shape.id == shape_id{4} ? 90u : 0u);
    EXPECT_EQ(shape.usage, (shape.id == shape_id{5} ? shape_usage{77, 88} : shape_usage{}));
  }
  EXPECT_GT(to_number(store_->next_shape_id().value()), shapes);
  EXPECT_FALSE(fs::exists(settings().directory + "/DAMAGED"));
  // What had been copied of the damaged shape before its damage showed belongs to nobody.
  const auto left = store_->ownerless_shapes().value();
  for (const auto id : left)
    ASSERT_TRUE(store_->remove_shape(id, true));
  EXPECT_TRUE(store_->ownerless_shapes().value().empty());
  EXPECT_EQ(judge(), shapes - 2);
}

// F30
TEST_F(StoreDamageTest, WhateverIsDamagedNothingWrongIsRead) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random{seed};
  for (int round = 0; round < 12; ++round) {
    store_.reset();
    fs::remove_all(settings().directory);
    reopen();
    fill();
    if (round % 3 != 0)
      flush();
    store_.reset();
    std::vector<fs::path> all;
    for (const auto& entry : fs::directory_iterator{settings().directory})
      if (entry.is_regular_file() && fs::file_size(entry) > 0)
        all.push_back(entry.path());
    std::ranges::sort(all);
    const auto victim = all[random() % all.size()];
    const bool gone = random() % 3 == 0;
    SCOPED_TRACE(victim.filename().string() + (gone ? " is gone" : " is damaged"));
    if (gone)
      fs::remove(victim);
    else
      for (int i = 0; i < 3; ++i)
        flip(victim, random() % fs::file_size(victim));
    // A log that ends early is an older state: then the stream goes on from that one's position.
    // One that somebody has taken away is not missed by RocksDB, and what was only there is gone.
    const bool log_is_gone = gone && victim.extension() == ".log";
    const auto has_all = [&] { return store_->durable().value() == lsn{200} && !log_is_gone; };
    reopen();
    auto done = go_on(has_all());
    if (!done) {
      // RocksDB met the damage when it compacted: the process ends, and the next is rid of it.
      EXPECT_EQ(done.error().code, errc::corrupt) << done.error().message;
      EXPECT_TRUE(fs::exists(settings().directory + "/DAMAGED"));
      reopen();
      done = go_on(has_all());
    }
    EXPECT_TRUE(done) << done.error().message;
  }
}

} // namespace
} // namespace busbar::storage
