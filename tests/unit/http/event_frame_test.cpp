#include "http/event_frame.hpp"

#include <gtest/gtest.h>

namespace busbar::http {
namespace {

TEST(EventFrame, ChunkHeadsAreHexadecimal) {
  EXPECT_EQ(chunk_head(10), "a\r\n");
  EXPECT_EQ(chunk_head(262144), "40000\r\n");
}

TEST(EventFrame, HoldsTheEntriesAndTheUpToDateEventInOneChunk) {
  log_slice slice;
  slice.ready = share("data: {\"key\":\"k\"}\n\n");
  slice.up_to_date = true;
  slice.last_seen_lsn = 12;
  const std::string events =
      "data: {\"key\":\"k\"}\n\n"
      "data: {\"headers\":{\"control\":\"up-to-date\",\"global_last_seen_lsn\":\"12\"}}\n\n";
  EXPECT_EQ(chunked_events(slice), chunk_head(events.size()) + events + "\r\n");
}

TEST(EventFrame, NothingToSayIsNotAnEmptyChunk) {
  EXPECT_EQ(chunked_events(log_slice{}), "") << "an empty chunk would end the stream";
}

} // namespace
} // namespace busbar::http
