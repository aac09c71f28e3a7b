#include "postgres/copy_text.hpp"

#include <gmock/gmock.h>

#include <memory>

namespace busbar::testing {
namespace {

using ::testing::ElementsAre;
using cells = std::vector<std::optional<std::string>>;

/// The cells of a row that stands in a buffer of exactly its size; nullopt if it is malformed.
std::optional<cells> split(const std::string& line, std::size_t columns) {
  const auto buffer = std::make_unique<char[]>(line.size());
  std::copy(line.begin(), line.end(), buffer.get());
  std::vector<sql::cell> found{"stale"};
  if (!postgres::split_copy_line(buffer.get(), line.size(), columns, found))
    return std::nullopt;
  cells copied;
  for (const auto& cell : found)
    copied.push_back(cell ? std::optional{std::string{*cell}} : std::nullopt);
  return copied;
}

TEST(CopyText, SplitsAtTabs) {
  EXPECT_EQ(split("a\tbc\t\n", 3), (cells{"a", "bc", ""}));
  EXPECT_EQ(split("a", 1), (cells{"a"}));
  EXPECT_EQ(split("\n", 1), (cells{""}));
  EXPECT_EQ(split("\n", 0), (cells{}));
}

// F08
TEST(CopyText, KnowsNullFromItsSpelling) {
  EXPECT_EQ(split("\\N\tN\t\\\\N\t\\N\n", 4), (cells{std::nullopt, "N", "\\N", std::nullopt}));
}

TEST(CopyText, UndoesEveryEscape) {
  EXPECT_EQ(split("\\b\\f\\n\\r\\t\\v\\\\\tx\\ny\\\\z\n", 2), (cells{"\b\f\n\r\t\v\\", "x\ny\\z"}));
  EXPECT_EQ(split("\\\\\\\\\t\\\\t\n", 2), (cells{"\\\\", "\\t"}));
}

TEST(CopyText, KeepsOtherBytes) {
  const std::string text{"é\x01\xf0\x9d\x84\x9e\0x", 9};
  EXPECT_EQ(split(text + "\n", 1), (cells{text}));
}

TEST(CopyText, RefusesMalformedRows) {
  EXPECT_EQ(split("a\tb\n", 1), std::nullopt);
  EXPECT_EQ(split("a\n", 2), std::nullopt);
  EXPECT_EQ(split("a\n", 0), std::nullopt);
  EXPECT_EQ(split("a\\", 1), std::nullopt);
  EXPECT_EQ(split("a\\\tb\n", 2), std::nullopt);
}

} // namespace
} // namespace busbar::testing
