// What a request's words stand for is told without PostgreSQL, and without asking every shape.
#include "actors/shape_words.hpp"
#include "tests/unit/actors/made_shape.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace busbar {
namespace {

using testing::made_shape;
using testing::where;

class ShapeWordsTest : public ::testing::Test {
protected:
  static shape_request on_items(std::string clause) {
    auto request = where(std::move(clause));
    request.schema = testing::items()->schema;
    request.table = testing::items()->name;
    return request;
  }
  shape_ptr add(std::uint64_t id, const std::string& clause,
                const std::shared_ptr<const table_info>& table = testing::items()) {
    auto shape = made_shape(id, on_items(clause), table);
    index_.add(shape, shape->definition().identity());
    return shape;
  }
  shape_ptr defined_by(const shape_request& request) {
    return words_.defined_by(request.cache_key(), request);
  }

  shape_index index_;
  shape_words words_{index_};
};

TEST_F(ShapeWordsTest, OtherWordsForTheSameClauseFindTheShape) {
  const auto first = add(1, "id > 1");
  const auto second = add(2, "id > 2");
  EXPECT_EQ(defined_by(on_items("id>2")), second);
  EXPECT_EQ(defined_by(on_items("(id > 1)")), first);
  EXPECT_EQ(defined_by(on_items("id > 3")), nullptr);
  EXPECT_EQ(defined_by(on_items("no_such_column > 3")), nullptr);
  auto elsewhere = on_items("id > 1");
  elsewhere.schema = "other";
  EXPECT_EQ(defined_by(elsewhere), nullptr);
}

TEST_F(ShapeWordsTest, WhatWasFoundIsRemembered) {
  const auto shape = add(1, "id > 1");
  const auto request = on_items("id>1");
  shape_query query;
  query.shape = request;
  EXPECT_EQ(words_.recall(request.cache_key(), query), nullptr);
  EXPECT_EQ(defined_by(request), shape);
  EXPECT_EQ(words_.recall(request.cache_key(), query), shape);
}

TEST_F(ShapeWordsTest, AShapeThatIsGoneIsNotFoundAndItsSuccessorIs) {
  const auto old = add(1, "id > 1");
  old->update([](shape_progress& p) { p.gone = true; });
  EXPECT_EQ(defined_by(on_items("id > 1")), nullptr);
  const auto next = add(2, "id > 1");
  EXPECT_EQ(defined_by(on_items("id > 1")), next);
  index_.remove(old->handle());
  EXPECT_EQ(defined_by(on_items("id > 1")), next);
  index_.remove(next->handle());
  index_.remove(next->handle());
  EXPECT_EQ(defined_by(on_items("id > 1")), nullptr);
  EXPECT_EQ(index_.size(), 0u);
  EXPECT_TRUE(index_.descriptions(testing::items()->schema, testing::items()->name).empty());
}

TEST_F(ShapeWordsTest, ShapesFromBeforeAndAfterAnAlterationAreBothFound) {
  auto altered = *testing::items();
  altered.columns.push_back(altered.columns.back());
  altered.columns.back().name = "added";
  const auto after = std::make_shared<const table_info>(altered);
  const auto old = add(1, "id > 1");
  const auto young = add(2, "added IS NULL", after);
  EXPECT_EQ(defined_by(on_items("id > 1")), old);
  EXPECT_EQ(defined_by(on_items("added IS NULL")), young);
  // Equal descriptions count as one, also where each shape brings its own, as after a restart.
  add(3, "id > 3", std::make_shared<const table_info>(altered));
  EXPECT_EQ(index_.descriptions(altered.schema, altered.name).size(), 2u);
  index_.remove(young->handle());
  EXPECT_EQ(index_.descriptions(altered.schema, altered.name).size(), 2u);
  index_.remove("handle-3");
  EXPECT_EQ(index_.descriptions(altered.schema, altered.name).size(), 1u);
}

TEST_F(ShapeWordsTest, ALookUpCostsTheSameHoweverManyShapesTheTableHas) {
  constexpr std::uint64_t shapes = 2'000;
  for (std::uint64_t id = 1; id <= shapes; ++id)
    add(id, "title = 'a title' AND id > " + std::to_string(id));
  const auto begin = std::chrono::steady_clock::now();
  for (std::uint64_t i = 0; i < 200; ++i)
    EXPECT_EQ(defined_by(on_items("title = 'another' AND id > " + std::to_string(i))), nullptr);
  // Compiling the clause anew for each shape takes more than ten seconds for these.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds{2});
}

} // namespace
} // namespace busbar
