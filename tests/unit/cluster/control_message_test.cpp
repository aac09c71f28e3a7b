#include "cluster/control_message.hpp"

#include <gtest/gtest.h>

#include <random>

namespace busbar::cluster {
namespace {

const std::string key(32, 'k');

control_message creation() {
  return {.term = 42,
          .what = create_shapes{{"48213375-1787299205123456", "16384 public items"}, {"7-8", ""}}};
}

TEST(ControlMessageTest, CreationIsReadBack) {
  const control_codec codec{key, "default"};
  const auto read = codec.decode(codec.encode(creation()));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->term, 42u);
  const auto* create = std::get_if<create_shapes>(&read->what);
  ASSERT_NE(create, nullptr);
  ASSERT_EQ(create->size(), 2u);
  EXPECT_EQ(create->front().handle, "48213375-1787299205123456");
  EXPECT_EQ(create->front().identity, "16384 public items");
  EXPECT_EQ(create->back().handle, "7-8");
}

TEST(ControlMessageTest, DropIsReadBack) {
  const control_codec codec{key, "default"};
  const auto read = codec.decode(codec.encode({.term = 0, .what = drop_shape{"1-2"}}));
  ASSERT_TRUE(read) << read.error().message;
  const auto* drop = std::get_if<drop_shape>(&read->what);
  ASSERT_NE(drop, nullptr);
  EXPECT_EQ(drop->handle, "1-2");
}

TEST(ControlMessageTest, SignatureOfAnotherKeyIsRefused) {
  const control_codec ours{key, "default"};
  const control_codec forger{std::string(32, 'f'), "default"};
  const auto read = ours.decode(forger.encode(creation()));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, errc::invalid_argument);
}

TEST(ControlMessageTest, MessageOfAnotherStreamIsRefused) {
  const control_codec ours{key, "default"};
  const control_codec neighbour{key, "other"};
  const auto read = ours.decode(neighbour.encode(creation()));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, errc::invalid_argument);
}

TEST(ControlMessageTest, EveryFlippedBitIsNoticed) {
  const control_codec codec{key, "default"};
  const auto whole = codec.encode(creation());
  for (std::size_t at = 0; at < whole.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      auto bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
      ASSERT_FALSE(codec.decode(bytes)) << "byte " << at << " bit " << bit;
    }
}

TEST(ControlMessageTest, EveryTruncationAndAnyTailIsNoticed) {
  const control_codec codec{key, "default"};
  const auto whole = codec.encode(creation());
  for (std::size_t size = 0; size < whole.size(); ++size)
    ASSERT_FALSE(codec.decode(std::string_view{whole}.substr(0, size))) << size;
  EXPECT_FALSE(codec.decode(whole + "x"));
  EXPECT_FALSE(codec.decode(whole + std::string(8, '\0')));
}

TEST(ControlMessageTest, WhatAnySqlUserMayWriteIsRefused) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random{seed};
  const control_codec codec{key, "default"};
  for (int round = 0; round < 2'000; ++round) {
    std::string bytes(random() % 200, '\0');
    for (auto& byte : bytes)
      byte = static_cast<char>(random());
    const auto read = codec.decode(bytes);
    ASSERT_FALSE(read);
    ASSERT_EQ(read.error().code, errc::invalid_argument);
  }
}

} // namespace
} // namespace busbar::cluster
