// What a CLIENT SESSION says to those who wait. The test plays its I/O thread and its DIRECTORY.
#include "actors/entity_tag.hpp"
#include "actors/session.hpp"
#include "tests/unit/actors/materializer_fixture.hpp"

#include <gmock/gmock.h>

#include <functional>

namespace busbar {
namespace {

class noting_reader final : public shape_reader {
public:
  explicit noting_reader(client_session& session) : session_{session} {}
  noting_reader(const noting_reader&) = delete;
  noting_reader& operator=(const noting_reader&) = delete;
  ~noting_reader() override { session_.cancel(*this); }

  void on_slice(const log_slice& slice) override {
    heard.push_back(slice.up_to_date ? "slice, up to date" : "slice");
    tag = entity_tag(slice);
    last = slice;
  }
  void on_stream_open(const log_slice&) override { heard.push_back("open"); }
  void on_not_modified(const log_slice&) override { heard.push_back("not modified"); }
  void on_gone(const std::optional<std::string>&) override { heard.push_back("gone"); }
  void on_refused(const refusal& what) override { heard.push_back("refused: " + what.why.message); }
  void on_subset(const subset_answer&) override { heard.push_back("subset"); }
  void on_more() override { heard.push_back("more"); }
  void on_dropped(bool) override { heard.push_back("dropped"); }

  std::vector<std::string> heard;
  log_slice last;  ///< The last slice …
  std::string tag; ///< … and its tag.

private:
  client_session& session_;
};

class SessionTest : public testing::MaterializerTest {
protected:
  void SetUp() override {
    MaterializerTest::SetUp();
    status_.set_phase(node_status::phase::streaming);
    cast_->materializers.push_back(materializer());
    cast_->directory =
        system().spawn([this](directory_actor::pointer self) -> directory_actor::behavior_type {
          return {[this, self](find_atom, const shape_request&,
                               const std::string&) -> caf::result<shape_ptr> {
                    ++asked_;
                    if (found_)
                      return found_;
                    return pending_.emplace_back(self->make_response_promise<shape_ptr>());
                  },
                  [](finished_atom, const shape_list&, const snapshotter_actor&) {},
                  [](publish_atom, const shape_ptr&, bool) {},
                  [](mend_atom, const shape_ptr&) {},
                  [](mend_atom, const shape_ptr&, const snapshotter_actor&) {},
                  [this](invalid_atom, const shape_ptr&, const std::string& why) {
                    given_up_.push_back(why);
                  },
                  [](drop_atom, const shape_ptr&) {},
                  [](purge_atom, const std::string&) { return true; },
                  [](adopt_atom, const shape_list&) {},
                  [](follow_atom, const shape_list&, const shape_list&) {},
                  [](answer_atom, const leader_word&) {}};
        });
    session_ = start_session(system(),
                             {.others = cast_,
                              .store = store_.get(),
                              .index = &index_,
                              .status = &status_,
                              .cache = &cache_,
                              .metrics = &metrics_},
                             [this](std::function<void()> task) { tasks_.push_back(task); });
    turn();
  }
  void TearDown() override {
    turn();
    session_.reset();
    pending_.clear();
    caf::anon_send_exit(cast_->directory, caf::exit_reason::user_shutdown);
    run();
    *cast_ = {};
    MaterializerTest::TearDown();
  }

  /// Until nobody has anything to do.
  void turn() {
    for (run(); !tasks_.empty(); run())
      for (auto& task : std::exchange(tasks_, {}))
        task();
  }
  void read(shape_reader& reader, shape_query query) {
    query.shape.table = "items";
    session_->read(reader, std::move(query));
    turn();
  }
  /// A request for what comes after this position of `found_`.
  shape_query live_at(log_offset offset, bool sse) const {
    shape_query query;
    query.offset = offset;
    query.handle = found_->handle();
    query.live = true;
    query.sse = sse;
    return query;
  }
  shape_ptr started_shape() {
    const auto shape = live_shape(1);
    shape->update([](shape_progress& p) { p.started = p.complete = true; });
    return shape;
  }

