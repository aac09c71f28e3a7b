#include "http/request_identity.hpp"

#include <gtest/gtest.h>

namespace busbar::http {
namespace {

TEST(RequestIdentity, AnIdIsOf20To200VisibleCharacters) {
  EXPECT_FALSE(is_request_id(std::string(19, 'a')));
  EXPECT_TRUE(is_request_id(std::string(20, 'a')));
  EXPECT_TRUE(is_request_id(std::string(200, '~')));
  EXPECT_FALSE(is_request_id(std::string(201, 'a')));
  EXPECT_FALSE(is_request_id(std::string(20, 'a') + " b"));
  EXPECT_FALSE(is_request_id(std::string(20, 'a') + "\x1b"));
  EXPECT_FALSE(is_request_id(std::string(20, 'a') + "\xc3\xbc"));
}

TEST(RequestIdentity, AMadeIdIsOne) {
  EXPECT_TRUE(is_request_id(make_request_id(1, 2)));
  EXPECT_NE(make_request_id(1, 2), make_request_id(2, 1));
}

TEST(RequestIdentity, TheTraceIdIsReadOfTraceparent) {
  constexpr std::string_view id = "4bf92f3577b34da6a3ce929d0e0e4736";
  const std::string known = "00-" + std::string{id} + "-00f067aa0ba902b7-01";
  EXPECT_EQ(trace_id_of(known), id);
  EXPECT_EQ(trace_id_of("cc" + known.substr(2)), id);
  EXPECT_EQ(trace_id_of("cc" + known.substr(2) + "-later"), id);
}

TEST(RequestIdentity, AMalformedTraceparentIsNone) {
  const std::string id(32, 'a');
  for (const auto& text :
       {std::string{}, std::string{"00"}, "ff-" + id + "-00f067aa0ba902b7-01",
        "00-" + std::string(32, '0') + "-00f067aa0ba902b7-01", "00-" + id + "-0000000000000000-01",
        "00-" + std::string(32, 'A') + "-00f067aa0ba902b7-01",
        "00-" + id + "-00f067aa0ba902b7-01-x", "00-" + id + "-00f067aa0ba902b7-0g",
        "00_" + id + "-00f067aa0ba902b7-01"})
    EXPECT_EQ(trace_id_of(text), "") << text;
}

} // namespace
} // namespace busbar::http
