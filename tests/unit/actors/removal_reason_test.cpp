#include "actors/removal_reason.hpp"

#include <gtest/gtest.h>

#include <utility>

namespace busbar {
namespace {

TEST(RemovalReason, SumsUpWhatIsSaidOfAShape) {
  for (const auto& [sentence, label] :
       {std::pair{"the table was truncated", "truncated"},
        {"the table was dropped or renamed", "table"},
        {"the table was dropped and created anew", "table"},
        {"the table was renamed", "table"},
        {"a selected column was dropped, renamed or retyped", "schema"},
        {"column \"publication\" was dropped, renamed or retyped", "schema"},
        {"a column was added to the table", "schema"},
        {"the table was altered while its snapshot was being opened", "schema"},
        {"the table has left the publication, or lost REPLICA IDENTITY FULL", "publication"},
        {"the publication was altered", "publication"},
        {"a table was attached to it as a partition", "partition"},
        {"a partition was detached or dropped", "partition"},
        {"its snapshot could not be opened in time", "snapshot"},
        {"storage refuses writes", "storage"},
        {"something unheard of", "other"},
        {"", "other"}})
    EXPECT_EQ(removal_reason(sentence), label) << sentence;
}

TEST(RemovalReason, NamesDoNotCount) {
  EXPECT_EQ(removal_reason("row \"truncated\" is odd"), "other");
  EXPECT_EQ(removal_reason("row \"a\" storage \"\"\"truncated\" was dropped"), "table");
}

} // namespace
} // namespace busbar
