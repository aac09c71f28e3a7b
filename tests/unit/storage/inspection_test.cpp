#include "storage/inspection.hpp"
#include "tests/unit/storage/store_fixture.hpp"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace busbar::testing {
namespace {

using storage::directory_state;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class StorageInspectionTest : public StoreTest {
protected:
  std::string path() const { return directory_ / "store"; }
  /// Names and sizes: what an inspection must leave as they are.
  std::vector<std::string> listing() const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator{path()})
      out.push_back(entry.path().filename().string() + " " + std::to_string(entry.file_size()));
    std::sort(out.begin(), out.end());
    return out;
  }
};

TEST_F(StorageInspectionTest, AClosedStoreTellsWhoseItIsAndStaysAsItIs) {
  ASSERT_TRUE(store_->set_identity({"7", 3, "shop", "default"}));
  ASSERT_TRUE(store_->sync(lsn{4711}));
  store_.reset();
  const auto before = listing();
  const auto found = storage::inspect(path());
  EXPECT_EQ(found.state, directory_state::readable) << found.problem;
  EXPECT_EQ(found.format, storage::format_version);
  ASSERT_TRUE(found.identity);
  EXPECT_EQ(*found.identity, (storage::node_identity{"7", 3, "shop", "default"}));
  EXPECT_EQ(found.durable, lsn{4711});
  EXPECT_EQ(listing(), before);
}

TEST_F(StorageInspectionTest, WhatWasChangedOfTablesIsRemembered) {
  const std::vector<std::uint32_t> full{16'384, 7, 4'000'000'000};
  ASSERT_TRUE(store_->note_added_table({16'384, 5}));
  ASSERT_TRUE(store_->note_added_table({7, 6}));
  ASSERT_TRUE(store_->note_full_tables(full));
  ASSERT_TRUE(store_->note_added_table({16'384, 9})); // it had left, and came again
  reopen();
  ASSERT_TRUE(store_->remove_all_shapes()); // which has nothing to do with it
  EXPECT_THAT(*store_->added_tables(),
              ElementsAre(storage::added_table{7, 6}, storage::added_table{16'384, 9}));
  ASSERT_TRUE(store_->forget_added_table(7));
  EXPECT_THAT(*store_->added_tables(), ElementsAre(storage::added_table{16'384, 9}));
  store_.reset();
  EXPECT_THAT(storage::inspect(path()).full_tables, ElementsAre(7u, 16'384u, 4'000'000'000u))
      << "a table that left keeps its identity";
}

TEST_F(StorageInspectionTest, AStoreWithoutIdentityIsReadable) {
  store_.reset();
  const auto found = storage::inspect(path());
  EXPECT_EQ(found.state, directory_state::readable) << found.problem;
  EXPECT_FALSE(found.identity);
}

TEST_F(StorageInspectionTest, WhatIsNotThereIsNotMade) {
  EXPECT_EQ(storage::inspect(directory_ / "none").state, directory_state::missing);
  EXPECT_FALSE(std::filesystem::exists(directory_ / "none"));
  std::filesystem::create_directory(directory_ / "empty");
  EXPECT_EQ(storage::inspect(directory_ / "empty").state, directory_state::empty);
  EXPECT_TRUE(std::filesystem::is_empty(directory_ / "empty"));
}

TEST_F(StorageInspectionTest, ADamagedStoreSaysWhy) {
  store_.reset();
  std::ofstream{path() + "/CURRENT"} << "nonsense\n";
  const auto found = storage::inspect(path());
  EXPECT_EQ(found.state, directory_state::unreadable);
  EXPECT_NE(found.problem, "");
}

TEST_F(StorageInspectionTest, AnotherProcessSeesThatItIsInUseAndByWhom) {
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  const auto child = ::fork();
  if (child == 0) {
    const auto found = storage::inspect(path());
    const int told = found.state == directory_state::in_use ? found.holder : -1;
    ::_exit(::write(pipe_ends[1], &told, sizeof told) == sizeof told ? 0 : 1);
  }
  int told = 0;
  ASSERT_EQ(::read(pipe_ends[0], &told, sizeof told), static_cast<ssize_t>(sizeof told));
  ::waitpid(child, nullptr, 0);
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
  EXPECT_EQ(told, ::getpid());
}

} // namespace
} // namespace busbar::testing
