// Tokens and keys: what is signed is believed, by its own kind of key, and nothing else is.
#include "tests/unit/gate/issuer.hpp"

#include <gtest/gtest.h>

#include <random>

#include "gate/key.hpp"
#include "gate/token.hpp"

namespace busbar::gate {
namespace {

using test::base64url;
using test::issuer;

const std::string claims = R"({"sub":"somebody","exp":4000000000})";

std::vector<issuer>& issuers() {
  static auto all = [] {
    std::vector<issuer> made;
    for (const auto* alg : {"HS256", "RS256", "ES256", "EdDSA"})
      made.emplace_back(alg);
    return made;
  }();
  return all;
}

bool is_good(const std::string& text, const key_set& keys) {
  const auto token = parse_token(text);
  return token && keys.verifier_of(*token) != nullptr;
}

key_set keys_of(const issuer& who) {
  const auto read = read_keys(who.secret_.empty() ? who.pem() : who.secret_, true);
  EXPECT_TRUE(read) << (read ? "" : read.error().message);
  return *read;
}

TEST(Key, VerifiesWhatItsOwnerHasSigned) {
  for (const auto& who : issuers()) {
    EXPECT_TRUE(is_good(who.token(claims), keys_of(who))) << who.alg();
    const auto set = read_keys(R"({"keys":[)" + who.jwk("k1") + "]}", true);
    ASSERT_TRUE(set) << who.alg() << set.error().message;
    EXPECT_TRUE(is_good(who.token(claims, "k1"), *set)) << who.alg();
    EXPECT_TRUE(is_good(who.token(claims), *set)) << who.alg();
    EXPECT_FALSE(is_good(who.token(claims, "k2"), *set)) << who.alg();
    EXPECT_EQ(set->keys.front().fingerprint(), keys_of(who).keys.front().fingerprint());
  }
}

TEST(Key, RefusesTokensOfOthers) {
  for (const auto& who : issuers()) {
    for (const auto& other : issuers())
      EXPECT_EQ(is_good(who.token(claims), keys_of(other)), &who == &other)
          << who.alg() << other.alg();
    if (who.secret_.empty()) {
      EXPECT_FALSE(is_good(issuer{who.alg()}.token(claims), keys_of(who))) << who.alg();
    }
  }
}

TEST(Key, IsNeverTakenForAKeyOfAnotherAlgorithm) {
  // The public key as the secret of HS256.
  for (const auto& who : issuers()) {
    if (!who.secret_.empty())
      continue;
    issuer forger{"HS256"};
    for (const auto& secret : {who.pem(), who.jwk("k1")}) {
      forger.secret_ = secret;
      EXPECT_FALSE(is_good(forger.token(claims), keys_of(who)));
    }
  }
  for (const auto& who : issuers())
    for (const auto* alg : {"none", "None", "HS256", "HS384", "RS256", "RS512", "PS256", "ES256",
                            "ES384", "EdDSA", "hs256", ""})
      EXPECT_EQ(
          is_good(who.token_of(R"({"alg":")" + std::string{alg} + R"("})", claims), keys_of(who)),
          alg == who.alg())
          << alg << " by " << who.alg();
}

TEST(Key, SeesEachBitOfSignatureAndText) {
  for (const auto& who : issuers()) {
    const auto keys = keys_of(who);
    const auto good = who.token(claims);
    std::size_t changed = 0;
    for (std::size_t i = 0; i < good.size(); i += 3) {
      auto bad = good;
      bad[i] = bad[i] == 'A' ? 'B' : 'A';
      EXPECT_FALSE(is_good(bad, keys)) << who.alg() << " at " << i;
      ++changed;
    }
    EXPECT_GT(changed, 30u);
    EXPECT_FALSE(is_good(good.substr(0, good.rfind('.') + 1), keys));
    EXPECT_FALSE(is_good(good.substr(0, good.size() - 4), keys));
    EXPECT_FALSE(is_good(good + "AAAA", keys));
  }
}

TEST(Key, SignatureHasOneSpellingOnly) {
  const auto& who = issuers().front();
  const auto good = who.token(claims);
  int verified = 0;
  for (const char last : std::string_view{"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                          "0123456789-_="}) {
    auto one = good;
    one.back() = last;
    verified += is_good(one, keys_of(who)) ? 1 : 0;
  }
  EXPECT_EQ(verified, 1);
}

TEST(Key, IsRefusedIfItIsPrivateSmallOrUnknown) {
  const auto why = [](const std::string& text, bool may_be_secret = true) {
    const auto read = read_keys(text, may_be_secret);
    return read ? std::string{"(accepted)"} : read.error().message;
  };
  EXPECT_NE(why("too short").find("32 bytes"), std::string::npos);
  EXPECT_NE(why("-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----").find("public half"),
            std::string::npos);
  EXPECT_NE(
      why("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----").find("cannot be read"),
      std::string::npos);
  EXPECT_NE(why("{").find("JSON"), std::string::npos);
  EXPECT_NE(why(R"({"keys":[]})").find("no keys"), std::string::npos);
  EXPECT_NE(why(R"({"keys":[{"kty":"EC","crv":"P-521"}]})").find("cannot be used"),
            std::string::npos);
  const auto& secret = issuers().front();
  EXPECT_NE(why(R"({"keys":[)" + secret.jwk("k") + "]}", false).find("everybody"),
            std::string::npos);
  EXPECT_NE(why(secret.secret_, false).find("no key set"), std::string::npos);
  auto other = issuers()[1].jwk("k");
  other.insert(other.size() - 1, R"(,"alg":"PS256")");
  EXPECT_NE(why(other).find("PS256"), std::string::npos);
  EXPECT_NE(why(other.substr(0, other.size() - 15) + R"(,"d":"AAAA"})").find("private"),
            std::string::npos);
}

TEST(Token, IsReadStrictly) {
  const auto& who = issuers().front();
  const auto why = [](const std::string& text) {
    const auto read = parse_token(text);
    return read ? std::string{"(accepted)"} : read.error().message;
  };
  for (const auto* header : {"", "[]", "null", "{", "{}", R"({"alg":1})", R"({"alg":"none"})",
                             R"({"alg":"HS256 "})", R"({"alg":"HS256","crit":[]})",
                             R"({"alg":"HS256","b64":true})", R"({"alg":"HS256","kid":5})",
                             R"({"alg":"HS256","typ":"JWE"})", R"({"alg":"HS256","typ":5})"})
    EXPECT_NE(why(who.token_of(header, claims)), "(accepted)") << header;
  for (const auto* text :
       {"", ".", "..", "...", "a.b", "a.b.c.d.e", "AA==.AA.AA", "A.A.A", "\xff.."})
    EXPECT_NE(why(text), "(accepted)") << text;
  EXPECT_NE(why(std::string(token_bytes_max + 1, 'A')), "(accepted)");
  EXPECT_EQ(why(who.token_of(R"({"alg":"HS256","typ":"at+jwt","x5u":"http://x"})", claims)),
            "(accepted)");
}

/// Whatever comes, it is read or refused; and what was not signed is not believed.
TEST(Token, OfAnyBytesIsHarmless) {
  std::mt19937 random{20261123};
  std::vector<std::string> seeds;
  key_set keys;
  for (const auto& who : issuers()) {
    seeds.push_back(who.token(claims, "k"));
    keys.keys.push_back(keys_of(who).keys.front());
  }
  const auto below = [&](std::size_t n) { return random() % n; };
  for (int round = 0; round < 4'000; ++round) {
    auto text = seeds[below(seeds.size())];
    const auto original = text;
    for (auto cuts = below(4) + 1; cuts > 0 && !text.empty(); --cuts) {
      const auto at = below(text.size());
      switch (below(5)) {
      case 0:
        text[at] = static_cast<char>(random());
        break;
      case 1:
        text.erase(at, below(20));
        break;
      case 2:
        text.insert(at, seeds[below(seeds.size())].substr(below(60), below(60)));
        break;
      case 3:
        text.insert(at, 1, '.');
        break;
      default: { // another header or claims, well encoded
        const auto dot = text.find('.');
        std::string made(below(40), '{');
        for (auto& c : made)
          c = R"({}[]":,algHS256none\u0000 )"[below(27)];
        text = base64url(made) + (dot == std::string::npos ? "." : text.substr(dot));
      }
      }
    }
    EXPECT_TRUE(text == original || !is_good(text, keys)) << text;
  }
}

} // namespace
} // namespace busbar::gate
