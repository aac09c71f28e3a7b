#include "shapes/entry.hpp"
#include "tests/unit/shapes/tables.hpp"

#include <gtest/gtest.h>

#include <numeric>

namespace busbar {
namespace {

using testing::column;
using testing::items;
using testing::table;

using row = std::vector<sql::cell>;
constexpr auto null = std::nullopt;

std::vector<std::uint16_t> all_of(const table_info& t) {
  std::vector<std::uint16_t> indices(t.columns.size());
  std::iota(indices.begin(), indices.end(), std::uint16_t{0});
  return indices;
}

struct encoder {
  explicit encoder(const table_info& t, bool full = false) : entries{t, all_of(t), full} {}
  encoder(const table_info& t, std::vector<std::uint16_t> selected, bool full = false)
      : entries{t, std::move(selected), full} {}

  std::vector<std::string> encode(row_effect effect, const row& before, const row& after,
                                  std::int64_t op = 0) {
    std::vector<encoded_entry> made;
    entries.encode(effect, before, after, {.commit_lsn = 37381960, .xid = 1114, .op = op}, made);
    ops.clear();
    std::vector<std::string> texts;
    for (auto& entry : made) {
      ops.push_back(entry.op);
      last = entry;
      texts.push_back(entry.json);
    }
    return texts;
  }
  std::string one(row_effect effect, const row& before, const row& after) {
    const auto texts = encode(effect, before, after);
    EXPECT_EQ(texts.size(), 1u);
    return texts.empty() ? std::string{} : texts[0];
  }
  std::string snapshot_row(const row& selected_cells) {
    std::string out;
    entries.append_snapshot_row(out, selected_cells);
    return out;
  }

  entry_encoder entries;
  std::vector<std::int64_t> ops;
  encoded_entry last;
};

const char headers_of_insert[] =
    R"("headers":{"operation":"insert","relation":["public","items"],"lsn":"37381960","op_position":0,"txids":[1114]}})";

TEST(EntryTest, InsertHasAllColumns) {
  encoder e{*items()};
  EXPECT_EQ(
      e.one(row_effect::insert, {}, {"4", "New", "f", null}),
      std::string{
          R"({"key":"\"public\".\"items\"/\"4\"","value":{"id":"4","title":"New","done":"f","note":null},)"} +
          headers_of_insert);
}

TEST(EntryTest, LastMarkGoesToTheFrontOfTheHeaders) {
  encoder e{*items()};
  e.one(row_effect::insert, {}, {"4", "New", "f", null});
  e.last.json.insert(e.last.last_at, last_header);
  EXPECT_EQ(
      e.last.json,
      R"({"key":"\"public\".\"items\"/\"4\"","value":{"id":"4","title":"New","done":"f","note":null},"headers":{"last":true,"operation":"insert","relation":["public","items"],"lsn":"37381960","op_position":0,"txids":[1114]}})");
}

TEST(EntryTest, UpdateHasTheKeyAndWhatChanged) {
  encoder e{*items()};
  EXPECT_EQ(
      e.one(row_effect::update, {"4", "New", "f", null}, {"4", "New", "t", null}),
      R"({"key":"\"public\".\"items\"/\"4\"","value":{"id":"4","done":"t"},"headers":{"operation":"update","relation":["public","items"],"lsn":"37381960","op_position":0,"txids":[1114]}})");
}

TEST(EntryTest, FullUpdateHasTheNewRowAndTheOldValuesOfWhatChanged) {
  encoder e{*items(), true};
  EXPECT_EQ(
      e.one(row_effect::update, {"1", "Milk!", "f", "x"}, {"1", "Oat milk", "f", "x"}),
      R"({"key":"\"public\".\"items\"/\"1\"","value":{"id":"1","title":"Oat milk","done":"f","note":"x"},"old_value":{"title":"Milk!"},"headers":{"operation":"update","relation":["public","items"],"lsn":"37381960","op_position":0,"txids":[1114]}})");
}

// F08
TEST(EntryTest, NullAndEmptyTextAreDifferentValues) {
  encoder e{*items()};
  const auto text = e.one(row_effect::update, {"1", "a", "f", null}, {"1", "a", "f", ""});
  EXPECT_NE(text.find(R"("value":{"id":"1","note":""})"), std::string::npos) << text;
  const auto back = e.one(row_effect::update, {"1", "a", "f", ""}, {"1", "a", "f", null});
  EXPECT_NE(back.find(R"("value":{"id":"1","note":null})"), std::string::npos) << back;
}

// F17
TEST(EntryTest, UpdateThatChangesNothingVisibleIsDropped) {
  encoder all{*items()};
  EXPECT_TRUE(all.encode(row_effect::update, {"1", "a", "f", "x"}, {"1", "a", "f", "x"}).empty());
  encoder some{*items(), {0, 1}};
  EXPECT_TRUE(some.encode(row_effect::update, {"1", "a", "f", "x"}, {"1", "a", "t", "y"}).empty());
  encoder full{*items(), {0, 1}, true};
  EXPECT_TRUE(full.encode(row_effect::update, {"1", "a", "f", "x"}, {"1", "a", "t", "y"}).empty());
}

