// A member that cannot go on from its own storage copies the leader's.
#include "storage/arrival.hpp"
#include "tests/unit/storage/member_fixture.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <thread>

namespace busbar::storage {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class StoreCopyTest : public testing::MemberTest {
protected:
  /// A store whose contents are told apart by `text`, closed.
  void make(const std::string& name, const std::string& text, int shapes = 3) {
    auto made = lead(name, 100);
    fill(*made, text, shapes);
  }
  static void fill(store& into, const std::string& text, int shapes = 3) {
    for (int i = 1; i <= shapes; ++i) {
      finish(into, shape_id{static_cast<std::uint64_t>(i)}, text + std::to_string(i));
      append(into, shape_id{static_cast<std::uint64_t>(i)}, 200, std::string(20'000, text[0]));
    }
    ASSERT_TRUE(into.sync(lsn{200}));
  }
  /// Handle of the first shape; empty if the store has none.
  std::string handle_in(const std::string& name) const {
    const auto opened = open(name);
    if (!opened)
      return "cannot be opened";
    const auto shapes = opened->recover(recovery::look);
    EXPECT_TRUE(shapes);
    return !shapes || shapes->empty() ? "" : shapes->front().record.handle;
  }
  std::vector<std::string> entries_of(const std::string& name) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator{path_of(name)})
      names.push_back(entry.path().filename().string());
    return names;
  }
  bool has_directory(const std::string& name, const std::string& prefix) const {
    return std::ranges::any_of(entries_of(name),
                               [&](const auto& one) { return one.starts_with(prefix); });
  }
  /// Sends the whole copy, but does not finish it.
  static void send(const checkpoint& from, incoming_copy& to) {
    for (const auto& file : from.files()) {
      const auto bytes = from.read(file.name, 0, file.size);
      ASSERT_TRUE(bytes);
      ASSERT_TRUE(to.write(file.name, 0, *bytes));
    }
  }
};

TEST_F(StoreCopyTest, ACopyIsWhatTheLeaderHoldsAndItGoesOnWhileBeingCopied) {
  auto leader = lead("leader", 100);
  fill(*leader, "leader");
  std::atomic<bool> copied{false};
  std::thread writer{[&leader, &copied] {
    for (std::uint64_t tx = 300; !copied && tx < 100'000; ++tx)
      append(*leader, shape_id{1}, tx, std::string(1'000, 'w'));
  }};
  copy(*leader, "follower", 30'000);
  copied = true;
  writer.join();
  auto follower = open("follower");
  EXPECT_LE(follower->sequence(), leader->sequence());
  EXPECT_TRUE(may_follow(follower->lineage().value(), follower->sequence(),
                         leader->lineage().value(), leader->sequence()));
  catch_up(*leader, *follower);
  expect_equal(*leader, *follower);
}

TEST_F(StoreCopyTest, ACopyHoldsAtLeastWhatItSaysAndTheLogGoesOnFromThere) {
  write_buffer_bytes_ = 256u << 10;
  log_bytes_ = 1;
  auto leader = lead("leader", 100);
  fill(*leader, "leader");
  auto source = leader->checkpoint().value();
  const auto wrote_before = leader->sequence();
  EXPECT_LE(source->sequence(), wrote_before);
  // Though next to nothing of the log is to be kept, what the copy needs is there until it follows.
  for (std::uint64_t tx = 300; tx < 600; ++tx)
    append(*leader, shape_id{1}, tx, std::string(5'000, 'w'));
  auto target = incoming_copy::begin(path_of("follower"), source->files()).value();
  send(*source, *target);
  ASSERT_TRUE(target->finish());
  target.reset();
  auto follower = open("follower");
  EXPECT_GE(follower->sequence(), source->sequence());
  catch_up(*leader, *follower);
  expect_equal(*leader, *follower);
}

TEST_F(StoreCopyTest, ACheckpointLeavesNothingBehindAndTwoDoNotMeet) {
  auto leader = lead("leader", 100);
  fill(*leader, "leader");
  auto one = leader->checkpoint().value();
  append(*leader, shape_id{1}, 300, "more");
  auto two = leader->checkpoint().value();
  EXPECT_EQ(one->read("none.sst", 0, 10).error().code, errc::not_found);
  EXPECT_EQ(one->read("CURRENT", 1'000'000, 10).value(), "");
  one.reset();
  const auto current = two->read("CURRENT", 0, 1'000).value();
  EXPECT_THAT(current, HasSubstr("MANIFEST-"));
  EXPECT_EQ(two->read("CURRENT", 3, 2).value(), current.substr(3, 2));
  EXPECT_TRUE(has_directory("leader", checkpoint_prefix));
  two.reset();
  EXPECT_FALSE(has_directory("leader", checkpoint_prefix));
}

TEST_F(StoreCopyTest, WhatACrashLeftOfCopiesIsClearedAway) {
  make("a", "old");
  for (const std::string left : {"copy-7", "incoming"}) {
    fs::create_directory(path_of("a") + "/" + left);
    fs::copy_file(path_of("a") + "/CURRENT", path_of("a") + "/" + left + "/CURRENT");
  }
  EXPECT_EQ(handle_in("a"), "old1");
  EXPECT_FALSE(has_directory("a", "copy-"));
  EXPECT_FALSE(has_directory("a", "incoming"));
}

TEST_F(StoreCopyTest, TheOldStoreStaysUntilTheCopyIsWhole) {
  make("a", "old");
  auto leader = lead("leader", 100);
  fill(*leader, "new");
  auto source = leader->checkpoint().value();
  {
    auto target = incoming_copy::begin(path_of("a"), source->files()).value();
    send(*source, *target);
  } // given up before the end
  EXPECT_EQ(handle_in("a"), "old1");
  for (const auto& missing : source->files()) {
    auto target = incoming_copy::begin(path_of("a"), source->files()).value();
    for (const auto& file : source->files()) {
      auto bytes = source->read(file.name, 0, file.size).value();
      if (file.name == missing.name)
        bytes.resize(bytes.size() - 1);
      ASSERT_TRUE(target->write(file.name, 0, bytes));
    }
    EXPECT_EQ(target->finish().error().code, errc::corrupt) << missing.name;
  }
  EXPECT_EQ(handle_in("a"), "old1");
  auto target = incoming_copy::begin(path_of("a"), source->files()).value();
  send(*source, *target);
  ASSERT_TRUE(target->finish());
  target.reset();
  EXPECT_EQ(handle_in("a"), "new1");
  EXPECT_FALSE(has_directory("a", "arrived"));
  EXPECT_FALSE(has_directory("a", "installing"));
}

TEST_F(StoreCopyTest, ACopyThatCannotBeReadIsRefused) {
  make("a", "old");
  auto leader = lead("leader", 100);
  fill(*leader, "new");
  auto source = leader->checkpoint().value();
  for (const auto& broken : source->files()) {
    if (!broken.name.starts_with("MANIFEST-") && broken.name != "CURRENT")
      continue;
    auto target = incoming_copy::begin(path_of("a"), source->files()).value();
    for (const auto& file : source->files())
      ASSERT_TRUE(target->write(file.name, 0,
                                file.name == broken.name
                                    ? std::string(file.size, 'x')
                                    : source->read(file.name, 0, file.size).value()));
    const auto done = target->finish();
    ASSERT_FALSE(done) << broken.name;
    EXPECT_EQ(done.error().code, errc::corrupt);
  }
  EXPECT_EQ(handle_in("a"), "old1");
}

TEST_F(StoreCopyTest, OnlyFilesOfAStoreCanBeSent) {
  const auto refused = [this](const std::vector<copied_file>& files) {
    const auto begun = incoming_copy::begin(path_of("a"), files);
    return !begun && begun.error().code == errc::invalid_argument;
  };
  EXPECT_TRUE(refused({}));
  EXPECT_TRUE(refused({{"MANIFEST-000005", 10}}));
  for (const std::string name :
       {"", ".", "..", "../CURRENT", "/etc/passwd", "LOCK", "ballast", "DAMAGED", "a/000005.sst",
        "000005.exe", ".sst", "MANIFEST-", "MANIFEST-5/..", "CURRENT"})
    EXPECT_TRUE(refused({{"CURRENT", 16}, {name, 10}})) << name;
  EXPECT_TRUE(refused({{"CURRENT", 16}, {"000005.sst", ~std::uint64_t{0}}}));
  const auto large =
      incoming_copy::begin(path_of("a"), {{"CURRENT", 16}, {"000005.sst", std::uint64_t{1} << 59}});
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, errc::unavailable);
  EXPECT_THAT(large.error().message, HasSubstr("MiB on the disk"));
  auto target = incoming_copy::begin(path_of("a"), {{"CURRENT", 16}, {"000005.sst", 10}}).value();
  const auto beyond = [&](std::string_view file, std::uint64_t offset, std::size_t bytes) {
    const auto done = target->write(file, offset, std::string(bytes, 'x'));
    return !done && done.error().code == errc::invalid_argument;
  };
  EXPECT_TRUE(beyond("000006.sst", 0, 1));
  EXPECT_TRUE(beyond("000005.sst", 0, 11));
  EXPECT_TRUE(beyond("000005.sst", 11, 0));
  EXPECT_TRUE(beyond("000005.sst", ~std::uint64_t{0}, 5));
  EXPECT_FALSE(beyond("000005.sst", 5, 5));
}

TEST_F(StoreCopyTest, ADirectoryInUseTakesNoCopy) {
  auto a = lead("a", 100);
  const std::vector<copied_file> files{{"CURRENT", 16}};
  EXPECT_EQ(incoming_copy::begin(path_of("a"), files).error().code, errc::misconfigured);
  a.reset();
  auto target = incoming_copy::begin(path_of("a"), files).value();
  EXPECT_EQ(incoming_copy::begin(path_of("a"), files).error().code, errc::misconfigured);
  EXPECT_EQ(store::open(settings_of("a", as::follower)).error().code, errc::misconfigured);
  target.reset();
  EXPECT_TRUE(open("a"));
}

/// A process that dies during the installation leaves one of these; from there the next one goes
/// on.
TEST_F(StoreCopyTest, WheneverAnInstallationIsCutOffTheNextOneEndsIt) {
  make("old", "old", 6);
  auto leader = lead("leader", 100);
  fill(*leader, "new");
  const auto source = leader->checkpoint().value();
  const auto is_file = [](const fs::path& path) { return fs::is_regular_file(path); };
  const auto begin = [&] {
    fs::remove_all(path_of("a"));
    fs::copy(path_of("old"), path_of("a"), fs::copy_options::recursive);
    auto target = incoming_copy::begin(path_of("a"), source->files()).value();
    send(*source, *target);
    ASSERT_TRUE(target->finish());
  };
  const fs::path a{path_of("a")};
  std::vector<fs::path> old_files;
  for (const auto& entry : fs::directory_iterator{path_of("old")})
    if (is_file(entry))
      old_files.push_back(entry.path().filename());
  // CURRENT goes first. Then any number of the others may be gone.
  std::ranges::partition(old_files, [](const auto& name) { return name == "CURRENT"; });
  for (const auto gone : {std::size_t{1}, old_files.size() / 2, old_files.size()}) {
    begin();
    for (std::size_t i = 0; i < gone; ++i)
      fs::remove(a / old_files[i]);
    EXPECT_EQ(handle_in("a"), "new1") << gone << " of the old files were gone";
  }
  // All are gone, and some of the new ones have moved, CURRENT as the last.
  const auto new_files = source->files().size();
  for (const auto moved : {std::size_t{0}, new_files / 2, new_files - 1, new_files}) {
    begin();
    for (const auto& name : old_files)
      fs::remove(a / name);
    fs::remove_all(a / "archive");
    fs::rename(a / "arrived", a / "installing");
    std::vector<fs::path> names;
    for (const auto& entry : fs::directory_iterator{a / "installing"})
      names.push_back(entry.path().filename());
    std::ranges::partition(names, [](const auto& name) { return name != "CURRENT"; });
    ASSERT_GE(names.size(), new_files); // and RocksDB's notes
    for (std::size_t i = 0; i < (moved == new_files ? names.size() : moved); ++i)
      fs::rename(a / "installing" / names[i], a / names[i]);
    EXPECT_EQ(handle_in("a"), "new1") << moved << " of the new files had moved";
    EXPECT_FALSE(has_directory("a", "installing"));
  }
}

TEST_F(StoreCopyTest, ANewerCopyOvertakesOneThatWasNeverOpened) {
  auto leader = lead("leader", 100);
  fill(*leader, "new");
  copy(*leader, "a");
  append(*leader, shape_id{1}, 300, "more");
  copy(*leader, "a");
  auto a = open("a");
  EXPECT_EQ(a->sequence(), leader->sequence());
  expect_equal(*leader, *a);
}

TEST_F(StoreCopyTest, TheOldStoresLogIsNotTakenForTheCopys) {
  auto old = lead("a", 100);
  for (std::uint64_t tx = 1; tx < 50; ++tx)
    append(*old, shape_id{1}, tx, "old");
  old.reset();
  old = open("a", as::leader); // its log is in the archive now
  append(*old, shape_id{1}, 50, "old");
  old.reset();
  auto leader = lead("leader", 200);
  copy(*leader, "a");
  auto a = open("a");
  const auto at = a->sequence();
  append(*leader, shape_id{1}, 60, "new");
  catch_up(*leader, *a);
  auto tail = a->tail(at).value();
  EXPECT_TRUE(tail->next(soon())->has_value());
  EXPECT_FALSE(a->tail(0).value()->next(soon()));
  expect_equal(*leader, *a);
}

} // namespace
} // namespace busbar::storage
