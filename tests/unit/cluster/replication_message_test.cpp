// What leader and followers tell each other arrives as it was sent; bytes that are none of it are
// refused, whatever they are.
#include "cluster/replication_message.hpp"

#include <gtest/gtest.h>

#include <random>

namespace busbar::cluster {
namespace {

shape_request whole_request() {
  shape_request what;
  what.schema = "app";
  what.table = "items \"quoted\"";
  what.where = "owner = $1 AND n > 3";
  what.parameters = {"o'Brien", std::string{"\xc3\xbc"}};
  what.columns = {"id", "n"};
  what.queryable_columns = std::vector<std::string>{};
  what.replica_full = true;
  what.changes_only = true;
  return what;
}

TEST(ReplicationMessage, AFollowRequestHasLineageAndSequence) {
  const auto read = read_follow_request(encode(follow_request{{{7, 0}, {900, 123}}, 456}));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->lineage, (storage::lineage{{7, 0}, {900, 123}}));
  EXPECT_EQ(read->sequence, 456u);
}

TEST(ReplicationMessage, FollowRepliesKeepTheirKind) {
  const auto yes = read_follow_reply(encode(follow_reply{go_on{9}}));
  ASSERT_TRUE(yes && std::holds_alternative<go_on>(*yes));
  EXPECT_EQ(std::get<go_on>(*yes).term, 9u);
  const auto copy = read_follow_reply(encode(follow_reply{must_copy{"too old"}}));
  ASSERT_TRUE(copy && std::holds_alternative<must_copy>(*copy));
  EXPECT_EQ(std::get<must_copy>(*copy).why, "too old");
  const auto no = read_follow_reply(encode(follow_reply{refused{"not now"}}));
  ASSERT_TRUE(no && std::holds_alternative<refused>(*no));
}

TEST(ReplicationMessage, BatchesArriveByteForByte) {
  from_leader message{.term = 5, .batches = {}, .progress = {10, 20, true, true}};
  message.batches.push_back({.first = 3, .count = 2, .bytes = std::string("a\0b", 3)});
  message.batches.push_back({.first = 5, .count = 1, .bytes = std::string(200'000, 'x')});
  const auto read = read_from_leader(encode(message));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->term, 5u);
  ASSERT_EQ(read->batches.size(), 2u);
  EXPECT_EQ(read->batches[0].bytes, std::string("a\0b", 3));
  EXPECT_EQ(read->batches[1].last(), 5u);
  EXPECT_EQ(read->batches[1].bytes.size(), 200'000u);
  EXPECT_EQ(read->progress.sequence, 10u);
  EXPECT_EQ(read->progress.last_seen, 20u);
  EXPECT_TRUE(read->progress.streaming);
  EXPECT_TRUE(read->progress.in_sync);
}

TEST(ReplicationMessage, AcknowledgementsAndCopiesArrive) {
  const auto ack = read_from_follower(encode(from_follower{8, 6}));
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->applied, 8u);
  EXPECT_EQ(ack->synced, 6u);
  const auto files = read_copy_part(encode(copy_part{copy_files{{"CURRENT", 16}}}));
  ASSERT_TRUE(files && std::holds_alternative<copy_files>(*files));
  EXPECT_EQ(std::get<copy_files>(*files)[0].name, "CURRENT");
  const auto piece = read_copy_part(encode(copy_part{copy_piece{"000012.sst", 1u << 20, "abc"}}));
  ASSERT_TRUE(piece && std::holds_alternative<copy_piece>(*piece));
  EXPECT_EQ(std::get<copy_piece>(*piece).bytes, "abc");
  EXPECT_EQ(std::get<copy_piece>(*piece).offset, 1u << 20);
  const auto end = read_copy_part(encode(copy_part{copy_end{}}));
  ASSERT_TRUE(end && std::holds_alternative<copy_end>(*end));
}

TEST(ReplicationMessage, AQuestionForAShapeMeansTheSameThere) {
  const auto asked = whole_request();
  const auto read = read_question(encode(question{find_question{asked}}));
  ASSERT_TRUE(read && std::holds_alternative<find_question>(*read));
  const auto& what = std::get<find_question>(*read).what;
  EXPECT_EQ(what.cache_key(), asked.cache_key());
  shape_request plain;
  plain.table = "t";
  const auto other = read_question(encode(question{find_question{plain}}));
  ASSERT_TRUE(other);
  EXPECT_EQ(std::get<find_question>(*other).what.cache_key(), plain.cache_key());
}

TEST(ReplicationMessage, OtherQuestionsArrive) {
  const auto covers = read_question(
      encode(question{covers_question{storage::shape_id{4}, {10, 20, {12, 15}}, 99}}));
  ASSERT_TRUE(covers && std::holds_alternative<covers_question>(*covers));
  EXPECT_EQ(std::get<covers_question>(*covers).sees, (snapshot{10, 20, {12, 15}}));
  EXPECT_EQ(std::get<covers_question>(*covers).upto, 99u);
  const auto reads = read_question(encode(question{reads_question{{storage::shape_id{1}}}}));
  ASSERT_TRUE(reads && std::holds_alternative<reads_question>(*reads));
  EXPECT_TRUE(read_question(encode(question{barrier_question{}})));
  const auto drop = read_question(encode(question{drop_question{"h-1"}}));
  ASSERT_TRUE(drop && std::holds_alternative<drop_question>(*drop));
  EXPECT_EQ(std::get<drop_question>(*drop).handle, "h-1");
  const auto invalid = read_question(encode(question{invalid_question{"h-1", "why"}}));
  ASSERT_TRUE(invalid && std::holds_alternative<invalid_question>(*invalid));
  EXPECT_EQ(std::get<invalid_question>(*invalid).reason, "why");
}

TEST(ReplicationMessage, AnAnswerKeepsItsError) {
  const auto read = read_answer(
      encode(answer{7, false, {errc::invalid_argument, "no such column", "where", true}}));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->sequence, 7u);
  EXPECT_EQ(read->why.code, errc::invalid_argument);
  EXPECT_EQ(read->why.message, "no such column");
  EXPECT_EQ(read->why.field, "where");
  EXPECT_TRUE(read->why.known);
  const auto fine = read_answer(encode(answer{8, true, {}}));
  ASSERT_TRUE(fine);
  EXPECT_EQ(fine->why.code, errc::ok);
  EXPECT_TRUE(fine->yes);
}

TEST(ReplicationMessage, HeadsArrive) {
  const auto read = read_heads(encode(
      std::vector<replicated_head>{{storage::shape_id{3}, {77, 4}, true, 70},
                                   {storage::shape_id{9}, log_offset::snapshot_end(), false, 0}}));
  ASSERT_TRUE(read);
  ASSERT_EQ(read->size(), 2u);
  EXPECT_EQ((*read)[0].head, (log_offset{77, 4}));
  EXPECT_EQ((*read)[0].behind, 70u);
  EXPECT_TRUE((*read)[0].has_boundaries);
  EXPECT_EQ((*read)[1].head, log_offset::snapshot_end());
}

/// A member is trusted, but a damaged byte must cost a link and not the process.
TEST(ReplicationMessage, DamagedBytesAreAnError) {
  from_leader message{.term = 5, .batches = {}, .progress = {10, 20, true, true}};
  message.batches.push_back({.first = 3, .count = 2, .bytes = "some bytes"});
  const auto good = encode(message);
  const auto asked = encode(question{find_question{whole_request()}});
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random{seed};
  for (int i = 0; i < 20'000; ++i) {
    auto bytes = i % 2 == 0 ? good : asked;
    for (int changes = 1 + static_cast<int>(random() % 4); changes > 0; --changes)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    if (random() % 4 == 0)
      bytes.resize(random() % bytes.size());
    (void)read_from_leader(bytes);
    (void)read_question(bytes);
    (void)read_answer(bytes);
    (void)read_copy_part(bytes);
    (void)read_heads(bytes);
    (void)read_follow_request(bytes);
  }
  EXPECT_FALSE(read_from_leader("abc"));
  EXPECT_FALSE(read_from_leader(std::string(16, '\xff')));
}

} // namespace
} // namespace busbar::cluster