  const cast_ptr cast_ = std::make_shared<cast>();
  shape_index index_;
  piece_cache cache_{1u << 20};
  std::vector<std::function<void()>> tasks_;
  std::unique_ptr<client_session> session_;
  shape_ptr found_; ///< What the directory answers; null = nothing so far.
  std::vector<caf::typed_response_promise<shape_ptr>> pending_;
  int asked_ = 0;
  std::vector<std::string> given_up_; ///< What the directory was told to remove, and why.
};

using ::testing::ElementsAre;

TEST_F(SessionTest, AnOrderlyStopAsksThoseToComeAgainWhoHaveHadNoAnswer) {
  found_ = started_shape();
  noting_reader stream{*session_};
  noting_reader beyond{*session_};
  noting_reader poll{*session_};
  noting_reader undefined{*session_};
  const log_offset far{~std::uint64_t{0} >> 1, 0};
  const auto head = found_->progress().head;
  read(stream, live_at(head, true));
  read(beyond, live_at(far, true));
  read(poll, live_at(head, false));
  found_ = nullptr;
  shape_query other;
  other.shape.where = "id > 1";
  read(undefined, std::move(other));
  ASSERT_THAT(stream.heard, ElementsAre("open"));
  ASSERT_THAT(beyond.heard, ElementsAre());
  session_->drain();
  turn();
  EXPECT_THAT(stream.heard, ElementsAre("open", "gone"));
  EXPECT_THAT(beyond.heard, ElementsAre("refused: the server is stopping"));
  EXPECT_THAT(poll.heard, ElementsAre("slice, up to date"));
  EXPECT_THAT(undefined.heard, ElementsAre("refused: the server is stopping"));
}

TEST_F(SessionTest, ThoseWhoLeaveBeforeTheirShapeIsFoundAreForgottenAndTheOthersAnswered) {
  noting_reader stays{*session_};
  auto leaves = std::make_unique<noting_reader>(*session_);
  read(*leaves, {});
  read(stays, {});
  EXPECT_EQ(asked_, 1) << "one question for both";
  leaves.reset();
  noting_reader comes{*session_};
  read(comes, {});
  EXPECT_EQ(asked_, 1);
  pending_.at(0).deliver(started_shape());
  turn();
  EXPECT_EQ(stays.heard.size(), 1u);
  EXPECT_EQ(comes.heard.size(), 1u);
}

TEST_F(SessionTest, NobodyIsLeftToHearOfAShapeThatIsFoundLate) {
  auto leaves = std::make_unique<noting_reader>(*session_);
  read(*leaves, {});
  leaves.reset();
  pending_.at(0).deliver(started_shape());
  turn();
  noting_reader comes{*session_};
  read(comes, {});
  EXPECT_EQ(comes.heard.size(), 1u);
  EXPECT_EQ(asked_, 1) << "what was found is remembered";
}

// F70
TEST_F(SessionTest, WhatHappensInsideIsNotToldToClients) {
  noting_reader reader{*session_};
  read(reader, {});
  pending_.at(0).deliver(caf::make_error(caf::sec::request_receiver_down));
  turn();
  EXPECT_THAT(reader.heard,
              ElementsAre("refused: the server could not do this in time: try again"));
}

class SessionChunkTest : public SessionTest {
protected:
  SessionChunkTest() { chunk_bytes_max_ = 1; } // every entry ends a chunk
};

TEST_F(SessionChunkTest, AChunkHasAnotherTagOnceTheLogGoesOnBehindIt) {
  found_ = started_shape();
  shape_query query;
  query.offset = log_offset::snapshot_end();
  query.handle = found_->handle();
  apply(described().begin(200, 120).insert(oid, row(1)).commit());
  noting_reader at_head{*session_};
  read(at_head, query);
  EXPECT_THAT(at_head.heard, ElementsAre("slice, up to date"));
  query.if_none_match = '"' + at_head.tag + '"';
  noting_reader same{*session_};
  read(same, query);
  EXPECT_THAT(same.heard, ElementsAre("not modified"));
  apply(described().begin(300, 121).insert(oid, row(2)).commit());
  noting_reader later{*session_};
  read(later, query);
  EXPECT_THAT(later.heard, ElementsAre("slice"));
  query.if_none_match = '"' + later.tag + '"';
  noting_reader as_later{*session_};
  read(as_later, query);
  EXPECT_THAT(as_later.heard, ElementsAre("not modified"));
}

TEST_F(SessionChunkTest, ASliceWhoseEndCompactionTookAwayIsCutAgain) {
  found_ = started_shape();
  index_.add(found_, found_->definition().identity());
  shape_query query;
  query.offset = log_offset::snapshot_end();
  query.handle = found_->handle();
  for (std::uint32_t i = 1; i <= 3; ++i)
    apply(described().begin(100 + 100 * i, 120 + i).insert(oid, row(static_cast<int>(i))).commit());
  noting_reader reader{*session_};
  read(reader, query);
  ASSERT_THAT(reader.heard, ElementsAre("slice"));
  const auto ends =
      store_->chunk_ends(found_->id(), log_offset::snapshot_end(), found_->progress().head).value();
  ASSERT_EQ(ends.size(), 3u);
  EXPECT_EQ(reader.last.end, ends[0]);

  storage::batch writes; // what the compactor does when it makes one chunk of two
  writes.drop_boundary(found_->id(), ends[0]);
  writes.put_compaction(found_->id(), {.times = 1, .upto = ends[1]});
  ASSERT_TRUE(store_->commit(writes));
  const auto late = session_->next_piece(reader.last.rest);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, errc::unavailable);
  auto again = session_->slice_again(reader.last, false);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->end, ends[1]);
  EXPECT_EQ(again->requested, reader.last.requested);
  const auto piece = session_->next_piece(again->rest);
  ASSERT_TRUE(piece) << piece.error().message;
  EXPECT_TRUE(again->rest.done());