TEST(EntryTest, DeleteHasTheKeyColumnsOrInFullModeTheOldRow) {
  const row old{"1", "Oat milk", "f", "x"};
  EXPECT_EQ(
      encoder{*items()}.one(row_effect::remove, old, {}),
      R"({"key":"\"public\".\"items\"/\"1\"","value":{"id":"1"},"headers":{"operation":"delete","relation":["public","items"],"lsn":"37381960","op_position":0,"txids":[1114]}})");
  EXPECT_EQ(
      (encoder{*items(), true}.one(row_effect::remove, old, {})),
      R"({"key":"\"public\".\"items\"/\"1\"","value":{"id":"1","title":"Oat milk","done":"f","note":"x"},"headers":{"operation":"delete","relation":["public","items"],"lsn":"37381960","op_position":0,"txids":[1114]}})");
}

// F16
TEST(EntryTest, ChangedKeyIsADeleteAndAnInsertBehindIt) {
  encoder e{*items()};
  const auto pair =
      e.encode(row_effect::update, {"3", "Ünïcode", "f", ""}, {"30", "Ünïcode", "f", ""}, 4);
  ASSERT_EQ(pair.size(), 2u);
  EXPECT_EQ(
      pair[0],
      R"({"key":"\"public\".\"items\"/\"3\"","value":{"id":"3"},"headers":{"operation":"delete","relation":["public","items"],"lsn":"37381960","op_position":4,"txids":[1114],"key_change_to":"\"public\".\"items\"/\"30\""}})");
  EXPECT_EQ(
      pair[1],
      R"({"key":"\"public\".\"items\"/\"30\"","value":{"id":"30","title":"Ünïcode","done":"f","note":""},"headers":{"operation":"insert","relation":["public","items"],"lsn":"37381960","op_position":5,"txids":[1114],"key_change_from":"\"public\".\"items\"/\"3\""}})");
  EXPECT_EQ(e.ops, (std::vector<std::int64_t>{4, 5}));
}

TEST(EntryTest, ChangedKeyInFullModeDeletesTheOldRow) {
  encoder e{*items(), true};
  const auto pair = e.encode(row_effect::update, {"3", "a", "f", null}, {"4", "b", "f", null});
  ASSERT_EQ(pair.size(), 2u);
  EXPECT_NE(pair[0].find(R"("value":{"id":"3","title":"a","done":"f","note":null},"headers")"),
            std::string::npos);
  EXPECT_EQ(pair[1].find("old_value"), std::string::npos);
}

