// Bodies, however their bytes arrive.
#include "http/body_decoder.hpp"

#include <gtest/gtest.h>

namespace busbar::http {
namespace {

struct decoded {
  std::string body;
  std::string rest; ///< What lies behind the body.
  int refused = 0;
  bool done = false;
  friend bool operator==(const decoded&, const decoded&) = default;
};

decoded decode(body_decoder decoder, std::string_view input, std::size_t step) {
  decoded out;
  while (!input.empty() && !decoder.done()) {
    const auto part = input.substr(0, step);
    const auto used = decoder.decode(part, out.body);
    if (!used) {
      out.refused = used.error();
      return out;
    }
    EXPECT_TRUE(*used == part.size() || decoder.done());
    input.remove_prefix(*used);
  }
  out.rest = input;
  out.done = decoder.done();
  return out;
}

decoded decode_chunked(std::string_view input) {
  const auto whole = decode(body_decoder::chunked(20), input, input.size());
  for (std::size_t step = 1; step < input.size(); ++step)
    EXPECT_EQ(decode(body_decoder::chunked(20), input, step), whole) << step;
  return whole;
}

TEST(BodyDecoder, ContentLength) {
  EXPECT_TRUE(body_decoder::of_length(0, 20).done());
  for (std::size_t step = 1; step < 9; ++step)
    EXPECT_EQ(decode(body_decoder::of_length(5, 20), "helloGET", step),
              (decoded{"hello", "GET", 0, true}));
  EXPECT_EQ(decode(body_decoder::of_length(21, 20), "x", 1).refused, 413);
}

TEST(BodyDecoder, Chunks) {
  EXPECT_EQ(decode_chunked("5\r\nhello\r\nA;a=b\r\n 0123\r\n678\r\n0\r\n\r\nGET"),
            (decoded{"hello 0123\r\n678", "GET", 0, true}));
  EXPECT_EQ(decode_chunked("0\r\na: b\r\nc: d\r\n\r\n"), (decoded{"", "", 0, true}));
  EXPECT_FALSE(decode_chunked("5\r\nhello\r\n0\r\n").done);
}

TEST(BodyDecoder, WhatCouldBeReadOtherwiseIsRefused) {
  for (const auto* bad :
       {"\r\n", "x\r\n", " 5\r\nhello", "5 \r\nhello", "5\nhello", "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloX", "+5\r\nhello", "-1\r\n", "0x5\r\nhello", "000000005\r\nhello", "0\r\n\n",
        "0\r\na: b\n\r\n", "5;\x01\r\nhello"})
    EXPECT_EQ(decode_chunked(bad).refused, 400) << bad;
}

TEST(BodyDecoder, TheLimitHoldsForAllChunksTogether) {
  EXPECT_EQ(decode_chunked("14\r\n").refused, 0);
  EXPECT_EQ(decode_chunked("15\r\n").refused, 413) << "before any of it has come";
  EXPECT_EQ(decode_chunked("A\r\n0123456789\r\nB\r\n0").refused, 413);
  EXPECT_EQ(decode_chunked("ffffffff\r\n0").refused, 413);
  const auto padding = "1;" + std::string(9'000, 'x');
  EXPECT_EQ(decode(body_decoder::chunked(20), padding, 100).refused, 400);
}

} // namespace
} // namespace busbar::http
