#include "actors/log_pieces.hpp"
#include "actors/log_slices.hpp"
#include "actors/piece_cache.hpp"
#include "actors/snapshot_writer.hpp"
#include "tests/unit/actors/made_shape.hpp"
#include "tests/unit/storage/store_fixture.hpp"

#include <gmock/gmock.h>

#include <barrier>
#include <chrono>
#include <thread>
#include <utility>

namespace busbar {
namespace {

using ::testing::ElementsAre;
using testing::made_shape;

piece_cache::key key(std::uint32_t piece) {
  return {storage::shape_id{1}, log_offset::start(), {0, 0}, piece, framing::json_elements};
}
piece_cache::value value(std::size_t bytes) {
  return {{share(std::string(bytes, 'x'))}, {0, 0}, false};
}

TEST(PieceCacheTest, WhatIsAddedIsFound) {
  piece_cache cache{10'000};
  EXPECT_EQ(cache.find(key(1)), std::nullopt);
  const auto added = value(100);
  cache.add(key(1), added);
  ASSERT_TRUE(cache.find(key(1)));
  EXPECT_EQ(cache.find(key(1))->body.bytes, added.body.bytes);
  EXPECT_EQ(cache.find(key(2)), std::nullopt);
}

TEST(PieceCacheTest, EveryPartOfTheKeyCounts) {
  piece_cache cache{10'000};
  cache.add(key(1), value(1));
  auto other = key(1);
  other.shape = storage::shape_id{2};
  EXPECT_EQ(cache.find(other), std::nullopt);
  other = key(1);
  other.after = {0, 0};
  EXPECT_EQ(cache.find(other), std::nullopt);
  other = key(1);
  other.upto = {5, 0};
  EXPECT_EQ(cache.find(other), std::nullopt);
  other = key(1);
  other.form = framing::sse_events;
  EXPECT_EQ(cache.find(other), std::nullopt);
}

TEST(PieceCacheTest, LeastRecentlyUsedGoesFirst) {
  piece_cache cache{4'000}; // room for three of a thousand
  for (const std::uint32_t i : {1, 2, 3})
    cache.add(key(i), value(1'000));
  EXPECT_TRUE(cache.find(key(1))); // now 2 is the oldest
  cache.add(key(4), value(1'000));
  EXPECT_TRUE(cache.find(key(1)));
  EXPECT_FALSE(cache.find(key(2)));
  EXPECT_TRUE(cache.find(key(3)));
  EXPECT_TRUE(cache.find(key(4)));
}

TEST(PieceCacheTest, ManySmallMakeRoomForOneLarge) {
  piece_cache cache{10'000};
  for (std::uint32_t i = 0; i < 20; ++i)
    cache.add(key(i), value(100));
  cache.add(key(100), value(9'000));
  EXPECT_TRUE(cache.find(key(100)));
  EXPECT_FALSE(cache.find(key(0)));
}

TEST(PieceCacheTest, WhatIsLargerThanTheCacheEvictsNothing) {
  piece_cache cache{2'000};
  cache.add(key(1), value(1'000));
  cache.add(key(2), value(2'000));
  EXPECT_TRUE(cache.find(key(1)));
  EXPECT_FALSE(cache.find(key(2)));
}

TEST(PieceCacheTest, AddingTwiceCountsOnce) {
  piece_cache cache{4'000};
  cache.add(key(1), value(1'000));
  for (int i = 0; i < 10; ++i)
    cache.add(key(2), value(1'000));
  EXPECT_TRUE(cache.find(key(1)));
}

TEST(PieceCacheTest, ASmallPieceIsKeptOnceItIsAskedForAgain) {
  piece_cache cache{10'000};
  int loads = 0;
  const auto ask = [&](std::uint32_t piece, std::size_t bytes) {
    return cache.find_or(key(piece), [&]() -> result<piece_cache::value> {
      ++loads;
      return value(bytes);
    });
  };
  for (int i = 0; i < 4; ++i)
    ASSERT_TRUE(ask(1, 80));
  EXPECT_EQ(loads, 2);
  for (int i = 0; i < 4; ++i)
    ASSERT_TRUE(ask(2, 2'000));
  EXPECT_EQ(loads, 3) << "a larger one is kept at once";
}

// -- from the store -------------------------------------------------------------------------------

class PiecesTest : public testing::StoreTest {
protected:
  /// The slice (at, end], put together from its pieces.
  std::string slice(log_offset at, log_offset end, framing form = framing::json_elements) {
    log_cursor cursor{.shape = shape_, .at = at, .end = end, .piece = 0, .form = form};
    std::string all;
    pieces_ = 0;
    while (!cursor.done() && pieces_ < 1'000) {
      const auto piece = read_piece(*store_, cache_, cursor);
      EXPECT_TRUE(piece) << piece.error().message;
      if (!piece)
        break;
      EXPECT_LT(piece->bytes->size(), 600'000u);
      if (form == framing::json_elements && !all.empty())
        all += ',';
      all += *piece->bytes;
      ++pieces_;
    }
    return all;
  }
  std::vector<log_offset> write_snapshot(std::uint64_t chunk_bytes,
                                         const std::vector<std::size_t>& rows) {
    std::vector<log_offset> done;
    snapshot_writer writer{*store_, shape_->id(), chunk_bytes,
                           [&](std::uint64_t chunks, std::uint32_t pieces) {
                             EXPECT_EQ(pieces, 0u) << "what is quickly whole is shown whole";
                             done.push_back({0, static_cast<std::int64_t>(chunks) - 1});
                           }};
    for (const auto bytes : rows)
      EXPECT_TRUE(writer.add_row([bytes](std::string& out) { out.append(bytes, 'r'); }));
    EXPECT_TRUE(writer.end("END"));
    EXPECT_EQ(writer.chunks(), done.size());
    return done;
  }

  shape_ptr shape_ = made_shape(7);
  piece_cache cache_{4u << 20};
  int pieces_ = 0;
};

TEST_F(PiecesTest, SnapshotChunkEndsWithTheRowThatReachesTheThreshold) {
  // A row counts one byte more than it has.
  EXPECT_THAT(write_snapshot(100, {49, 49, 49}), ElementsAre(log_offset{0, 0}, log_offset{0, 1}));
  EXPECT_EQ(slice(log_offset::start(), {0, 0}), std::string(49, 'r') + ',' + std::string(49, 'r'));
  EXPECT_EQ(slice({0, 0}, {0, 1}), std::string(49, 'r') + ",END");
}

TEST_F(PiecesTest, SnapshotEndIsAChunkOfItsOwnBehindARowThatClosedOne) {
  EXPECT_THAT(write_snapshot(100, {200}), ElementsAre(log_offset{0, 0}, log_offset{0, 1}));
  EXPECT_EQ(slice({0, 0}, {0, 1}), "END");
}

TEST_F(PiecesTest, EmptySnapshotIsOneChunk) {
  EXPECT_THAT(write_snapshot(100, {}), ElementsAre(log_offset{0, 0}));
  EXPECT_EQ(slice(log_offset::start(), {0, 0}), "END");
}

TEST_F(PiecesTest, AChunkThatStaysOpenIsShownPieceByPieceAndEndsWhereItWouldHave) {
  std::vector<std::pair<std::uint64_t, std::uint32_t>> shown;
  snapshot_writer writer{
      *store_, shape_->id(), 150,
      [&](std::uint64_t chunks, std::uint32_t pieces) { shown.emplace_back(chunks, pieces); },
      std::chrono::seconds{0}};
  for (int i = 0; i < 4; ++i)
    EXPECT_TRUE(writer.add_row([](std::string& out) { out.append(49, 'r'); }));
  EXPECT_TRUE(writer.end("END"));
  EXPECT_EQ(shown, (decltype(shown){{0, 1}, {0, 2}, {1, 0}, {1, 1}, {2, 0}}));
  const std::string row(49, 'r');
  EXPECT_EQ(slice(log_offset::start(), {0, 0}), row + ',' + row + ',' + row);
  EXPECT_EQ(slice({0, 0}, {0, 1}), row + ",END");
}

TEST_F(PiecesTest, AnOpenChunkIsSlicedToTheEndThatItWillHave) {
  shape_progress progress;
  progress.chunks = 1;
  progress.started = true;
  const auto slice_of = [&](log_offset at, bool sse = false) {
    return slice_at(*store_, shape_, {.at = at, .live = sse, .sse = sse}, progress, 0).value();
  };
  EXPECT_TRUE(slice_of(log_offset::start()));
  EXPECT_FALSE(slice_of({0, 0})) << "nothing of it can be read yet";
  progress.pieces = 2;
  const auto open = slice_of({0, 0});
  ASSERT_TRUE(open);
  EXPECT_EQ(open->end, (log_offset{0, 1}));
  EXPECT_FALSE(open->up_to_date);
  EXPECT_FALSE(open->rest.done());
  EXPECT_FALSE(slice_of({0, 0}, true)) << "a stream waits until it is whole";
  EXPECT_FALSE(slice_of({0, 1})) << "whether there will be another is not known";
}

TEST_F(PiecesTest, LargeChunkIsReadPieceByPiece) {
  write_snapshot(10u << 20, std::vector<std::size_t>(30, 100'000));
  const auto all = slice(log_offset::start(), {0, 0});
  EXPECT_EQ(all.size(), 30u * 100'001 + 3);
  EXPECT_GT(pieces_, 5);
  EXPECT_TRUE(all.ends_with("r,END"));
}

TEST_F(PiecesTest, LogIsReadFromTheMiddleOfABlockAndInBothFramings) {
  storage::batch writes;
  writes.append_block(shape_->id(), {100, 4}, block({{0, "a"}, {2, "b"}, {4, "c"}}));
  writes.append_block(shape_->id(), {200, 0}, block({{0, "d"}}));
  commit(writes);
  EXPECT_EQ(slice(log_offset::snapshot_end(), {200, 0}), "a,b,c,d");
  EXPECT_EQ(slice({100, 0}, {200, 0}), "b,c,d");
  EXPECT_EQ(slice({100, 2}, {100, 4}), "c");
  EXPECT_EQ(slice({100, 2}, {200, 0}, framing::sse_events), "data: c\n\ndata: d\n\n");
  EXPECT_EQ(slice({100, 0}, {200, 0}), "b,c,d"); // now from the cache
}

TEST_F(PiecesTest, PiecesAreCompressedOnceAndShared) {
  write_snapshot(10u << 20, std::vector<std::size_t>(30, 100'000));
  for (const auto c : {coding::gzip, coding::zstd}) {
    log_cursor first{.shape = shape_, .at = log_offset::start(), .end = {0, 0}, .in = c};
    log_cursor second = first;
    const auto piece = read_piece(*store_, cache_, first);
    const auto again = read_piece(*store_, cache_, second);
    ASSERT_TRUE(piece && again);
    EXPECT_EQ(piece->in, c);
    EXPECT_EQ(piece->bytes, again->bytes);
    EXPECT_LT(piece->bytes->size(), 100'000u);
    EXPECT_GT(piece->sum.text_bytes, 200'000u);
  }
}

TEST_F(PiecesTest, AShortSliceIsNotCompressed) {
  write_snapshot(1'000, {100});
  log_cursor cursor{.shape = shape_, .at = log_offset::start(), .end = {0, 0}, .in = coding::gzip};
  const auto piece = read_piece(*store_, cache_, cursor);
  ASSERT_TRUE(piece);
  EXPECT_EQ(piece->in, coding::identity);
  EXPECT_TRUE(piece->bytes->ends_with(",END"));
}

TEST_F(PiecesTest, ThreadsThatWantOnePieceGetTheSame) {
  write_snapshot(10u << 20, std::vector<std::size_t>(3, 100'000));
  std::vector<shared_bytes> got(8);
  std::barrier together{static_cast<std::ptrdiff_t>(got.size())};
  {
    std::vector<std::jthread> readers;
    for (auto& mine : got)
      readers.emplace_back([&] {
        log_cursor cursor{
            .shape = shape_, .at = log_offset::start(), .end = {0, 0}, .in = coding::gzip};
        together.arrive_and_wait();
        if (auto piece = read_piece(*store_, cache_, cursor))
          mine = piece->bytes;
      });
  }
  for (const auto& bytes : got)
    EXPECT_EQ(bytes, got.front());
  EXPECT_NE(got.front(), nullptr);
}

TEST_F(PiecesTest, MissingBytesAreAnErrorAndNoShortAnswer) {
  log_cursor in_log{.shape = shape_, .at = log_offset::snapshot_end(), .end = {100, 0}};
  EXPECT_EQ(read_piece(*store_, cache_, in_log).error().code, errc::corrupt);
  log_cursor in_snapshot{.shape = shape_, .at = log_offset::start(), .end = {0, 0}};
  EXPECT_EQ(read_piece(*store_, cache_, in_snapshot).error().code, errc::corrupt);
}

} // namespace
} // namespace busbar
