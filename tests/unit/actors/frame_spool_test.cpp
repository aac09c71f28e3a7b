#include "actors/frame_spool.hpp"
#include "tests/unit/schema/frame_builder.hpp"
#include "tests/unit/storage/temp_directory.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

namespace busbar {
namespace {

using testing::frame_builder;

class FrameSpoolTest : public ::testing::Test {
protected:
  static frame made(int id, std::size_t bytes = 10) {
    return frame_builder{}
        .begin(100, 7)
        .insert(16384, {std::to_string(id), std::string(bytes, 'x')})
        .commit()
        .build();
  }
  frame_spool spool(std::size_t bytes_max, bool has_room = true) const {
    return frame_spool{
        {directory_.path(), bytes_max, [has_room](std::size_t) { return has_room; }}};
  }
  testing::temp_directory directory_;
};

TEST_F(FrameSpoolTest, AFrameFromTheDiskIsTheSameFrame) {
  auto disk = spool(256u << 20);
  std::vector<frame> before;
  std::vector<frame> after;
  for (int i = 0; i < 200; ++i) {
    before.push_back(made(i, static_cast<std::size_t>(i) * 5'000));
    after.push_back(disk.put(before.back()));
    ASSERT_FALSE(after.back().empty());
  }
  for (int round = 0; round < 2; ++round)
    for (std::size_t i = 0; i < before.size(); ++i) {
      ASSERT_EQ(after[i].bytes(), before[i].bytes());
      EXPECT_EQ(after[i].read().getChanges().size(), 1u);
      EXPECT_NE(after[i].bytes().data(), before[i].bytes().data());
      frame_spool::cool(after[i]); // and once more after that
    }
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path())) << "its files have no names";
}

TEST_F(FrameSpoolTest, ItTakesNoMoreThanItMayAndGivesBackWhatIsNotNeeded) {
  constexpr std::size_t large = 40u << 20;
  auto disk = spool(130u << 20);
  auto first = disk.put(made(1, large));
  auto second = disk.put(made(2, large));
  ASSERT_FALSE(first.empty());
  ASSERT_FALSE(second.empty());
  EXPECT_TRUE(disk.put(made(3, large)).empty()) << "there would be three files";
  first = {};
  EXPECT_FALSE(disk.put(made(3, large)).empty());
  EXPECT_EQ(second.bytes(), made(2, large).bytes());
}

TEST_F(FrameSpoolTest, AFrameLargerThanAFileGetsItsOwn) {
  auto disk = spool(200u << 20);
  const auto enormous = made(1, 100u << 20);
  EXPECT_EQ(disk.put(enormous).bytes(), enormous.bytes());
}

TEST_F(FrameSpoolTest, WhereThereIsNoRoomNothingIsTaken) {
  EXPECT_TRUE(spool(200u << 20, false).put(made(1)).empty());
  EXPECT_TRUE(spool(0).put(made(1)).empty());
  frame_spool nowhere{{"/nonexistent", 200u << 20, [](std::size_t) { return true; }}};
  EXPECT_TRUE(nowhere.put(made(1)).empty());
}

TEST_F(FrameSpoolTest, FramesOutliveTheirSpool) {
  frame kept;
  {
    auto disk = spool(200u << 20);
    kept = disk.put(made(1));
  }
  EXPECT_EQ(kept.bytes(), made(1).bytes());
}

} // namespace
} // namespace busbar
