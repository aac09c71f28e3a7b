#include "base/bytes.hpp"
#include "base/json_text.hpp"
#include "base/result.hpp"

#include <gtest/gtest.h>

namespace busbar {
namespace {

using namespace std::string_literals;

TEST(JsonTextTest, OnlyQuoteBackslashAndControlCharactersAreEscaped) {
  EXPECT_EQ(json_string(""), R"("")");
  EXPECT_EQ(json_string("a/b"), R"("a/b")");
  EXPECT_EQ(json_string(R"(say "\")"), R"("say \"\\\"")");
  EXPECT_EQ(json_string("\b\f\n\r\t"), R"("\b\f\n\r\t")");
  EXPECT_EQ(json_string("\x01\x1f"s), R"("\u0001\u001f")");
  EXPECT_EQ(json_string("\0"s), R"("\u0000")");
  EXPECT_EQ(json_string("\x7f"), "\"\x7f\"");
  EXPECT_EQ(json_string("Ünïcode 😀"), "\"Ünïcode 😀\"");
}

TEST(JsonTextTest, TextAroundAnEscapeIsKept) {
  EXPECT_EQ(json_string("one\ntwo\nthree"), R"("one\ntwo\nthree")");
  std::string out = "before ";
  append_json_escaped(out, "x\ny");
  EXPECT_EQ(out, R"(before x\ny)");
}

TEST(BytesTest, IntegersAreBigEndian) {
  std::string out;
  append_be16(out, 0x0102);
  append_be32(out, 0x03040506);
  append_be64(out, 0x0708090a0b0c0d0e);
  EXPECT_EQ(out, "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e");
}

TEST(BytesTest, IntegersAreReadBackWithTheHighBitSet) {
  std::string out;
  append_be16(out, 0xfffe);
  append_be32(out, 0xfffefdfc);
  append_be64(out, 0xfffefdfcfbfaf9f8);
  EXPECT_EQ(read_be16(out.data()), 0xfffe);
  EXPECT_EQ(read_be32(out.data() + 2), 0xfffefdfcu);
  EXPECT_EQ(read_be64(out.data() + 6), 0xfffefdfcfbfaf9f8u);
}

TEST(ErrorTest, ContextGoesBeforeTheMessageAndKeepsCodeAndField) {
  const auto e = error{errc::corrupt, "log key of 3 bytes", "offset"}.with_context("recover");
  EXPECT_EQ(e.code, errc::corrupt);
  EXPECT_EQ(e.message, "recover: log key of 3 bytes");
  EXPECT_EQ(e.field, "offset");
}

} // namespace
} // namespace busbar
