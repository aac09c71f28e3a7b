#include "actors/removal_reason.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

namespace busbar {
namespace {

// Each sentence stands like this in the code that gives a shape up.
TEST(RemovalReason, SumsUpWhatIsSaidOfAShape) {
  for (const auto& [sentence, label] :
       {std::pair{"the table was truncated", "truncated"},
        {"the table was dropped, or has no stream any more", "table"},
        {"the table was renamed", "table"},
        {"column \"publication\" was dropped, renamed or retyped", "schema"},
        {"column \"where clause\" was retyped", "schema"},
        {"a column was added to the table", "schema"},
        {"the columns that make up its key have changed", "schema"},
        {"the table was altered while its snapshot was being opened", "schema"},
        {"the stream has not described the table", "schema"},
        {"a row of the stream does not have the columns that the stream announced", "schema"},
        {"the table has left the publication", "publication"},
        {"the table was out of the publication for a time", "publication"},
        {"the publication was altered", "publication"},
        {"the table has lost REPLICA IDENTITY FULL", "publication"},
        {"the where clause cannot be evaluated on a row of the table", "clause"},
        {"a table was attached to it as a partition", "partition"},
        {"a partition was detached", "partition"},
        {"a partition was detached or dropped", "partition"},
        {"its snapshot could not be opened in time", "snapshot"},
        {"storage refuses writes", "storage"},
        {"what storage has of it is damaged", "storage"},
        {"it has expired: nobody has read it for long", "expired"},
        {"it has expired: there are more shapes than allowed", "expired"},
        {"it has expired: more is kept than allowed", "expired"},
        {"something unheard of", "other"},
        {"", "other"}})
    EXPECT_EQ(removal_reason(sentence), label) << sentence;
}

TEST(RemovalReason, NamesDoNotCount) {
  EXPECT_EQ(removal_reason("row \"truncated\" is odd"), "other");
  EXPECT_EQ(removal_reason("row \"a\" storage \"\"\"truncated\" was dropped"), "table");
}

TEST(RemovalReason, EveryLabelIsKnownBeforehand) {
  for (const auto* sentence : {"the table was truncated", "the table was renamed", "it was altered",
                               "the publication was altered", "a partition was detached", "expired",
                               "its snapshot failed", "storage refuses", "the where clause", "!"})
    EXPECT_NE(std::find(removal_reasons.begin(), removal_reasons.end(), removal_reason(sentence)),
              removal_reasons.end())
        << sentence;
}

} // namespace
} // namespace busbar
