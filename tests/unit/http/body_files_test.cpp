#include "http/body_files.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace busbar::http {
namespace {

constexpr std::size_t body_bytes = 100'000;

shared_bytes body_of(char c) {
  return share(std::string(body_bytes, c));
}

/// Whether the body has a file after being sent some times.
bool heat(body_files& files, const shared_bytes& body) {
  body_file found;
  for (int i = 0; i < 4; ++i)
    found = files.find(body);
  return found != nullptr;
}

TEST(BodyFiles, ABodyThatIsSentAgainAndAgainGetsAFileWithItsBytes) {
  body_files files{1'000'000};
  const auto body = body_of('a');
  EXPECT_FALSE(files.find(body)) << "most bodies are sent once";
  ASSERT_TRUE(heat(files, body));
  const auto file = files.find(body);
  std::string content(body_bytes + 2, '\0');
  EXPECT_EQ(::pread(file->get(), content.data(), content.size(), 0),
            static_cast<ssize_t>(body_bytes + 1));
  content.pop_back();
  EXPECT_TRUE(content == *body + body_end);
  EXPECT_EQ(files.find(body), file) << "the same one for all clients";
}

TEST(BodyFiles, BodiesThatAreTooSmallOrTooLargeHaveNone) {
  body_files files{1'000'000};
  EXPECT_FALSE(heat(files, share(std::string(body_files::body_bytes_min - 1, 'x'))));
  EXPECT_FALSE(heat(files, share(std::string(1'000'001, 'x'))));
  EXPECT_FALSE(heat(files, nullptr));
}

TEST(BodyFiles, WhatIsStillSentIsNotPushedOut) {
  body_files files{body_bytes + body_bytes / 2};
  const auto first = body_of('a');
  const auto second = body_of('b');
  ASSERT_TRUE(heat(files, first));
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(files.find(first));
    EXPECT_FALSE(files.find(second));
  }
}

TEST(BodyFiles, WhatIsNoLongerSentMakesRoom) {
  body_files files{body_bytes + body_bytes / 2};
  const auto first = body_of('a');
  const auto second = body_of('b');
  ASSERT_TRUE(heat(files, first));
  const auto in_use = files.find(first);
  heat(files, second);
  EXPECT_TRUE(heat(files, second));
  EXPECT_FALSE(files.find(first));
  char byte = 0;
  EXPECT_EQ(::pread(in_use->get(), &byte, 1, 0), 1) << "a file lives as long as somebody sends it";
  EXPECT_EQ(byte, 'a');
}

TEST(BodyFiles, WhatNobodyKeepsMakesRoomAtOnce) {
  body_files files{body_bytes + body_bytes / 2};
  auto first = body_of('a');
  ASSERT_TRUE(heat(files, first));
  first.reset();
  EXPECT_TRUE(heat(files, body_of('b')));
}

} // namespace
} // namespace busbar::http
