// From the words of a subset query to its checked definition.
#include "shapes/subset.hpp"
#include "tests/unit/shapes/tables.hpp"

#include <gtest/gtest.h>

namespace busbar {
namespace {

std::string field_of(const subset_request& request, const shape_request& shape = {}) {
  const auto defined = define_subset(request, shape, *testing::items());
  return defined ? "" : defined.error().field;
}

TEST(Subset, ConditionAndOrderAreCheckedAgainstTheTable) {
  const auto defined = define_subset(
      {.where = "id > $1", .parameters = {"5"}, .order_by = "title desc", .limit = 3, .offset = 0},
      {}, *testing::items());
  ASSERT_TRUE(defined) << defined.error().message;
  EXPECT_NE(defined->filter->to_sql().find("\"id\""), std::string::npos);
  EXPECT_EQ(defined->order_by, "\"title\" DESC");
  EXPECT_EQ(defined->limit, 3u);
  EXPECT_EQ(defined->offset, 0u);
}

TEST(Subset, AnEmptyRequestMeansEveryRow) {
  const auto defined = define_subset({}, {}, *testing::items());
  ASSERT_TRUE(defined);
  EXPECT_EQ(defined->filter, nullptr);
  EXPECT_EQ(defined->order_by, "");
}

TEST(Subset, ErrorsNameTheFieldInsideTheSubset) {
  EXPECT_EQ(field_of({.where = "nothing = 1"}), "subset.where");
  EXPECT_EQ(field_of({.where = "id IN (SELECT 1)"}), "subset.where");
  EXPECT_EQ(field_of({.where = "id IN (SELECT id FROM items)"}), "subset.where");
  EXPECT_EQ(field_of({.where = "true", .order_by = "1"}), "subset.order_by");
}

TEST(Subset, OnlyQueryableColumnsMayBeNamed) {
  shape_request shape;
  shape.queryable_columns = {"id", "title"};
  EXPECT_EQ(field_of({.where = "title = 'x'", .order_by = "title, id"}, shape), "");
  EXPECT_EQ(field_of({.where = "note = 'x'"}, shape), "subset.where");
  EXPECT_EQ(field_of({.order_by = "note"}, shape), "subset.order_by");
}

} // namespace
} // namespace busbar
