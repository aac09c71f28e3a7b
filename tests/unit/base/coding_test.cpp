#include "base/coding.hpp"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <random>

namespace busbar {
namespace {

/// What one gzip member holds, which must be all there is; an error as text.
std::string gunzipped(const std::string& bytes) {
  z_stream stream{};
  if (::inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
    return "(no memory)";
  std::string out(16u << 20, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int code = ::inflate(&stream, Z_FINISH);
  const bool whole = code == Z_STREAM_END && stream.avail_in == 0;
  out.resize(stream.total_out);
  ::inflateEnd(&stream);
  return whole ? out : "(broken: " + std::to_string(code) + ")";
}

std::string unzstd(const std::string& bytes) {
  std::string out(16u << 20, '\0');
  const auto size = ::ZSTD_decompress(out.data(), out.size(), bytes.data(), bytes.size());
  if (::ZSTD_isError(size) != 0)
    return std::string{"(broken: "} + ::ZSTD_getErrorName(size) + ")";
  out.resize(size);
  return out;
}

std::string decoded(coding c, const std::string& bytes) {
  return c == coding::gzip ? gunzipped(bytes) : c == coding::zstd ? unzstd(bytes) : bytes;
}

/// Like rows in JSON, or like noise.
std::string text_of(std::mt19937& random, std::size_t bytes) {
  std::string text;
  const bool noise = random() % 4 == 0;
  while (text.size() < bytes)
    if (noise)
      text.push_back(static_cast<char>(random()));
    else
      text += R"({"key":"\"public\".\"items\"/\")" + std::to_string(random() % 1'000) + R"("},)";
  text.resize(bytes);
  return text;
}

TEST(CodingTest, PartsMadeApartJoinToOneBody) {
  const auto seed = std::random_device{}();
  std::mt19937 random{seed};
  for (const auto c : {coding::gzip, coding::zstd, coding::identity})
    for (int round = 0; round < 40; ++round) {
      std::string expected;
      coded_body body{c};
      auto bytes = body.begin();
      for (auto parts = random() % 6 + 1; parts > 0; --parts) {
        const auto text = text_of(random, random() % 3 == 0 ? random() % 300'000 : random() % 200);
        expected += text;
        if (c == coding::identity || random() % 2 == 0) {
          bytes += body.plain(text);
          continue;
        }
        const auto part = compress(c, text);
        body.add(part.sum);
        bytes += part.bytes;
      }
      bytes += body.plain("]");
      bytes += body.end();
      ASSERT_EQ(decoded(c, bytes), expected + "]") << name_of(c) << ", seed " << seed;
    }
}

TEST(CodingTest, OnePartServesManyBodies) {
  const auto text = std::string(5'000, 'x');
  for (const auto c : {coding::gzip, coding::zstd}) {
    const auto part = compress(c, text);
    for (const std::string before : {"[", "[1,"}) {
      coded_body body{c};
      auto bytes = body.begin() + body.plain(before);
      body.add(part.sum);
      bytes += part.bytes + body.end();
      EXPECT_EQ(decoded(c, bytes), before + text);
    }
  }
}

TEST(CodingTest, RowsBecomeMuchSmaller) {
  std::mt19937 random{1};
  std::string rows;
  for (int i = 0; i < 1'000; ++i)
    rows += R"({"key":"\"public\".\"items\"/\")" + std::to_string(random() % 1'000) +
            R"("","value":{"id":"7","done":"f"},"headers":{"operation":"insert"}},)";
  for (const auto c : {coding::gzip, coding::zstd})
    EXPECT_LT(compress_whole(c, rows).size(), rows.size() / 5) << name_of(c);
}

TEST(CodingTest, NoiseGrowsByLittle) {
  std::mt19937 random{2};
  std::string noise(1'000'000, '\0');
  for (auto& byte : noise)
    byte = static_cast<char>(random());
  for (const auto c : {coding::gzip, coding::zstd}) {
    const auto bytes = compress_whole(c, noise);
    EXPECT_LT(bytes.size(), noise.size() + 1'000);
    EXPECT_EQ(decoded(c, bytes), noise);
  }
}

TEST(CodingTest, AnEmptyTextIsStillABody) {
  EXPECT_EQ(gunzipped(compress_whole(coding::gzip, "")), "");
  EXPECT_EQ(unzstd(compress_whole(coding::zstd, "")), "");
}

} // namespace
} // namespace busbar
