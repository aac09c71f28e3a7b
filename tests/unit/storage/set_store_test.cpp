#include "tests/unit/storage/store_fixture.hpp"

#include <gmock/gmock.h>
#include <rocksdb/db.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace busbar::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr digest value(unsigned char first) {
  return digest{first};
}

class SetStoreTest : public testing::StoreTest {
protected:
  stored_set read_set(shape_id id) const {
    auto found = store_->read_set(id);
    EXPECT_TRUE(found) << found.error().message;
    return found ? std::move(*found) : stored_set{};
  }

  /// Writes past the store, as a broken disk might, and opens it again.
  void damage(const std::string& key, std::string_view bytes) {
    store_.reset();
    {
      std::vector<rocksdb::ColumnFamilyDescriptor> families;
      for (const auto name : family_names)
        families.emplace_back(std::string{name}, rocksdb::ColumnFamilyOptions{});
      std::vector<rocksdb::ColumnFamilyHandle*> handles;
      rocksdb::DB* opened = nullptr;
      const auto status = rocksdb::DB::Open({}, settings().directory, families, &handles, &opened);
      ASSERT_TRUE(status.ok()) << status.ToString();
      const std::unique_ptr<rocksdb::DB> db{opened};
      auto* sets = handles.at(static_cast<std::size_t>(family::sets));
      EXPECT_TRUE(db->Put({}, sets, key, rocksdb::Slice{bytes.data(), bytes.size()}).ok());
      for (auto* handle : handles)
        EXPECT_TRUE(db->DestroyColumnFamilyHandle(handle).ok());
    }
    reopen();
  }

  void expect_corrupt() const {
    const auto found = store_->read_set(set_);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, errc::corrupt);
  }

  const shape_id set_{7};
};

TEST_F(SetStoreTest, WhatWasNeverWrittenIsEmpty) {
  const auto found = read_set(set_);
  EXPECT_THAT(found.values, IsEmpty());
  EXPECT_EQ(found.position, 0u);
  EXPECT_THAT(found.lag, IsEmpty());
}

TEST_F(SetStoreTest, ValuesOfASnapshotAreThereInTheOrderOfTheirDigests) {
  const std::array values{std::pair{value(200), 3u}, std::pair{value(0), 1u},
                          std::pair{value(9), ~0u}};
  ASSERT_TRUE(store_->put_set_values(set_, values));
  const auto found = read_set(set_);
  EXPECT_THAT(found.values, ElementsAre(Pair(value(0), 1u), Pair(value(9), ~0u), //
                                        Pair(value(200), 3u)));
  EXPECT_EQ(found.position, 0u) << "nothing of the stream yet";
}

TEST_F(SetStoreTest, ABatchCountsAnewAndTakesAwayWhatNoRowHas) {
  const std::array values{std::pair{value(1), 1u}, std::pair{value(2), 2u}};
  ASSERT_TRUE(store_->put_set_values(set_, values));
  batch writes;
  writes.put_set_value(set_, value(1), 0);
  writes.put_set_value(set_, value(2), 5);
  writes.put_set_value(set_, value(3), 1);
  writes.put_set_position(set_, 100);
  EXPECT_FALSE(writes.empty());
  EXPECT_EQ(read_set(set_).position, 0u) << "not before the commit";
  commit(writes);
  const auto found = read_set(set_);
  EXPECT_THAT(found.values, ElementsAre(Pair(value(2), 5u), Pair(value(3), 1u)));
  EXPECT_EQ(found.position, 100u);
}

