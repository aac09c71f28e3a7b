#include "shapes/entry.hpp"
#include "shapes/entry_block.hpp"
#include "shapes/entry_merge.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace busbar {
namespace {

using json = nlohmann::json;

/// A log in the making, a block for each transaction.
struct log_text {
  std::vector<stored_block> blocks;

  struct change {
    std::string operation;
    std::string key;
    std::string value;
    std::string old_value = {};
  };
  log_text& transaction(std::uint64_t tx, const std::vector<change>& changes,
                        bool is_whole = true) {
    block_builder builder;
    std::int64_t op = 0;
    for (const auto& c : changes) {
      const bool last = is_whole && &c == &changes.back();
      builder.add(op, "{\"key\":\"" + c.key + "\",\"value\":" + c.value +
                          (c.old_value.empty() ? "" : ",\"old_value\":" + c.old_value) +
                          ",\"headers\":{" + (last ? std::string{last_header} : "") +
                          "\"operation\":\"" + c.operation + "\",\"lsn\":\"" + std::to_string(tx) +
                          "\",\"op_position\":" + std::to_string(op) + ",\"txids\":[" +
                          std::to_string(tx) + "]}}");
      op += 2;
    }
    const log_offset last{tx, builder.last_op()};
    blocks.push_back({last, builder.finish(7)});
    return *this;
  }

