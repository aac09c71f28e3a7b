#include "actors/compactor.hpp"
#include "actors/log_pieces.hpp"
#include "actors/log_slices.hpp"
#include "actors/shape_log_writer.hpp"
#include "tests/unit/actors/made_shape.hpp"
#include "tests/unit/storage/store_fixture.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <map>
#include <optional>
#include <random>

namespace busbar {
namespace {

using json = nlohmann::json;
using rows = std::map<std::string, json>;

/// Applies entries as a strict client does: nothing is inserted twice, or changed without being
/// there. False if that happened.
bool take_in(rows& state, const json& entries) {
  for (const auto& entry : entries) {
    const auto operation = entry["headers"]["operation"].get<std::string>();
    const auto key = entry["key"].get<std::string>();
    const bool is_there = state.contains(key);
    if (is_there == (operation == "insert"))
      return false;
    if (operation == "insert")
      state[key] = entry["value"];
    else if (operation == "update")
      state[key].update(entry["value"]);
    else
      state.erase(key);
  }
  return true;
}

class CompactorTest : public testing::StoreTest {
protected:
  static constexpr std::size_t chunk_bytes = 400'000;
  using row = std::array<std::string, 4>; // id, title, done, note

  void SetUp() override {
    StoreTest::SetUp();
    compactor_.emplace(*store_, index_, compaction_limits{.chunk_bytes_max = chunk_bytes});
    shape_->update([](shape_progress& p) { p.started = p.complete = true; });
    index_.add(shape_, shape_->definition().identity());
    log_.created(10);
    log_.accept(std::make_shared<const snapshot>(snapshot{.xmin = 3, .xmax = 3, .xip = {}}));
  }

