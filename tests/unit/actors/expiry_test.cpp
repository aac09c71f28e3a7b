#include "actors/expiry.hpp"

#include <gmock/gmock.h>

#include <array>

namespace busbar {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::size_t> chosen(std::vector<shape_use> shapes, const expiry_limits& limits,
                                std::uint64_t now = 1'000, seconds grace = seconds{60}) {
  std::vector<std::size_t> names;
  for (const auto& one : choose_expired(shapes, limits, now, grace)) {
    EXPECT_NE(one.why.find("expired"), std::string_view::npos);
    names.push_back(one.index);
  }
  return names;
}

const std::vector<shape_use> three{{.index = 0, .read_at = 500, .bytes = 10},
                                   {.index = 1, .read_at = 300, .bytes = 20},
                                   {.index = 2, .read_at = 900, .bytes = 30}};

TEST(Expiry, NothingGoesWithoutALimit) {
  EXPECT_FALSE(expiry_limits{}.any());
  EXPECT_THAT(chosen(three, {}), IsEmpty());
}

TEST(Expiry, WhatNobodyReadsForLongGoes) {
  EXPECT_THAT(chosen(three, {.idle = seconds{500}}), ElementsAre(1, 0));
  EXPECT_THAT(chosen(three, {.idle = seconds{501}}), ElementsAre(1));
  EXPECT_THAT(chosen(three, {.idle = seconds{701}}), IsEmpty());
}

TEST(Expiry, AboveTheCountTheLongestUnreadGo) {
  EXPECT_THAT(chosen(three, {.shapes_max = 3}), IsEmpty());
  EXPECT_THAT(chosen(three, {.shapes_max = 2}), ElementsAre(1));
  EXPECT_THAT(chosen(three, {.shapes_max = 1}), ElementsAre(1, 0));
}

TEST(Expiry, AboveTheBytesTheLongestUnreadGo) {
  EXPECT_THAT(chosen(three, {.bytes_max = 60}), IsEmpty());
  EXPECT_THAT(chosen(three, {.bytes_max = 59}), ElementsAre(1));
  EXPECT_THAT(chosen(three, {.bytes_max = 39}), ElementsAre(1, 0));
}

TEST(Expiry, WhatWasReadJustNowStaysWhateverTheLimits) {
  EXPECT_THAT(chosen(three, {.shapes_max = 1, .bytes_max = 1, .idle = seconds{1}}, 910),
              ElementsAre(1, 0));
  EXPECT_THAT(chosen(three, {.shapes_max = 1}, 100), IsEmpty()) << "the clock was set back";
}

TEST(Expiry, SetsAndUnfinishedShapesStayAndSetsAreNotCounted) {
  auto shapes = three;
  shapes[1].may_go = false; // the longest unread, but in the making
  EXPECT_THAT(chosen(shapes, {.shapes_max = 2}), ElementsAre(0));
  shapes[1].counts = false; // or a set
  EXPECT_THAT(chosen(shapes, {.shapes_max = 2}), IsEmpty());
  EXPECT_THAT(chosen(shapes, {.bytes_max = 50}), ElementsAre(0));
}

} // namespace
} // namespace busbar