  merged_stretch merged(log_offset after = {1, 0}) const {
    auto done = merge_updates(after, blocks);
    EXPECT_TRUE(done) << done.error().message;
    return done ? *done : merged_stretch{};
  }
  /// What is left, in short: `2_4 update k {"a":"1"}`, with the mark of the last entry.
  std::vector<std::string> left(log_offset after = {1, 0}) const {
    const auto merged = this->merged(after);
    std::vector<std::string> texts;
    auto next = merged.changed.begin();
    std::uint64_t bytes = 0;
    for (const auto& [last, before] : blocks) {
      auto stored = before;
      if (next != merged.changed.end() && next->was == last) {
        EXPECT_LE(next->last, last);
        stored = next->bytes;
        ++next;
      }
      if (stored.empty())
        continue;
      const auto view = block_view::open(stored).value();
      EXPECT_EQ(view.chunk_bytes_after(), 7u);
      for (std::uint32_t i = 0; i < view.count(); ++i) {
        bytes += view.entry(i).size();
        const auto entry = json::parse(view.entry(i));
        const auto& headers = entry["headers"];
        EXPECT_EQ(headers["op_position"], view.op(i));
        texts.push_back(headers["lsn"].get<std::string>() + '_' + std::to_string(view.op(i)) + ' ' +
                        headers["operation"].get<std::string>() + ' ' +
                        entry["key"].get<std::string>() + ' ' + entry["value"].dump() +
                        (entry.contains("old_value") ? ' ' + entry["old_value"].dump() : "") +
                        (headers.contains("last") ? " last" : ""));
      }
    }
    EXPECT_EQ(merged.entry_bytes, bytes);
    return texts;
  }
};

using texts = std::vector<std::string>;

TEST(EntryMergeTest, UpdatesOfOneKeyBecomeTheLastOfThem) {
  log_text log;
  log.transaction(2, {{"update", "k", R"({"id":"1","a":"1"})"}})
      .transaction(3, {{"update", "k", R"({"id":"1","b":null})"}})
      .transaction(4, {{"update", "k", R"({"id":"1","a":"2"})"}});
  EXPECT_EQ(log.left(), (texts{R"(4_0 update k {"a":"2","b":null,"id":"1"} last)"}));
  const auto merged = log.merged();
  ASSERT_EQ(merged.changed.size(), 3u);
  EXPECT_TRUE(merged.changed[0].bytes.empty());
  EXPECT_GT(merged.saved_bytes, 0u);
}

TEST(EntryMergeTest, OldValuesAreThoseBeforeTheFirst) {
  log_text log;
  log.transaction(2, {{"update", "k", R"({"a":"1","b":"0"})", R"({"a":"0"})"}})
      .transaction(3, {{"update", "k", R"({"a":"1","b":"5"})", R"({"b":"0"})"}})
      .transaction(4, {{"update", "k", R"({"a":"2","b":"5"})", R"({"a":"1"})"}});
  EXPECT_EQ(log.left(), (texts{R"(4_0 update k {"a":"2","b":"5"} {"a":"0","b":"0"} last)"}));
}

TEST(EntryMergeTest, NothingIsMergedAcrossAnInsertOrADelete) {
  log_text log;
  log.transaction(2, {{"insert", "k", R"({"a":"0"})"}, {"update", "k", R"({"a":"1"})"}})
      .transaction(3, {{"update", "k", R"({"a":"2"})"}, {"delete", "k", "{}"}})
      .transaction(4, {{"insert", "k", R"({"a":"3"})"}, {"update", "k", R"({"a":"4"})"}});
  EXPECT_EQ(log.left(), (texts{R"(2_0 insert k {"a":"0"} last)", R"(3_0 update k {"a":"2"})",
                               R"(3_2 delete k {} last)", R"(4_0 insert k {"a":"3"})",
                               R"(4_2 update k {"a":"4"} last)"}));
}

TEST(EntryMergeTest, OtherKeysKeepTheirUpdates) {
  log_text log;
  log.transaction(2, {{"update", "k", R"({"a":"1"})"}, {"update", "other", R"({"a":"1"})"}})
      .transaction(3, {{"update", "third", R"({"a":"1"})"}});
  EXPECT_EQ(log.merged().changed.size(), 0u);
  EXPECT_EQ(log.merged().saved_bytes, 0u);
}

TEST(EntryMergeTest, ATransactionKeepsAMarkOnItsLastEntry) {
  log_text log;
  log.transaction(2, {{"insert", "x", "{}"}, {"insert", "y", "{}"}, {"update", "k", "{}"}})
      .transaction(3, {{"update", "k", "{}"}});
  EXPECT_EQ(log.left(), (texts{"2_0 insert x {}", "2_2 insert y {} last", "3_0 update k {} last"}));
}

TEST(EntryMergeTest, TheMarkOfATransactionInSeveralBlocksStaysBehindThem) {
  log_text log;
  log.transaction(2, {{"insert", "x", "{}"}}, false);
  block_builder rest;
  rest.add(
      9,
      R"({"key":"k","value":{},"headers":{"last":true,"operation":"update","lsn":"2","op_position":9}})");
  log.blocks.push_back({{2, 9}, rest.finish(7)});
  log.transaction(3, {{"update", "k", "{}"}});
  EXPECT_EQ(log.left(), (texts{"2_0 insert x {}", "2_9 update k {} last", "3_0 update k {} last"}));
}

TEST(EntryMergeTest, WhereAChunkHasEndedInATransactionItsEntryStays) {
  log_text log;
  for (const std::uint64_t chunk_bytes_after : {7, 0}) {
    log.blocks.clear();
    block_builder first;
    first.add(
        0, R"({"key":"k","value":{},"headers":{"operation":"update","lsn":"2","op_position":0}})");
    log.blocks.push_back({{2, 0}, first.finish(chunk_bytes_after)});
    block_builder rest;
    rest.add(
        9,
        R"({"key":"k","value":{},"headers":{"last":true,"operation":"update","lsn":"2","op_position":9}})");
    log.blocks.push_back({{2, 9}, rest.finish(7)});
    const auto merged = log.merged();
    EXPECT_EQ(merged.changed.size(), chunk_bytes_after == 0 ? 0u : 2u);
  }
}

TEST(EntryMergeTest, TheMarkOfATransactionThatBeganBeforeTheStretchStays) {
  log_text log;
  log.transaction(2, {{"update", "k", R"({"a":"1"})"}})
      .transaction(3, {{"update", "k", R"({"b":"1"})"}});
  EXPECT_EQ(log.left({2, -1}),
            (texts{R"(2_0 update k {"a":"1"} last)", R"(3_0 update k {"b":"1"} last)"}));
}

TEST(EntryMergeTest, TheLastEntryOfTheStretchAlwaysStays) {
  log_text log;
  log.transaction(2, {{"update", "k", "{}"}}).transaction(3, {{"update", "k", "{}"}}, false);
  EXPECT_EQ(log.left(), (texts{"3_0 update k {}"}));
}

TEST(EntryMergeTest, TextThatLooksLikeJsonIsNotTakenApart) {
  const std::string odd = R"({"a":"\"},\"headers\":{\"operation\":\"insert\\","b\":":"x,null}"})";
  log_text log;
  log.transaction(2, {{"update", R"(k\"/}{)", odd}})
      .transaction(3, {{"update", R"(k\"/}{)", R"({"c":"1"})"}});
  auto all = json::parse(odd);
  all["c"] = "1";
  EXPECT_EQ(log.left(), (texts{R"(3_0 update k"/}{ )" + all.dump() + " last"}));
}

TEST(EntryMergeTest, WhatWeDoNotWriteIsCorrupt) {
  for (const std::string entry :
       {R"({"headers":{"control":"up-to-date"}})", R"({"key":"k","value":{"a":1},"headers":{}})",
        R"({"key":"k","value":{"a":"1"})", R"({"key":"k)", R"({"key":"k","value":{"a":"\)", "{}"}) {
    block_builder builder;
    builder.add(0, entry);
    const std::vector<stored_block> blocks{{{2, 0}, builder.finish(0)}};
    const auto done = merge_updates({1, 0}, blocks);
    ASSERT_FALSE(done) << entry;
    EXPECT_EQ(done.error().code, errc::corrupt);
  }
  const std::vector<stored_block> blocks{{{2, 0}, "no block"}};
  EXPECT_EQ(merge_updates({1, 0}, blocks).error().code, errc::corrupt);
}

} // namespace
} // namespace busbar
