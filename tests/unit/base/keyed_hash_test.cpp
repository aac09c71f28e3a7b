#include "base/keyed_hash.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace busbar {
namespace {

std::string hex(const digest& d) {
  std::string out;
  append_hex(out, d);
  return out;
}

// Digests are stored: another algorithm, or another way to derive the key, would find nothing that
// is there. The values are SipHash-2-4 of 128 bits, computed elsewhere.
TEST(KeyedHashTest, IsSipHashUnderAKeyDerivedFromSecretAndPurpose) {
  const keyed_hash hash{"secret", "inner values"};
  EXPECT_EQ(hex(hash("")), "0baa0546397bb17e9e80f5dbe9aa7ccf");
  EXPECT_EQ(hex(hash("5")), "696197100f6af1081945c66faf3e322c");
  EXPECT_EQ(hex(hash("fifteen bytes..")), "8705164fa75241dbcd59070d4865adf6");
  const std::string long_one{"a value that is longer than one block\0", 38};
  EXPECT_EQ(hex(hash(long_one)), "11fd2c1602f08913dd419f36bfb6d313");
}

TEST(KeyedHashTest, RemembersNothingOfWhatItHashedBefore) {
  const keyed_hash hash{"secret", "inner values"};
  const auto first = hash("5");
  hash(std::string(1000, 'x'));
  EXPECT_EQ(hash("5"), first);
  EXPECT_EQ((keyed_hash{"secret", "inner values"}("5")), first);
}

TEST(KeyedHashTest, SecretPurposeAndEveryByteMatter) {
  std::set<digest> seen;
  for (const auto* secret : {"secret", "Secret", ""})
    for (const auto* purpose : {"inner values", "tags of h1", "tags of h2"})
      for (const auto& bytes : {std::string{}, std::string{"\0", 1}, std::string{"\0\0", 2},
                                std::string{"5"}, std::string{"5\0", 2}})
        EXPECT_TRUE(seen.insert(keyed_hash{secret, purpose}(bytes)).second)
            << secret << ", " << purpose << ", " << bytes.size() << " bytes";
}

TEST(KeyedHashTest, IsWrittenAsTwoDigitsAByteBehindWhatIsThere) {
  std::string out = "x";
  append_hex(out, digest{0x00, 0x01, 0x0f, 0x10, 0xab, 0xff});
  EXPECT_EQ(out, "x00010f10abff00000000000000000000");
}

TEST(KeyedHashTest, ADigestIsSeenAsItsBytes) {
  const digest d{'a', 0, 'b'};
  EXPECT_EQ(bytes_of(d), (std::string{"a\0b", 3} + std::string(13, '\0')));
}

} // namespace
} // namespace busbar
