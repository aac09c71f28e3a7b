#include "http/route.hpp"

#include <gtest/gtest.h>

namespace busbar::http {
namespace {

TEST(Route, ResolvesThePathsThereAre) {
  EXPECT_EQ(resolve("/v1/shape?a=b").where, route::shape);
  EXPECT_EQ(resolve("/v1/shape?a=b").query, "a=b");
  EXPECT_EQ(resolve("/v1/health").where, route::health);
  EXPECT_EQ(resolve("/").where, route::root);
  EXPECT_EQ(resolve("/?x").where, route::root);
}

// F61
TEST(Route, EverySpellingOfTheShapePathIsTheShapeRoute) {
  for (const auto* target :
       {"/v1/shape/", "/v1//shape", "//v1/shape", "/v1/%73hape", "/%76%31/shape", "/v1/shape//?x=1",
        "http://host:80/v1/shape?x=1", "HTTPS://host/v1/shape", "http:///v1/shape",
        "http://u@h/v1/shape", "///v1///shape///", "/%76%31/%73%68%61%70%65"})
    EXPECT_EQ(resolve(target).where, route::shape) << target;
}

TEST(Route, OtherPathsAreUnknown) {
  for (const auto* target : {"/v1",
                             "/v1/shapes",
                             "/v1%2Fshape",
                             "/V1/shape",
                             "/v1/shape/x",
                             "*",
                             "v1/shape",
                             "/v2/shape",
                             "/v1/%7",
                             "/metrics",
                             "/v1/./shape",
                             "/v1/%2e/shape",
                             "/v1/../v1/shape",
                             "/v1/..;/shape",
                             "/v1/shape;x",
                             "/v1/shape%2f",
                             "/v1/shape%00",
                             "/v1/%2573hape",
                             "/v1/shape#x",
                             "ftp://host/v1/shape",
                             "host:80",
                             "/v1\\shape",
                             "http:/v1/shape"})
    EXPECT_EQ(resolve(target).where, route::unknown) << target;
}

TEST(Route, AnAbsoluteTargetWithoutPathIsTheRoot) {
  EXPECT_EQ(resolve("http://host").where, route::root);
  EXPECT_EQ(resolve("http://host?x=1").query, "x=1");
}

// F61
TEST(Route, OnlyTheWholeSecretMatches) {
  EXPECT_TRUE(secret_matches("hunter2", "hunter2"));
  for (const auto* given : {"", "hunter", "hunter22", "Hunter2", "hunter2hunter2"})
    EXPECT_FALSE(secret_matches(given, "hunter2")) << given;
  EXPECT_FALSE(secret_matches("x", ""));
}

} // namespace
} // namespace busbar::http
