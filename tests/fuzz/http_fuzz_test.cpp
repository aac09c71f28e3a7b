// Requests made up, mutated and spliced: whatever comes, the parsers do not crash, keep their
// invariants, and read the same from the same bytes however these arrive. The same inputs every
// time, unless BUSBAR_TEST_SEED or BUSBAR_FUZZ_ROUNDS say otherwise; run it with sanitizers too.
#include "tests/fuzz/http_input.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

namespace busbar::fuzz {
namespace {

std::uint64_t number_from(const char* name, std::uint64_t usual) {
  const char* given = std::getenv(name);
  return given ? std::strtoull(given, nullptr, 10) : usual;
}

using namespace std::string_view_literals;

/// Whole requests, to be damaged.
constexpr std::array seeds{
    "GET /v1/shape?table=items&offset=-1 HTTP/1.1\r\nhost: a\r\n\r\n"sv,
    "GET /v1/shape?table=%22A%22.b&offset=0_0&handle=h-1&live=true&live_sse HTTP/1.1\r\nhost: a\r\n"
    "if-none-match: \"h:0_0:0_inf\"\r\norigin: http://o\r\n\r\n"sv,
    "HEAD //v1/%73hape/?where=a+%3D+%241&params[1]=5&columns[]=a&table=t&offset=now HTTP/1.0\r\n"
    "connection: keep-alive\r\n\r\n"sv,
    "POST /v1/shape?table=t&offset=-1 HTTP/1.1\r\nhost: a\r\ncontent-length: 27\r\n\r\n"
    "{\"where\":\"a\",\"limit\":\"12\"}x"sv,
    "POST /v1/shape?table=t&offset=-1 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    "9;a=b\r\n{\"subset\"\r\nA\r\n:{\"limit\":\r\n3\r\n1}}\r\n0\r\nt: u\r\n\r\n"sv,
    "DELETE http://h/v1/shape?handle=h&live=false HTTP/1.1\r\nhost: h\r\nx-request-id: "
    "0123456789\r\n"
    "connection: x, close\r\n\r\n"sv,
    "OPTIONS /v1/shape HTTP/1.1\r\nhost: a\r\naccess-control-request-headers: x-a, b\r\n\r\n"sv,
    "\r\n\r\nGET /v1/health HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n\r\n"sv,
    "GET /v1/shape?subset__where=a&subset[limit]=5&subset__params=%7B%221%22:1%7D&table=t"
    "&offset=1_2&handle=h&replica=full&log=changes_only HTTP/1.1\r\nhost: a\r\n\r\n"sv,
};

/// What tells parsers apart.
constexpr std::array morsels{
    "\r\n"sv,
    "\n"sv,
    "\r"sv,
    "\0"sv,
    " "sv,
    "\t"sv,
    ":"sv,
    ","sv,
    ";"sv,
    "%"sv,
    "%zz"sv,
    "%00"sv,
    "%ff"sv,
    "%5B1%5D"sv,
    "[]"sv,
    "["sv,
    "]"sv,
    "&"sv,
    "="sv,
    "+"sv,
    "?"sv,
    "/"sv,
    "//"sv,
    "\xc3\xbc"sv,
    "\xff"sv,
    "\x7f"sv,
    "\""sv,
    "0"sv,
    "-1"sv,
    "18446744073709551616"sv,
    "ffffffff"sv,
    "\r\n\r\n"sv,
    "content-length: 5\r\n"sv,
    "content-length: 5, 5\r\n"sv,
    "Transfer-Encoding: chunked\r\n"sv,
    "transfer-encoding: gzip, chunked\r\n"sv,
    "transfer-encoding:\x0b"
    "chunked\r\n"sv,
    "content-length : 3\r\n"sv,
    "\r\n folded\r\n"sv,
    "host: b\r\n"sv,
    "connection: close\r\n"sv,
    " HTTP/1.0\r\n"sv,
    "0\r\n\r\n"sv,
    "5\r\nhello\r\n"sv,
    "&live=true"sv,
    "&offset=0_inf"sv,
    "&handle=x"sv,
    "&columns=a,\"b\""sv,
    "&params[1][2]=x"sv,
    "&subset__offset=1"sv,
    "&table=a.b.c"sv,
    "{\"where\":"sv,
    "}"sv,
    "\\u0000"sv,
    "1e999"sv,
};

class generator {
public:
  explicit generator(std::uint64_t seed) : random_{seed} {}

  std::string next() {
    std::string input{pick(seeds)};
    if (below(4) == 0)
      input += pick(seeds);
    for (auto damage = below(6); damage > 0; --damage)
      mutate(input);
    return input;
  }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }

private:
  template <std::size_t N>
  std::string_view pick(const std::array<std::string_view, N>& from) {
    return from[below(N)];
  }

  void mutate(std::string& input) {
    const auto at = below(input.size() + 1);
    switch (below(8)) {
    case 0:
    case 1:
    case 2:
      input.insert(at, pick(morsels));
      return;
    case 3:
      input.erase(at, 1 + below(12));
      return;
    case 4:
      if (at < input.size())
        input[at] = static_cast<char>(random_());
      return;
    case 5: // a stretch twice
      input.insert(at, input.substr(below(input.size() + 1), 1 + below(40)));
      return;
    case 6: // a stretch of another
      input.insert(at, pick(seeds).substr(below(40), below(60)));
      return;
    default: // long words reach the limits
      input.insert(at, std::string(below(120), static_cast<char>('a' + below(26))));
      return;
    }
  }

  std::mt19937_64 random_;
};

std::string shown(std::string_view bytes) {
  std::string out;
  std::array<char, 8> hex{};
  for (const char c : bytes)
    if (c >= ' ' && c <= '~' && c != '\\') {
      out += c;
    } else {
      std::snprintf(hex.data(), hex.size(), "\\x%02x", static_cast<unsigned char>(c));
      out += hex.data();
    }
  return out;
}

TEST(HttpFuzz, TheSeedsAreReadAsMeant) {
  for (const auto seed : seeds)
    EXPECT_EQ(fault_shown_by(seed, true), "") << shown(seed);
  const auto text = transcript_of(seeds[4], [](std::size_t from) { return from + 3; });
  EXPECT_NE(text.find("body: {\"subset\":{\"limit\":1}}"), std::string::npos) << text;
  EXPECT_NE(text.find("wrong:subset.limit"), std::string::npos) << text;
}

// F67
TEST(HttpFuzz, AnyBytesAreReadTheSameHoweverTheyArrive) {
  const auto seed = number_from("BUSBAR_TEST_SEED", 1);
  const auto rounds = number_from("BUSBAR_FUZZ_ROUNDS", 100'000);
  std::printf("BUSBAR_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
  generator made{seed};
  std::size_t accepted = 0;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    const auto input = made.next();
    const auto fault = fault_shown_by(input, round % 16 == 0);
    ASSERT_EQ(fault, "") << "round " << round << ", seed " << seed << ": " << shown(input);
    accepted += transcript_of(input, [&](std::size_t) { return input.size(); }).find("head: ") !=
                std::string::npos;
  }
  // A generator of nothing but garbage would show little.
  EXPECT_GT(accepted, rounds / 5);
  EXPECT_LT(accepted, rounds);
}

} // namespace
} // namespace busbar::fuzz