TEST_F(SetStoreTest, ALagIsReadBackAsItWasWritten) {
  const std::vector<set_lag> late{
      {.subquery = 0, .value = value(1), .xid = 4'000'000'000, .since = ~std::uint64_t{0}},
      {.subquery = 0, .value = value(2), .xid = 3, .since = 1, .texts = {""}},
      {.subquery = 65'535,
       .value = value(1),
       .xid = 0,
       .since = 0,
       .texts = {"a", std::string{"\0\xff'", 3}, std::string(100'000, 'x')}},
  };
  batch writes;
  for (const auto& one : late)
    writes.put_lag(set_, one);
  commit(writes);
  reopen();
  EXPECT_EQ(read_set(set_).lag, late);

  writes.drop_lag(set_, 0, value(2));
  writes.drop_lag(set_, 1, value(1)); // of another subquery: not there
  commit(writes);
  EXPECT_THAT(read_set(set_).lag, ElementsAre(late[0], late[2]));

  auto again = late[0];
  again.xid = 5;
  writes.put_lag(set_, again);
  commit(writes);
  EXPECT_THAT(read_set(set_).lag, ElementsAre(again, late[2]));
}

TEST_F(SetStoreTest, OneMayHaveValuesAndLagBehindOthers) {
  batch writes;
  writes.put_set_value(set_, value(1), 1);
  writes.put_set_position(set_, 100);
  const set_lag late{.subquery = 0, .value = value(1), .xid = 3, .since = 90, .texts = {"1"}};
  writes.put_lag(set_, late);
  commit(writes);
  const auto found = read_set(set_);
  EXPECT_THAT(found.values, ElementsAre(Pair(value(1), 1u)));
  EXPECT_EQ(found.position, 100u);
  EXPECT_THAT(found.lag, ElementsAre(late));
}

TEST_F(SetStoreTest, ClearingOrRemovingOneLeavesItsNeighboursAlone) {
  const auto fill = [&](shape_id id) {
    batch writes;
    writes.put_set_value(id, value(1), 1);
    writes.put_set_position(id, 100);
    writes.put_lag(id, {.subquery = 0, .value = value(2), .xid = 3, .since = 90});
    commit(writes);
  };
  for (const std::uint64_t id : {6, 7, 8})
    fill(shape_id{id});
  const auto expect = [&](bool there) {
    for (const std::uint64_t id : {6, 7, 8}) {
      const auto found = read_set(shape_id{id});
      const std::size_t count = there || id != 7 ? 1 : 0;
      EXPECT_EQ(found.values.size(), count) << id;
      EXPECT_EQ(found.position, count * 100) << id;
      EXPECT_EQ(found.lag.size(), count) << id;
    }
  };
  expect(true);
  ASSERT_TRUE(store_->clear_set(set_));
  expect(false);
  fill(set_);
  expect(true);
  ASSERT_TRUE(store_->remove_shape(set_, true));
  expect(false);
  ASSERT_TRUE(store_->remove_all_shapes());
  EXPECT_THAT(read_set(shape_id{6}).values, IsEmpty());
}

TEST_F(SetStoreTest, ValuesOfASetAreNoPartOfItsLogOrSnapshot) {
  put(set_, record("set"));
  batch writes;
  writes.put_set_value(set_, value(1), 1);
  writes.append_block(set_, {100, 0}, block({{0, "a"}}));
  commit(writes);
  reopen();
  const auto shapes = recover();
  ASSERT_EQ(shapes.size(), 1u);
  EXPECT_EQ(shapes[0].head, (log_offset{100, 0}));
  EXPECT_THAT(read_set(set_).values, ElementsAre(Pair(value(1), 1u)));
}

TEST_F(SetStoreTest, ASetThatWasNotFinishedLeavesNoValues) {
  ASSERT_TRUE(store_->begin_shapes(std::array{set_}));
  const std::array values{std::pair{value(1), 1u}};
  ASSERT_TRUE(store_->put_set_values(set_, values));
  reopen();
  EXPECT_THAT(recover(), IsEmpty());
  EXPECT_THAT(store_->removed_shapes().value(), ElementsAre(set_));
  ASSERT_TRUE(store_->remove_shape(set_, true));
  EXPECT_THAT(read_set(set_).values, IsEmpty());
}

TEST_F(SetStoreTest, BytesThatAreNoneOfTheseAreCorrupt) {
  const auto good_lag = std::string{"\0\0\0\3\0\0\0\0\0\0\0\1\0\0\0\2ab", 18};
  const std::pair<std::string, std::string> cases[] = {
      {set_value_key(set_, value(1)), "\1\1\1"},                 // a count of three bytes
      {set_value_key(set_, value(1)), "\1\1\1\1\1"},             // … of five
      {set_value_key(set_, value(1)).substr(0, 20), "\1\1\1\1"}, // half a digest
      {set_value_key(set_, value(1)) + "x", "\1\1\1\1"},         // more than one
      {set_prefix(set_, 'p'), "1234567"},                        // a short position
      {set_prefix(set_, 'p') + "x", "12345678"},                 // a key of no kind
      {set_prefix(set_, 'z'), ""},                               // another
      {shape_prefix(set_), ""},                                  // none at all
      {lag_key(set_, 1, value(1)), ""},                          // a lag without its head
      {lag_key(set_, 1, value(1)), good_lag.substr(0, 11)},      // with half of it
      {lag_key(set_, 1, value(1)), good_lag.substr(0, 14)},      // without a text's size
      {lag_key(set_, 1, value(1)), good_lag.substr(0, 17)},      // with a cut text
      {lag_key(set_, 1, value(1)), good_lag + "x"},              // with something behind
      {lag_key(set_, 1, value(1)).substr(0, 12), good_lag},      // of half a value
      {lag_key(set_, 1, value(1)) + "x", good_lag},              // of more than one
  };
  for (const auto& [key, bytes] : cases) {
    damage(key, bytes);
    expect_corrupt();
    ASSERT_TRUE(store_->clear_set(set_));
  }
  damage(lag_key(set_, 1, value(1)), good_lag);
  EXPECT_THAT(read_set(set_).lag, ElementsAre(set_lag{
                                      .subquery = 1,
                                      .value = value(1),
                                      .xid = 3,
                                      .since = 1,
                                      .texts = {"ab"},
                                  }));
}

} // namespace
} // namespace busbar::storage
