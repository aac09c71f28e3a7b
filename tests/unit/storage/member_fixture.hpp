// tests/unit/storage/member_fixture.hpp: stores of the members of a cluster, side by side.
#pragma once

#include "storage/replication.hpp"
#include "tests/unit/storage/store_fixture.hpp"

#include <rocksdb/db.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace busbar::testing {

class MemberTest : public StoreTest {
protected:
  using store_ptr = std::unique_ptr<storage::store>;
  enum class as : std::uint8_t { leader, follower };

  void SetUp() override {}

  std::string path_of(const std::string& name) const { return directory_ / name; }

  storage::store_settings settings_of(const std::string& name, as what) const {
    return {.directory = path_of(name),
            .cache_bytes = 1u << 20,
            .write_buffer_bytes = write_buffer_bytes_,
            .replicated_log_bytes = log_bytes_,
            .follows = what == as::follower};
  }
  store_ptr open(const std::string& name, as what = as::follower) const {
    auto opened = storage::store::open(settings_of(name, what));
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? std::move(*opened) : nullptr;
  }
  /// Opens it and begins a term.
  store_ptr lead(const std::string& name, std::uint64_t term) const {
    auto opened = open(name);
    const auto begun = opened->begin_term(term);
    EXPECT_TRUE(begun) << begun.error().message;
    return opened;
  }

  static std::chrono::steady_clock::time_point soon() {
    return std::chrono::steady_clock::now() + std::chrono::seconds{30};
  }

  /// Replaces what is in the directory.
  void copy(storage::store& from, const std::string& name, std::size_t part = 100'000) const {
    auto source = from.checkpoint();
    ASSERT_TRUE(source) << source.error().message;
    auto target = storage::incoming_copy::begin(path_of(name), (*source)->files());
    ASSERT_TRUE(target) << target.error().message;
    for (const auto& file : (*source)->files())
      for (std::uint64_t at = 0; at < file.size;) {
        const auto bytes = (*source)->read(file.name, at, part);
        ASSERT_TRUE(bytes && !bytes->empty());
        ASSERT_TRUE((*target)->write(file.name, at, *bytes));
        at += bytes->size();
      }
    const auto done = (*target)->finish();
    ASSERT_TRUE(done) << done.error().message;
  }

  /// Applies what the tail gives until both are at one place. Returns what the changes were.
  static std::vector<storage::applied_changes>
  catch_up(storage::log_tail& tail, storage::store& leader, storage::store& follower) {
    std::vector<storage::applied_changes> all;
    while (follower.sequence() < leader.sequence()) {
      const auto next = tail.next(soon());
      if (!next || !*next) {
        ADD_FAILURE() << (next ? "nothing came" : next.error().message);
        break;
      }
      auto changes = follower.apply(**next);
      if (!changes) {
        ADD_FAILURE() << changes.error().message;
        break;
      }
      all.push_back(std::move(*changes));
    }
    EXPECT_EQ(follower.sequence(), leader.sequence());
    return all;
  }
  static std::vector<storage::applied_changes> catch_up(storage::store& leader,
                                                        storage::store& follower) {
    auto tail = leader.tail(follower.sequence());
    if (!tail) {
      ADD_FAILURE() << tail.error().message;
      return {};
    }
    return catch_up(**tail, leader, follower);
  }

  /// Every key of every family, read by RocksDB itself from a copy of this moment.
  static std::map<std::string, std::string> contents(storage::store& of) {
    std::map<std::string, std::string> found;
    const temp_directory place;
    const auto source = of.checkpoint();
    EXPECT_TRUE(source) << source.error().message;
    for (const auto& file : (*source)->files())
      std::ofstream{place / file.name, std::ios::binary}
          << (*source)->read(file.name, 0, file.size).value();
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (const auto family : storage::family_names)
      families.emplace_back(std::string{family}, rocksdb::ColumnFamilyOptions{});
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* db = nullptr;
    const auto status = rocksdb::DB::OpenForReadOnly({}, place.path(), families, &handles, &db);
    EXPECT_TRUE(status.ok()) << status.ToString();
    for (auto* handle : handles) {
      const std::unique_ptr<rocksdb::Iterator> it{db->NewIterator({}, handle)};
      for (it->SeekToFirst(); it->Valid(); it->Next())
        found[handle->GetName() + ' ' + it->key().ToString()] = it->value().ToString();
      EXPECT_TRUE(it->status().ok());
    }
    for (auto* handle : handles)
      delete handle;
    delete db;
    return found;
  }
  static void expect_equal(storage::store& one, storage::store& other) {
    const auto left = contents(one);
    const auto right = contents(other);
    EXPECT_EQ(one.sequence(), other.sequence());
    EXPECT_EQ(left.size(), right.size());
    EXPECT_TRUE(left == right);
  }

  static void commit_to(storage::store& to, storage::batch& writes) {
    const auto done = to.commit(writes);
    ASSERT_TRUE(done) << done.error().message;
  }
  static void append(storage::store& to, storage::shape_id shape, std::uint64_t tx,
                     const std::string& text) {
    storage::batch writes;
    writes.append_block(shape, {tx, 0}, block({{0, text}}));
    commit_to(to, writes);
  }
  static void finish(storage::store& to, storage::shape_id id, const std::string& handle) {
    const auto done = to.finish_snapshots(std::array{std::pair{id, record(handle)}}, true);
    ASSERT_TRUE(done) << done.error().message;
  }

  std::uint64_t log_bytes_ = 64u << 20;
  std::size_t write_buffer_bytes_ = 1u << 20;
};

} // namespace busbar::testing
