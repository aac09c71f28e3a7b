// What a power cut leaves: of the write-ahead log what was synced, and any part of the rest.
#include "tests/unit/storage/store_fixture.hpp"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <random>

namespace {

/// How much of each file, by its number, has been synced by this process.
class synced_bytes {
public:
  static synced_bytes& of_all() {
    static synced_bytes all;
    return all;
  }
  void note(int file) {
    struct stat now {};
    if (::fstat(file, &now) != 0)
      return;
    const std::lock_guard guard{mutex_};
    sizes_[now.st_ino] = static_cast<std::uintmax_t>(now.st_size);
  }
  std::uintmax_t of(const std::filesystem::path& path) {
    struct stat now {};
    if (::stat(path.c_str(), &now) != 0)
      return 0;
    const std::lock_guard guard{mutex_};
    // A number may have been that of another file before.
    return std::min(sizes_[now.st_ino], static_cast<std::uintmax_t>(now.st_size));
  }

private:
  std::mutex mutex_;
  std::map<ino_t, std::uintmax_t> sizes_;
};

} // namespace

// In the place of libc's, for RocksDB, too.
extern "C" int fdatasync(int file) {
  synced_bytes::of_all().note(file);
  return static_cast<int>(::syscall(SYS_fdatasync, file));
}
extern "C" int fsync(int file) {
  synced_bytes::of_all().note(file);
  return static_cast<int>(::syscall(SYS_fsync, file));
}

namespace busbar::storage {
namespace {

namespace fs = std::filesystem;
using testing::everything;

class StorePowerTest : public testing::StoreTest {
protected:
  static fs::path live_log(const fs::path& directory) {
    fs::path newest;
    for (const auto& entry : fs::directory_iterator{directory})
      if (entry.path().extension() == ".log")
        newest = std::max(newest, entry.path());
    return newest;
  }
  static std::string entry(std::uint64_t tx) { return "t" + std::to_string(tx); }
  static std::string all_upto(std::uint64_t tx) {
    std::string text;
    for (std::uint64_t i = 1; i <= tx; ++i)
      text += (i > 1 ? "," : "") + entry(i);
    return text;
  }

  /// A transaction that concerns both shapes.
  void write(std::uint64_t tx) {
    batch writes;
    for (const auto id : {one_, two_})
      writes.append_block(id, {tx, 0}, block({{0, entry(tx)}}));
    commit(writes);
  }
  /// The same in two batches.
  void write_in_parts(std::uint64_t tx) {
    batch writes;
    writes.open_transaction(0, tx);
    writes.append_block(one_, {tx, 0}, block({{0, entry(tx)}}));
    commit(writes);
    writes.close_transaction(0);
    writes.append_block(two_, {tx, 0}, block({{0, entry(tx)}}));
    commit(writes);
  }

  /// Opens what is left: all that was promised must be there, and no transaction in part. Returns
  /// the last one that there is.
  std::uint64_t check(std::uint64_t synced, std::uint64_t written) {
    reopen();
    if (HasFatalFailure())
      return 0;
    const auto durable = to_number(store_->durable().value());
    EXPECT_GE(durable, synced) << "what a sync has promised is forgotten";
    EXPECT_LE(durable, written);
    EXPECT_EQ(recover().size(), 2u);
    const auto found = read(one_, log_offset::start(), everything);
    const auto last = static_cast<std::uint64_t>(std::ranges::count(found, 't'));
    EXPECT_EQ(found, all_upto(last));
    EXPECT_EQ(read(two_, log_offset::start(), everything), found);
    EXPECT_GE(last, durable) << "promised, and not there";
    EXPECT_LE(last, written);
    return last;
  }

  const shape_id one_{1};
  const shape_id two_{2};
};

// F01
TEST_F(StorePowerTest, WhateverIsLostOfTheLogBehindTheLastSyncNothingPromisedIsMissing) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  put(one_, record("one"));
  put(two_, record("two"));
  for (std::uint64_t tx = 1; tx <= 3; ++tx)
    write(tx);
  ASSERT_TRUE(store_->sync(lsn{2})); // what else is written by then has not been reported yet
  const auto log = live_log(settings().directory).filename();
  const auto synced = synced_bytes::of_all().of(settings().directory / log);
  write(4);
  write_in_parts(5);
  write(6);
  ASSERT_TRUE(store_->sync(lsn{5}));
  const auto synced_again = synced_bytes::of_all().of(settings().directory / log);
  ASSERT_LT(synced, synced_again);
  write(7);
  write(8);
  const auto saved = directory_ / "as-it-was";
  copy_as_it_is(settings().directory, saved);
  ASSERT_EQ(live_log(saved).filename(), log);
  const auto end = fs::file_size(saved / log);
  constexpr std::uintmax_t step = 11; // each costs a start of RocksDB
  std::uint64_t before = 3;
  for (auto size = synced + seed % step; size <= end; size += step) {
    SCOPED_TRACE(std::to_string(size) + " bytes of " + std::to_string(end));
    store_.reset();
    fs::remove_all(settings().directory);
    fs::copy(saved, settings().directory);
    fs::resize_file(settings().directory / log, size);
    // File systems that write the length first fill up with zeros.
    if (size % 2 == 0)
      fs::resize_file(settings().directory / log, end);
    const auto last = check(size < synced_again ? 2 : 5, 8);
    ASSERT_FALSE(HasFailure());
    EXPECT_GE(last, before) << "more of the log has less";
    before = last;
  }
  EXPECT_GE(before, 7u);
  // It goes on from there as from any start.
  write(before + 1);
  ASSERT_TRUE(store_->sync(lsn{before + 1}));
  EXPECT_EQ(check(before + 1, before + 1), before + 1);
}

// F01
TEST_F(StorePowerTest, WhatHasGoneIntoFilesMeanwhileIsNoMoreThanTheLogHas) {
  put(one_, record("one"));
  put(two_, record("two"));
  // More than the write buffer holds, in one of the families.
  const auto large = [&](std::uint64_t tx) {
    batch writes;
    writes.append_block(one_, {tx, 0}, block({{0, std::string(200'000, 't')}}));
    writes.append_block(two_, {tx, 0}, block({{0, entry(tx)}}));
    commit(writes);
  };
  for (std::uint64_t tx = 1; tx <= 20; ++tx)
    large(tx);
  ASSERT_TRUE(store_->sync(lsn{20}));
  const auto log_then = live_log(settings().directory).filename();
  const auto saved = directory_ / "as-it-was";
  std::map<fs::path, std::uintmax_t> synced; // of the logs
  bool is_flushed = false;
  for (std::uint64_t tx = 21; !is_flushed && tx < 60; ++tx) {
    large(tx);
    copy_as_it_is(settings().directory, saved);
    is_flushed = live_log(saved).filename() != log_then;
  }
  ASSERT_TRUE(is_flushed) << "no new log was begun";
  for (const auto& entry : fs::directory_iterator{saved})
    if (entry.path().extension() == ".log")
      synced[entry.path().filename()] =
          synced_bytes::of_all().of(settings().directory / entry.path().filename());
  store_.reset();
  fs::remove_all(settings().directory);
  fs::copy(saved, settings().directory);
  for (const auto& [log, size] : synced)
    fs::resize_file(settings().directory / log, size);
  reopen();
  EXPECT_EQ(store_->durable().value(), lsn{20});
  const auto shapes = recover();
  ASSERT_EQ(shapes.size(), 2u);
  EXPECT_EQ(shapes[0].head, shapes[1].head) << "a batch was kept in part";
  EXPECT_GE(shapes[0].head, (log_offset{20, 0}));
}

} // namespace
} // namespace busbar::storage