TEST(EntryTest, RowThatMovesInOrOutHasNoKeyChangeHeader) {
  encoder e{*items()};
  const row before{"3", "a", "f", null};
  const row after{"4", "a", "t", null};
  const auto in = e.one(row_effect::insert, before, after);
  EXPECT_NE(in.find(R"("key":"\"public\".\"items\"/\"4\"")"), std::string::npos) << in;
  EXPECT_EQ(in.find("key_change"), std::string::npos);
  const auto out = e.one(row_effect::remove, before, after);
  EXPECT_NE(out.find(R"("key":"\"public\".\"items\"/\"3\"")"), std::string::npos) << out;
  EXPECT_EQ(out.find("key_change"), std::string::npos);
}

TEST(EntryTest, RowOutsideOfTheShapeIsNothing) {
  EXPECT_TRUE(encoder{*items()}.encode(row_effect::none, {"1", "a", "f", null}, {}).empty());
}

// -- keys -----------------------------------------------------------------------------------------

// F09
TEST(EntryTest, SlashesInKeysAreDoubledAndQuotesEscapedByJsonOnly) {
  encoder e{*table({column("id", "text", 0)})};
  const auto text = e.one(row_effect::insert, {}, {R"(a/b"c\d)"});
  EXPECT_NE(text.find(R"("key":"\"public\".\"items\"/\"a//b\"c\\d\"","value":{"id":"a/b\"c\\d"})"),
            std::string::npos)
      << text;
}

TEST(EntryTest, DotsAndSlashesInRelationNamesAreDoubledInTheKeyOnly) {
  encoder e{*table({column("id", "int4", 0)}, "a.b/c", "my.schema")};
  const auto text = e.one(row_effect::insert, {}, {"1"});
  EXPECT_NE(text.find(R"("key":"\"my..schema\".\"a..b//c\"/\"1\"")"), std::string::npos) << text;
  EXPECT_NE(text.find(R"("relation":["my.schema","a.b/c"])"), std::string::npos) << text;
}

TEST(EntryTest, KeyColumnsGoByTheirPlaceInTheKey) {
  encoder e{*table({column("a", "int4", 1), column("b", "int4"), column("c", "int4", 0)})};
  const auto text = e.one(row_effect::insert, {}, {"1", "2", "3"});
  EXPECT_NE(text.find(R"("key":"\"public\".\"items\"/\"3\"/\"1\"")"), std::string::npos) << text;
  const auto removed = e.one(row_effect::remove, {"1", "2", "3"}, {});
  EXPECT_NE(removed.find(R"("value":{"c":"3","a":"1"})"), std::string::npos) << removed;
}

TEST(EntryTest, KeyIsTakenFromTheWholeRowWhateverIsSelected) {
  encoder e{*items(), {0, 2}};
  EXPECT_EQ(e.one(row_effect::insert, {}, {"2", "Call", "t", "x"}),
            std::string{R"({"key":"\"public\".\"items\"/\"2\"","value":{"id":"2","done":"t"},)"} +
                headers_of_insert);
}

// F09
TEST(EntryTest, WithoutAPrimaryKeyAllColumnsAreTheKey) {
  encoder e{*table({column("a", "int4"), column("b", "text")})};
  const auto inserted = e.one(row_effect::insert, {}, {"1", null});
  EXPECT_NE(inserted.find(R"("key":"\"public\".\"items\"/\"1\"/_")"), std::string::npos)
      << inserted;
  const auto removed = e.one(row_effect::remove, {"1", null}, {});
  EXPECT_NE(removed.find(R"("value":{"a":"1","b":null})"), std::string::npos) << removed;
  const auto pair = e.encode(row_effect::update, {"1", null}, {"1", "x"});
  ASSERT_EQ(pair.size(), 2u); // the key covers every column, so every update changes it
  EXPECT_NE(pair[0].find(R"("key_change_to":"\"public\".\"items\"/\"1\"/\"x\"")"),
            std::string::npos);
  EXPECT_TRUE(e.encode(row_effect::update, {"1", "x"}, {"1", "x"}).empty());
}

// -- snapshot rows --------------------------------------------------------------------------------

TEST(EntryTest, SnapshotRowHasNoPositionAndTheSameKey) {
  encoder e{*items()};
  EXPECT_EQ(
      e.snapshot_row({"2", R"(Call "Bob")", "true", "a/b"}),
      R"({"key":"\"public\".\"items\"/\"2\"","value":{"id":"2","title":"Call \"Bob\"","done":"true","note":"a/b"},"headers":{"operation":"insert","relation":["public","items"]}})");
}

TEST(EntryTest, SnapshotRowTakesSelectedCellsOnly) {
  encoder e{*table({column("x", "text"), column("b", "int4", 1), column("y", "text"),
                    column("a", "int4", 0)}),
            {1, 2, 3}};
  EXPECT_EQ(
      e.snapshot_row({"1", null, "2"}),
      R"({"key":"\"public\".\"items\"/\"2\"/\"1\"","value":{"b":"1","y":null,"a":"2"},"headers":{"operation":"insert","relation":["public","items"]}})");
}

TEST(EntryTest, SnapshotAndStreamAgreeOnEveryKey) {
  const auto t = *table({column("k", "text"), column("v", "text")}, "o.d/d", "s\"x");
  encoder e{t};
  for (const row& cells : {row{"a/b", null}, row{null, "\"q\""}, row{"", "//"}, row{"\n", "_"}}) {
    const auto from_snapshot = e.snapshot_row(cells);
    const auto from_stream = e.one(row_effect::insert, {}, cells);
    const auto end = from_snapshot.find(",\"headers\"");
    EXPECT_EQ(from_snapshot.substr(0, end),
              from_stream.substr(0, from_stream.find(",\"headers\"")));
  }
}

TEST(EntryTest, ColumnNamesAreEscaped) {
  encoder e{*table({column("id", "int4", 0), column("a\"b\\c", "text")})};
  const auto text = e.one(row_effect::insert, {}, {"1", "x"});
  EXPECT_NE(text.find(R"("value":{"id":"1","a\"b\\c":"x"})"), std::string::npos) << text;
}

// F69
TEST(EntryTest, SnapshotEndHasSixtyFourBitXidsAsStrings) {
  EXPECT_EQ(snapshot_end_json(1106, 1106, {}),
            R"({"headers":{"control":"snapshot-end","xmin":"1106","xmax":"1106","xip_list":[]}})");
  const std::vector<std::uint64_t> running{4294967296, 18446744073709551614u};
  EXPECT_EQ(
      snapshot_end_json(4294967296, 18446744073709551615u, running),
      R"({"headers":{"control":"snapshot-end","xmin":"4294967296","xmax":"18446744073709551615","xip_list":["4294967296","18446744073709551614"]}})");
}

} // namespace
} // namespace busbar
