#include "postgres/timeline.hpp"

#include <gmock/gmock.h>

namespace busbar::postgres {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// F27
TEST(TimelineTest, ReadsWhereEachTimelineWasLeft) {
  EXPECT_THAT(parse_timeline_history("1\t0/3000148\tno recovery target specified\n\n"
                                     "2\t1F/A0\tafter transaction 750 2026-11-22 20:00:00+00\n"),
              ElementsAre(timeline_switch{1, lsn{0x3000148}},
                          timeline_switch{2, lsn{(std::uint64_t{0x1f} << 32) + 0xa0}}));
}

TEST(TimelineTest, PassesOverWhatIsNoSwitch) {
  EXPECT_THAT(parse_timeline_history(""), IsEmpty());
  EXPECT_THAT(parse_timeline_history("# comment\nnonsense\n7 \n8\tnot an lsn\n"), IsEmpty());
  EXPECT_THAT(parse_timeline_history("  4 0/10"), ElementsAre(timeline_switch{4, lsn{0x10}}));
}

} // namespace
} // namespace busbar::postgres
