#include "app/disk.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace busbar::app {
namespace {

TEST(Disk, IsMeasuredWithoutATraceEvenBeforeTheDirectoryIsThere) {
  auto path = (std::filesystem::temp_directory_path() / "busbar_disk_XXXXXX").string();
  ASSERT_NE(mkdtemp(path.data()), nullptr);
  const auto disk = inspect_disk(path + "/not/yet");
  EXPECT_EQ(disk.problem, "");
  EXPECT_EQ(disk.directory, path);
  EXPECT_GT(disk.total_bytes, disk.free_bytes);
  EXPECT_NE(disk.file_system, "");
  EXPECT_TRUE(disk.is_writable);
  EXPECT_TRUE(disk.sync_time);
  EXPECT_TRUE(std::filesystem::is_empty(path));
  std::filesystem::remove_all(path);
}

} // namespace
} // namespace busbar::app
