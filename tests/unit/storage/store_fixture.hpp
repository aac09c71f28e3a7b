// tests/unit/storage/store_fixture.hpp: a store in a directory of its own, that can be reopened.
#pragma once

#include "shapes/entry_block.hpp"
#include "storage/store.hpp"
#include "tests/unit/storage/temp_directory.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace busbar::testing {

class StoreTest : public ::testing::Test {
protected:
  void SetUp() override { reopen(); }

  /// As after a crash of the process: nothing is flushed that was not written.
  void reopen() {
    store_.reset();
    auto opened = storage::store::open(settings());
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  storage::store_settings settings() const {
    return {
        .directory = directory_ / "store", .cache_bytes = 1u << 20, .write_buffer_bytes = 1u << 20};
  }

  /// What is on the disk of a store that is open, as a crash would leave it.
  static void copy_as_it_is(const std::filesystem::path& from, const std::filesystem::path& to) {
    const auto names = [&from] {
      std::set<std::filesystem::path> found;
      for (const auto& entry : std::filesystem::recursive_directory_iterator{from})
        found.insert(entry.path());
      return found;
    };
    for (int attempt = 0; attempt < 100; ++attempt) {
      std::error_code vanished;
      std::filesystem::remove_all(to);
      const auto before = names();
      std::filesystem::copy(from, to, std::filesystem::copy_options::recursive, vanished);
      if (!vanished && names() == before)
        return; // RocksDB's threads changed nothing meanwhile
      std::this_thread::sleep_for(std::chrono::milliseconds{20});
    }
    FAIL() << "the store does not come to rest";
  }

  static storage::shape_record record(const std::string& handle, bool complete = true) {
    storage::shape_record r;
    r.handle = handle;
    r.created_lsn = 10;
    r.table = std::make_shared<const table_info>(table_info{.oid = 16384,
                                                            .schema = "public",
                                                            .name = "items",
                                                            .columns = {{.name = "id",
                                                                         .type_oid = 23,
                                                                         .type_name = "int4",
                                                                         .key_index = 0,
                                                                         .interval_fields = {}}}});
    r.selected = {0};
    r.selects_all = true;
    r.snapshot_complete = complete;
    r.snapshot_chunks = complete ? 1 : 0;
    r.visibility = {.xmin = 100, .xmax = 110, .xip = {104}};
    return r;
  }

  static std::string block(const std::vector<std::pair<std::int64_t, std::string>>& entries,
                           std::uint64_t chunk_bytes_after = 1) {
    block_builder b;
    for (const auto& [op, json] : entries)
      b.add(op, json);
    return b.finish(chunk_bytes_after);
  }

  /// Entries in (after, upto], comma between, as a reader puts them together.
  std::string read(storage::shape_id shape, log_offset after, log_offset upto) const {
    std::string out;
    const auto done =
        store_->read_log(shape, after, upto, [&](log_offset last, std::string_view stored) {
          const auto view = block_view::open(stored);
          EXPECT_TRUE(view);
          if (!view)
            return false;
          const auto tail = view->tail(last.tx == after.tx ? view->first_after(after.op) : 0);
          if (!out.empty() && !tail.empty())
            out += ',';
          out += tail;
          return true;
        });
    EXPECT_TRUE(done);
    return out;
  }
  void commit(storage::batch& writes) {
    const auto done = store_->commit(writes);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_TRUE(writes.empty());
  }
  void put(storage::shape_id id, const storage::shape_record& r) {
    const auto done = store_->finish_snapshots(std::array{std::pair{id, r}}, false);
    ASSERT_TRUE(done) << done.error().message;
  }
  std::vector<storage::recovered_shape> recover() {
    auto found = store_->recover();
    EXPECT_TRUE(found) << found.error().message;
    return found ? std::move(*found) : std::vector<storage::recovered_shape>{};
  }

  /// What the JANITOR does with what recover() has marked.
  void clear_away() {
    std::vector<storage::store::removal> all;
    const auto ids = store_->removed_shapes().value();
    for (const auto id : ids)
      all.push_back({id, true});
    EXPECT_TRUE(store_->remove_shapes(all));
  }

  temp_directory directory_;
  std::unique_ptr<storage::store> store_;
};

inline const log_offset everything{~std::uint64_t{0}, log_offset::infinite};

} // namespace busbar::testing