  found_->update([](shape_progress& p) { p.gone = true; });
  const auto gone = session_->slice_again(reader.last, false);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, errc::must_refetch);
}

// F30
TEST_F(SessionTest, AShapeThatCannotBeReadIsGivenUpOnceAndItsReadersBeginAnew) {
  found_ = started_shape();
  index_.add(found_, found_->definition().identity());
  storage::batch writes;
  writes.append_block(found_->id(), {200, 0}, "no block");
  ASSERT_TRUE(store_->commit(writes));
  found_->update([](shape_progress& p) { p.head = {200, 0}; });
  noting_reader reader{*session_};
  auto query = live_at(log_offset::snapshot_end(), false);
  query.live = false;
  read(reader, query);
  ASSERT_THAT(reader.heard, ElementsAre("slice, up to date"));
  for (int round = 0; round < 2; ++round) {
    log_cursor cursor{.shape = found_, .at = log_offset::snapshot_end(), .end = {200, 0}};
    const auto piece = session_->next_piece(cursor);
    ASSERT_FALSE(piece);
    EXPECT_EQ(piece.error().code, errc::must_refetch);
    turn();
  }
  EXPECT_TRUE(found_->progress().gone);
  EXPECT_THAT(given_up_, ElementsAre(::testing::HasSubstr("storage")));
}

TEST_F(SessionTest, WhoWaitsForAShapeReadsIt) {
  found_ = started_shape();
  found_->recall(1, 0);
  noting_reader stream{*session_};
  read(stream, live_at(found_->progress().head, true));
  EXPECT_GT(found_->read_at(), 1u);
  found_->recall(1, 0);
  caf::anon_send(materializer(), check_atom_v, std::vector{found_->id()});
  turn();
  EXPECT_GT(found_->read_at(), 1u);
}

} // namespace
} // namespace busbar
