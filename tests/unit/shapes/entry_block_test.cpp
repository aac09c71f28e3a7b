#include "shapes/entry_block.hpp"

#include <gtest/gtest.h>

#include <random>

namespace busbar {
namespace {

std::string three() {
  block_builder b;
  b.add(0, R"({"a":1})");
  b.add(4, R"({"b":22})");
  b.add(5, R"({"c":333})");
  return b.finish(77);
}

TEST(EntryBlockTest, LayoutOnDiskStaysAsItIs) {
  block_builder b;
  b.add(2, "{}");
  b.add(5, "{1}");
  const char golden[] = "{},{1}"
                        "\0\0\0\0\0\0\0\x02"
                        "\0\0\0\x02"
                        "\0\0\0\0\0\0\0\x05"
                        "\0\0\0\x06"
                        "\0\0\0\0\0\0\x01\x2c"
                        "\0\0\0\x02";
  EXPECT_EQ(b.finish(300), (std::string{golden, sizeof golden - 1}));
}

TEST(EntryBlockTest, EntryWrittenInPlaceIsLikeAnyOther) {
  block_builder b;
  b.add(0, "{}");
  b.begin_entry() += R"({"in":"place"})";
  EXPECT_EQ(b.end_entry(2), 14u);
  const auto view = block_view::open(b.finish(1));
  ASSERT_TRUE(view);
  EXPECT_EQ(view->tail(0), R"({},{"in":"place"})");
  EXPECT_EQ(view->entry(1), R"({"in":"place"})");
  EXPECT_EQ(view->op(1), 2);
}

TEST(EntryBlockTest, EntriesAreReadBack) {
  const auto stored = three();
  const auto view = block_view::open(stored);
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_EQ(view->chunk_bytes_after(), 77u);
  ASSERT_EQ(view->count(), 3u);
  EXPECT_EQ(view->op(0), 0);
  EXPECT_EQ(view->op(1), 4);
  EXPECT_EQ(view->op(2), 5);
  EXPECT_EQ(view->entry(0), R"({"a":1})");
  EXPECT_EQ(view->entry(1), R"({"b":22})");
  EXPECT_EQ(view->entry(2), R"({"c":333})");
}

TEST(EntryBlockTest, TailIsEverythingFromAnEntryOn) {
  const auto stored = three();
  const auto view = block_view::open(stored);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->tail(0), R"({"a":1},{"b":22},{"c":333})");
  EXPECT_EQ(view->tail(1), R"({"b":22},{"c":333})");
  EXPECT_EQ(view->tail(2), R"({"c":333})");
  EXPECT_EQ(view->tail(3), "");
}

TEST(EntryBlockTest, FirstAfterFindsTheNextOpOfEveryPosition) {
  const auto stored = three();
  const auto view = block_view::open(stored);
  ASSERT_TRUE(view);
  const std::vector<std::pair<std::int64_t, std::uint32_t>> expected{
      {-1, 0}, {0, 1}, {1, 1}, {3, 1}, {4, 2}, {5, 3}, {6, 3}, {log_offset::infinite, 3}};
  for (const auto& [op, index] : expected)
    EXPECT_EQ(view->first_after(op), index) << op;
}

TEST(EntryBlockTest, ClearedBuilderStartsAnew) {
  block_builder b;
  b.add(0, "{}");
  EXPECT_FALSE(b.empty());
  EXPECT_EQ(b.last_op(), 0);
  b.clear();
  EXPECT_TRUE(b.empty());
  EXPECT_EQ(b.size_bytes(), 0u);
  b.add(9, "{9}");
  const auto stored = b.finish(0);
  const auto view = block_view::open(stored);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->count(), 1u);
  EXPECT_EQ(view->tail(0), "{9}");
}

TEST(EntryBlockTest, EveryTruncationAndAnyTailIsCorrupt) {
  const auto whole = three();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto view = block_view::open(std::string_view{whole}.substr(0, size));
    ASSERT_FALSE(view) << size;
    EXPECT_EQ(view.error().code, errc::corrupt);
  }
  EXPECT_FALSE(block_view::open(whole + "x"));
}

TEST(EntryBlockTest, BlockWithoutEntriesIsCorrupt) {
  EXPECT_FALSE(block_view::open(std::string(12, '\0')));
}

TEST(EntryBlockTest, MutatedBlockIsRefusedOrReadInBounds) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random{seed};
  const auto whole = three();
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = whole;
    for (int hit = 0; hit < 3; ++hit)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    const auto view = block_view::open(bytes);
    if (!view)
      continue;
    std::size_t total = 0;
    for (std::uint32_t i = 0; i < view->count(); ++i) {
      const auto entry = view->entry(i);
      ASSERT_GE(entry.data(), bytes.data());
      ASSERT_LE(entry.data() + entry.size(), bytes.data() + bytes.size());
      total += entry.size() + 1;
    }
    ASSERT_EQ(total, view->tail(0).size() + 1);
  }
}

} // namespace
} // namespace busbar
