// Members of adjacent versions run side by side while a cluster is upgraded: what one says the
// other understands. The bytes are frozen: tests/data/replication.
#include "cluster/control_message.hpp"
#include "cluster/replication_message.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

namespace busbar::cluster {
namespace {

std::string golden(const std::string& name) {
  std::ifstream file{std::string{BUSBAR_TEST_DATA} + "/replication/" + name, std::ios::binary};
  EXPECT_TRUE(file) << name;
  return {std::istreambuf_iterator<char>{file}, {}};
}

const std::string handle = "48213375-1787299205123456";

shape_request some_request() {
  shape_request what;
  what.schema = "app";
  what.table = "items";
  what.where = "owner = $1";
  what.parameters = {"o'Brien"};
  what.columns = {"id", "n"};
  what.queryable_columns = {"n"};
  what.replica_full = true;
  what.changes_only = true;
  return what;
}

from_leader some_news() {
  from_leader news{.term = 9, .batches = {}, .progress = {459, 97'500'000'000, true, true}};
  news.batches.push_back({.first = 457, .count = 2, .bytes = std::string{"ab\0", 3}});
  news.batches.push_back({.first = 459, .count = 1, .bytes = "c"});
  news.behind = {{storage::shape_id{3}, 97'400'000'000}};
  return news;
}

/// As version 1, and as the next one writes them.
class GoldenReplication : public testing::TestWithParam<const char*> {
protected:
  std::string of(const std::string& name) const { return golden(GetParam() + ("/" + name)); }
  template <class Kind>
  Kind question_of(const std::string& name) const {
    const auto said = read_question(of(name));
    if (said && std::holds_alternative<Kind>(*said))
      return std::get<Kind>(*said);
    ADD_FAILURE() << name << ": " << (said ? "another kind" : said.error().message);
    return {};
  }
  template <class Kind>
  Kind reply_of(const std::string& name) const {
    const auto said = read_follow_reply(of(name));
    if (said && std::holds_alternative<Kind>(*said))
      return std::get<Kind>(*said);
    ADD_FAILURE() << name << ": " << (said ? "another kind" : said.error().message);
    return {};
  }
  template <class Kind>
  Kind part_of(const std::string& name) const {
    const auto said = read_copy_part(of(name));
    if (said && std::holds_alternative<Kind>(*said))
      return std::get<Kind>(*said);
    ADD_FAILURE() << name << ": " << (said ? "another kind" : said.error().message);
    return {};
  }
};
INSTANTIATE_TEST_SUITE_P(Version, GoldenReplication, testing::Values("1", "2"));

TEST_P(GoldenReplication, WhatAFollowerAsksAndIsAnswered) {
  const auto request = read_follow_request(of("follow-request"));
  ASSERT_TRUE(request);
  EXPECT_EQ(request->lineage, (storage::lineage{{7, 0}, {900, 123}}));
  EXPECT_EQ(request->sequence, 456u);
  EXPECT_EQ(reply_of<go_on>("follow-reply-go-on").term, 9u);
  EXPECT_EQ(reply_of<must_copy>("follow-reply-copy").why, "it is too old");
  EXPECT_EQ(reply_of<must_copy>("follow-reply-copy").term, 9u);
  EXPECT_EQ(reply_of<refused>("follow-reply-refused").why, "not now");
}

TEST_P(GoldenReplication, TheLogAndItsAcknowledgement) {
  const auto news = read_from_leader(of("from-leader"));
  ASSERT_TRUE(news);
  EXPECT_EQ(news->term, 9u);
  ASSERT_EQ(news->batches.size(), 2u);
  EXPECT_EQ(news->batches[0].first, 457u);
  EXPECT_EQ(news->batches[0].last(), 458u);
  EXPECT_EQ(news->batches[0].bytes, (std::string{"ab\0", 3}));
  EXPECT_EQ(news->batches[1].bytes, "c");
  EXPECT_EQ(news->progress.sequence, 459u);
  EXPECT_EQ(news->progress.last_seen, 97'500'000'000u);
  EXPECT_TRUE(news->progress.streaming);
  EXPECT_TRUE(news->progress.in_sync);
  ASSERT_EQ(news->behind.size(), 1u);
  EXPECT_EQ(news->behind[0].shape, storage::shape_id{3});
  EXPECT_EQ(news->behind[0].behind, 97'400'000'000u);
  const auto heard = read_from_follower(of("from-follower"));
  ASSERT_TRUE(heard);
  EXPECT_EQ(heard->applied, 459u);
  EXPECT_EQ(heard->synced, 457u);
}

TEST_P(GoldenReplication, PartsOfACopy) {
  const auto files = part_of<copy_files>("copy-part-files");
  EXPECT_EQ(files, (copy_files{{"CURRENT", 16}, {"000012.sst", 1'048'576}}));
  const auto piece = part_of<copy_piece>("copy-part-piece");
  EXPECT_EQ(piece.file, "000012.sst");
  EXPECT_EQ(piece.offset, 1024u);
  EXPECT_EQ(piece.bytes, "abc");
  (void)part_of<copy_end>("copy-part-end");
  EXPECT_EQ(part_of<refused>("copy-part-refused").why, "others are copying already");
}

TEST_P(GoldenReplication, QuestionsToALeader) {
  EXPECT_EQ(question_of<find_question>("question-find").what.cache_key(),
            some_request().cache_key());
  EXPECT_EQ(question_of<drop_question>("question-drop").handle, handle);
  EXPECT_EQ(question_of<invalid_question>("question-invalid").handle, handle);
  EXPECT_EQ(question_of<invalid_question>("question-invalid").reason, "its table is gone");
  const auto covers = question_of<covers_question>("question-covers");
  EXPECT_EQ(covers.shape, storage::shape_id{3});
  EXPECT_EQ(covers.sees, (snapshot{10, 20, {12, 15}}));
  EXPECT_EQ(covers.upto, 97'500'000'000u);
  (void)question_of<barrier_question>("question-barrier");
  EXPECT_EQ(question_of<reads_question>("question-reads").shapes,
            (std::vector{storage::shape_id{3}, storage::shape_id{9}}));
}

TEST_P(GoldenReplication, ItsAnswers) {
  const auto yes = read_answer(of("answer-yes"));
  ASSERT_TRUE(yes);
  EXPECT_EQ(yes->sequence, 459u);
  EXPECT_TRUE(yes->yes);
  EXPECT_EQ(yes->why.code, errc::ok);
  const auto no = read_answer(of("answer-failure"));
  ASSERT_TRUE(no);
  EXPECT_EQ(no->why.code, errc::invalid_argument);
  EXPECT_EQ(no->why.message, "no such column");
  EXPECT_EQ(no->why.field, "where");
  EXPECT_TRUE(no->why.known);
}

TEST_P(GoldenReplication, NotesOfHeads) {
  const auto heads = read_heads(of("heads"));
  ASSERT_TRUE(heads);
  ASSERT_EQ(heads->size(), 2u);
  EXPECT_EQ((*heads)[0].shape, storage::shape_id{3});
  EXPECT_EQ((*heads)[0].head, (log_offset{77, 4}));
  EXPECT_TRUE((*heads)[0].has_boundaries);
  EXPECT_EQ((*heads)[0].behind, 70u);
  EXPECT_EQ((*heads)[1].head, (log_offset{80, 2}));
}

const control_codec codec{std::string(32, 'k'), "default"};

TEST_P(GoldenReplication, ControlMessagesInTheWal) {
  for (const auto* name : {"control-create-shape", "control-create-shapes"}) {
    const auto read = codec.decode(of(name));
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->term, 9u);
    const auto* create = std::get_if<create_shapes>(&read->what);
    ASSERT_TRUE(create && create->size() == 1) << name;
    EXPECT_EQ(create->front().handle, "7-8");
    EXPECT_EQ(create->front().identity, "16384 public items");
  }
  const auto drop = codec.decode(of("control-drop-shape"));
  ASSERT_TRUE(drop && std::holds_alternative<drop_shape>(drop->what));
  EXPECT_EQ(std::get<drop_shape>(drop->what).handle, "7-8");
  const auto token = codec.decode(of("control-fence"));
  ASSERT_TRUE(token && std::holds_alternative<fence>(token->what));
  EXPECT_EQ(std::get<fence>(token->what).token, "f-1");
}

TEST(GoldenReplicationOfTheNextVersion, KindsThatOnlyItKnowsAreNoneOfOurs) {
  const auto reply = read_follow_reply(golden("2/follow-reply-later"));
  const auto part = read_copy_part(golden("2/copy-part-delta"));
  const auto question = read_question(golden("2/question-watch"));
  const auto control = codec.decode(golden("2/control-rename"));
  ASSERT_TRUE(!reply && !part && !question && !control);
  for (const auto& why : {reply.error(), part.error(), question.error(), control.error()}) {
    EXPECT_EQ(why.code, errc::invalid_argument);
    EXPECT_NE(why.message.find("newer kind"), std::string::npos) << why.message;
  }
}

/// A field that is renumbered or retyped changes them.
TEST(GoldenReplicationOfThisVersion, TheseBytesAreWhatItSays) {
  const auto same = [](const std::string& bytes, const std::string& name) {
    EXPECT_TRUE(bytes == golden("1/" + name)) << name;
  };
  same(encode(follow_request{{{7, 0}, {900, 123}}, 456}), "follow-request");
  same(encode(follow_reply{go_on{9}}), "follow-reply-go-on");
  same(encode(follow_reply{must_copy{"it is too old", 9}}), "follow-reply-copy");
  same(encode(follow_reply{refused{"not now"}}), "follow-reply-refused");
  same(encode(some_news()), "from-leader");
  same(encode(from_follower{459, 457}), "from-follower");
  same(encode_copy_request(), "copy-request");
  same(encode(copy_part{copy_files{{"CURRENT", 16}, {"000012.sst", 1'048'576}}}),
       "copy-part-files");
  same(encode(copy_part{copy_piece{"000012.sst", 1024, "abc"}}), "copy-part-piece");
  same(encode(copy_part{copy_end{}}), "copy-part-end");
  same(encode(copy_part{refused{"others are copying already"}}), "copy-part-refused");
  same(encode(question{find_question{some_request()}}), "question-find");
  same(encode(question{drop_question{handle}}), "question-drop");
  same(encode(question{invalid_question{handle, "its table is gone"}}), "question-invalid");
  same(encode(question{covers_question{storage::shape_id{3}, {10, 20, {12, 15}}, 97'500'000'000}}),
       "question-covers");
  same(encode(question{barrier_question{}}), "question-barrier");
  same(encode(question{reads_question{{storage::shape_id{3}, storage::shape_id{9}}}}),
       "question-reads");
  same(encode(answer{459, true, {}}), "answer-yes");
  same(encode(answer{459, false, {errc::invalid_argument, "no such column", "where", true}}),
       "answer-failure");
  same(encode(std::vector<replicated_head>{{storage::shape_id{3}, {77, 4}, true, 70},
                                           {storage::shape_id{9}, {80, 2}, false, 0}}),
       "heads");
  same(codec.encode({9, create_shapes{{"7-8", "16384 public items"}}}), "control-create-shapes");
  same(codec.encode({9, drop_shape{"7-8"}}), "control-drop-shape");
  same(codec.encode({9, fence{"f-1"}}), "control-fence");
}

} // namespace
} // namespace busbar::cluster