  /// A transaction that changes some rows, now and then with long texts.
  void write(std::mt19937_64& random) {
    tx_ += 10;
    std::int64_t op = 0;
    const auto changes = 1 + random() % 4;
    bool wrote = false;
    for (std::uint64_t i = 0; i < changes; ++i, op += 2) {
      const auto id = std::to_string(random() % 12);
      const auto found = model_.find(id);
      auto after = found == model_.end() ? row{id, "", "f", ""} : found->second;
      const bool removes = found != model_.end() && random() % 12 == 0;
      after[1] = random() % 2 ? std::string(20'000, static_cast<char>('a' + random() % 26)) : "t";
      if (random() % 2)
        after[3] = std::to_string(random() % 1000);
      const auto cells = [](const row& from) {
        return std::vector<sql::cell>{from[0], from[1], from[2], from[3]};
      };
      std::vector<sql::cell> before_cells;
      if (found != model_.end())
        before_cells = cells(found->second);
      const auto after_cells = removes ? std::vector<sql::cell>{} : cells(after);
      std::vector<encoded_entry> made;
      encoder_.encode(found == model_.end() ? row_effect::insert
                      : removes             ? row_effect::remove
                                            : row_effect::update,
                      before_cells, after_cells,
                      {.commit_lsn = tx_, .xid = static_cast<std::uint32_t>(tx_), .op = op}, made);
      for (auto& entry : made) {
        log_.append(tx_, std::move(entry), writes_);
        wrote = true;
      }
      if (removes)
        model_.erase(id);
      else
        model_[id] = after;
    }
    if (!wrote)
      return;
    log_.commit(tx_, writes_);
    commit(writes_);
    log_.publish();
  }

  rows truth() const {
    rows all;
    for (const auto& [id, r] : model_)
      all["\"public\".\"items\"/\"" + id + '"'] =
          json{{"id", r[0]}, {"title", r[1]}, {"done", r[2]}, {"note", r[3]}};
    return all;
  }

  std::size_t compact_all() {
    compactor_->look(now_);
    std::size_t saved = 0;
    for (int i = 0; i < 1'000 && compactor_->has_work(); ++i) {
      const auto step = compactor_->step();
      EXPECT_TRUE(step) << step.error().message;
      saved += step.value_or(0);
    }
    EXPECT_FALSE(compactor_->has_work());
    return saved;
  }

  struct response {
    log_offset end;
    std::string body;
    bool up_to_date = false;
  };
  /// The log (at, …] as a client gets it, response by response.
  response get(log_offset at) {
    const auto slice = slice_at(*store_, shape_, {.at = at}, shape_->progress(), 0).value().value();
    response got{slice.end, "", slice.up_to_date};
    auto cursor = slice.rest;
    while (!cursor.done()) {
      const auto piece = read_piece(*store_, cache_, cursor);
      EXPECT_TRUE(piece) << piece.error().message;
      if (!piece)
        break;
      got.body += (got.body.empty() ? "" : ",") + *piece->bytes;
    }
    return got;
  }
  rows read_all(rows state = {}, log_offset at = log_offset::snapshot_end()) {
    for (int i = 0; i < 1'000; ++i) {
      const auto got = get(at);
      EXPECT_TRUE(take_in(state, json::parse('[' + got.body + ']')));
      at = got.end;
      if (got.up_to_date)
        return state;
    }
    ADD_FAILURE() << "the log does not end";
    return state;
  }
  std::vector<log_offset> ends() const {
    return store_->chunk_ends(shape_->id(), log_offset::snapshot_end(), shape_->progress().head)
        .value();
  }

  compactor::clock::time_point now_{};
  shape_ptr shape_ = testing::made_shape(7);
  shape_index index_;
  entry_encoder encoder_{*testing::items(), {0, 1, 2, 3}, false};
  shape_log_writer log_{shape_, chunk_bytes};
  storage::batch writes_;
  std::map<std::string, row> model_;
  std::uint64_t tx_ = 100;
  piece_cache cache_{32u << 20};
  std::optional<compactor> compactor_;
};

TEST_F(CompactorTest, TheLogBecomesShorterAndReadersGetTheSameRows) {
  std::mt19937_64 random{7};
  while (ends().size() < 10)
    write(random);
  const auto before = ends();
  const auto bytes = shape_->bytes();
  ASSERT_EQ(read_all(), truth());
  const auto saved = compact_all();
  EXPECT_GT(saved, bytes / 3);
  EXPECT_EQ(shape_->bytes(), bytes - saved);
  EXPECT_LT(ends().size(), before.size()) << "small chunks are joined";
  EXPECT_EQ(ends()[ends().size() - 2], before[before.size() - 2]) << "the last two are left alone";
  EXPECT_EQ(read_all(), truth());
  EXPECT_EQ(compact_all(), 0u) << "nothing is done twice";
  while (ends().size() < 8)
    write(random);
  compact_all();
  EXPECT_EQ(read_all(), truth());
}

TEST_F(CompactorTest, WhatIsYoungerThanTheHorizonIsLeftAlone) {
  compactor patient{
      *store_, index_, {.chunk_bytes_max = chunk_bytes, .horizon = std::chrono::minutes{10}}};
  std::mt19937_64 random{7};
  while (ends().size() < 5)
    write(random);
  const auto third = ends()[2];
  patient.look(now_);
  EXPECT_FALSE(patient.has_work());
  while (ends().size() < 10)
    write(random);
  patient.look(now_ + std::chrono::minutes{5});
  EXPECT_FALSE(patient.has_work());
  patient.look(now_ + std::chrono::minutes{10});
  for (int i = 0; i < 100 && patient.has_work(); ++i)
    ASSERT_TRUE(patient.step());
  EXPECT_EQ(store_->compaction_of(shape_->id()).value().upto, third);
}

TEST_F(CompactorTest, ItGoesOnWhereItWasAfterARestart) {
  std::mt19937_64 random{8};
  while (ends().size() < 8)
    write(random);
  compact_all();
  const auto mark = store_->compaction_of(shape_->id()).value();
  EXPECT_GT(mark.times, 0u);
  compactor another{*store_, index_, {.chunk_bytes_max = chunk_bytes}};
  another.look(now_);
  EXPECT_FALSE(another.has_work());
  EXPECT_EQ(store_->compaction_of(shape_->id()).value(), mark);
}

TEST_F(CompactorTest, ARemovedShapeIsNotWrittenToAnyMore) {
  std::mt19937_64 random{9};
  while (ends().size() < 5)
    write(random);
  compactor_->look(now_);
  ASSERT_TRUE(compactor_->has_work());
  shape_->update([](shape_progress& p) { p.gone = true; });
  ASSERT_TRUE(compactor_->step());
  EXPECT_EQ(store_->compaction_of(shape_->id()).value(), storage::compaction_mark{});
  EXPECT_FALSE(compactor_->has_work());
}

TEST_F(CompactorTest, ALogThatCannotBeReadIsLeftAlone) {
  std::mt19937_64 random{10};
  while (ends().size() < 5)
    write(random);
  storage::batch spoiled;
  spoiled.append_block(shape_->id(), ends()[0], "no block");
  commit(spoiled);
  compactor_->look(now_);
  EXPECT_EQ(compactor_->step().error().code, errc::corrupt);
  EXPECT_FALSE(compactor_->has_work());
}

TEST_F(CompactorTest, ABodyThatWasPromisedUpToAPlaceThatIsGoneBreaksOff) {
  std::mt19937_64 random{11};
  while (ends().size() < 3)
    write(random);
  const auto slice = slice_at(*store_, shape_, {.at = log_offset::snapshot_end(), .sse = true},
                              shape_->progress(), 0);
  auto to_head = slice.value().value().rest; // up to no end of a chunk
  log_cursor kept{.shape = shape_, .at = log_offset::snapshot_end(), .end = ends()[2]};
  while (ends().size() < 9)
    write(random);
  compact_all();
  EXPECT_EQ(read_piece(*store_, cache_, to_head).error().code, errc::unavailable);
  const auto is_end = store_->is_chunk_end(shape_->id(), kept.end).value();
  EXPECT_EQ(read_piece(*store_, cache_, kept).has_value(), is_end);
}

/// Readers at many places, each somewhere in a response, between the client and storage caches that
/// keep what they like for as long as they like.
TEST_F(CompactorTest, ReadersAndCachesNeverLoseAChange) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random{seed};
  struct reader {
    rows state;
    log_offset at = log_offset::snapshot_end();
    std::optional<log_slice> slice;
    std::string body = {};
    bool up_to_date = false;
  };
  std::vector<reader> readers(1);
  std::multimap<log_offset, response> edge;
  int broken_off = 0;
  int from_edge = 0;
  const auto finish = [&](reader& r, const response& got) {
    ASSERT_TRUE(take_in(r.state, json::parse('[' + got.body + ']')));
    ASSERT_GE(got.end, r.at);
    r.at = got.end;
    r.up_to_date = got.up_to_date;
    r.slice.reset();
    r.body.clear();
  };
  const auto advance = [&](reader& r, bool may_use_edge) {
    if (!r.slice) {
      const auto [first, last] = edge.equal_range(r.at);
      const auto kept = std::distance(first, last);
      if (may_use_edge && kept > 0 && random() % 2) {
        ++from_edge;
        finish(r, std::next(first, static_cast<std::ptrdiff_t>(random() %
                                                               static_cast<std::uint64_t>(kept)))
                      ->second);
        return;
      }
      r.slice = slice_at(*store_, shape_, {.at = r.at}, shape_->progress(), 0).value().value();
    }
    auto& cursor = r.slice->rest;
    if (!cursor.done()) {
      const auto piece = read_piece(*store_, cache_, cursor);
      if (!piece) {
        ASSERT_EQ(piece.error().code, errc::unavailable) << piece.error().message;
        ++broken_off;
        r.slice.reset(); // as a client does that got half a body
        r.body.clear();
        return;
      }
      r.body += (r.body.empty() ? "" : ",") + *piece->bytes;
    }
    if (cursor.done()) {
      const response got{r.slice->end, r.body, r.slice->up_to_date};
      if (random() % 2)
        edge.emplace(r.at, got);
      finish(r, got);
    }
  };
  for (int i = 0; i < 1'500; ++i) {
    const auto dice = random() % 10;
    if (dice < 3) {
      write(random);
    } else if (dice == 3) {
      compactor_->look(now_);
      for (auto steps = random() % 3; steps > 0 && compactor_->has_work(); --steps)
        ASSERT_TRUE(compactor_->step());
    } else if (dice == 4 && readers.size() < 40) {
      auto like = readers[random() % readers.size()];
      readers.push_back(random() % 3 ? std::move(like) : reader{});
    } else {
      advance(readers[random() % readers.size()], true);
      if (HasFatalFailure())
        return;
    }
  }
  for (auto& r : readers) {
    r.up_to_date = false;
    for (int i = 0; i < 10'000 && !(r.up_to_date && r.at == shape_->progress().head); ++i) {
      advance(r, false);
      if (HasFatalFailure())
        return;
    }
    EXPECT_EQ(r.state, truth());
  }
  EXPECT_GT(store_->compaction_of(shape_->id()).value().times, 0u);
  EXPECT_GT(from_edge, 0);
  std::cout << "seed " << seed << ": " << readers.size() << " readers, " << broken_off
            << " bodies broken off, " << from_edge << " from a cache\n";
}

} // namespace
} // namespace busbar
