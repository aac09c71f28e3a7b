// Claims and policies: what a token says is bound as it is, and what a policy says is understood or
// refused.
#include <gtest/gtest.h>

#include "gate/confine.hpp"
#include "gate/grant.hpp"
#include "gate/policy.hpp"
#include "gate/tenants.hpp"

namespace busbar::gate {
namespace {

using namespace std::chrono_literals;

const wall_time noon{1'800'000'000s};

result<claims> read(const std::string& json, const expectations& expected = {}) {
  return claims::read(json, expected, noon);
}
claims bearer(const std::string& members) {
  return *read(R"({"exp":1800000100,)" + members + "}");
}
std::string why(const std::string& json, const expectations& expected = {}) {
  const auto out = read(json, expected);
  return out ? "(accepted)" : out.error().message;
}
std::string why_policy(const std::string& yaml) {
  const auto out = parse_policy(yaml);
  return out ? "(accepted)" : out.error().message;
}

TEST(Claims, HoldForTheirTimeAndTheSkew) {
  EXPECT_EQ(why(R"({"exp":1800000001})"), "(accepted)");
  EXPECT_EQ(why(R"({"exp":1800000000.9})"), "the token has expired");
  EXPECT_EQ(why(R"({"exp":1800000000})"), "the token has expired");
  EXPECT_EQ(why(R"({"exp":1799999971})", {.issuer = {}, .audience = {}, .clock_skew = 30s}),
            "(accepted)");
  EXPECT_EQ(why(R"({"exp":1799999970})", {.issuer = {}, .audience = {}, .clock_skew = 30s}),
            "the token has expired");
  EXPECT_EQ(why(R"({"exp":1900000000,"nbf":1800000001})"), "the token is not valid yet");
  EXPECT_EQ(why(R"({"exp":1900000000,"nbf":1800000030})",
                {.issuer = {}, .audience = {}, .clock_skew = 30s}),
            "(accepted)");
  for (const auto* claims :
       {R"({})", R"({"exp":"1900000000"})", R"({"exp":null})", R"({"exp":-1})", R"({"exp":1e300})",
        R"({"exp":1900000000,"nbf":"x"})", R"([])", R"()", R"({"exp":[1900000000]})"})
    EXPECT_NE(why(claims), "(accepted)") << claims;
}

TEST(Claims, AreForOneIssuerAndAudience) {
  const expectations expected{.issuer = "i", .audience = "a", .clock_skew = {}};
  const auto with = [](const std::string& rest) { return R"({"exp":1900000000)" + rest + "}"; };
  EXPECT_EQ(why(with(R"(,"iss":"i","aud":"a")"), expected), "(accepted)");
  EXPECT_EQ(why(with(R"(,"iss":"i","aud":["b","a"])"), expected), "(accepted)");
  for (const auto* rest : {"", R"(,"iss":"i")", R"(,"aud":"a")", R"(,"iss":"I","aud":"a")",
                           R"(,"iss":["i"],"aud":"a")", R"(,"iss":"i","aud":"ab")",
                           R"(,"iss":"i","aud":{"a":"a"})", R"(,"iss":"i","aud":[["a"]])"})
    EXPECT_NE(why(with(rest), expected), "(accepted)") << rest;
}

TEST(Claims, BecomeParametersAsTheyAreWritten) {
  const auto who = bearer(R"("t":"a'b","n":7,"big":9007199254740993,"b":true,"f":1.5,"z":null,
    "l":["x",1,"a\"\\b","NULL","{}"],"e":[],"m":["x",null],"o":{"p":{"q":"deep"},"r.s":"dotted"},
    "https://x/y.z":"named","nul":"a\u0000b")");
  const auto text = [&](const char* path) { return who.text(path).value_or("(none)"); };
  EXPECT_EQ(text("t"), "a'b");
  EXPECT_EQ(text("n"), "7");
  EXPECT_EQ(text("big"), "9007199254740993");
  EXPECT_EQ(text("b"), "true");
  EXPECT_EQ(text("l"), R"({"x","1","a\"\\b","NULL","{}"})");
  EXPECT_EQ(text("e"), "{}");
  EXPECT_EQ(text("o.p.q"), "deep");
  EXPECT_EQ(text("o.r.s"), "dotted");
  EXPECT_EQ(text("https://x/y.z"), "named");
  for (const auto* path : {"f", "z", "m", "o", "o.p", "nul", "none", "t.x", "o.", ".o", "", "l.0"})
    EXPECT_EQ(text(path), "(none)") << path;
}

TEST(Policy, GivesTheFirstRuleThatApplies) {
  const auto rules = parse_policy(R"(
tables:
  notes:
    - when: {role: [admin, owner], plan: pro}
      where: true
    - when: {role: member}
      columns: [b, a, b]
      where: agency = ${claim.agency} AND team = ANY(${claim.teams})
  other.notes: {where: "x = ${claim.deep.er} OR y = ${claim.agency}"}
)");
  ASSERT_TRUE(rules) << rules.error().message;
  const auto* admin =
      rules->rule_for("public", "notes", bearer(R"("role":["x","owner"],"plan":"pro")"));
  ASSERT_NE(admin, nullptr);
  EXPECT_TRUE(admin->rows.is_true());
  EXPECT_EQ(rules->rule_for("public", "notes", bearer(R"("role":"owner")")), nullptr);
  EXPECT_EQ(rules->rule_for("public", "notes", bearer(R"("role":{"x":"owner"})")), nullptr);
  EXPECT_EQ(rules->rule_for("public", "Notes", bearer(R"("role":"member")")), nullptr);
  const auto who = bearer(R"("role":"member","agency":"x","teams":[1,2],"deep":{"er":5})");
  const auto* member = rules->rule_for("public", "notes", who);
  ASSERT_NE(member, nullptr);
  const auto guard = bind(*member, who);
  ASSERT_TRUE(guard);
  EXPECT_EQ(guard->rows.text(), R"((("agency" = $1) AND ("team" = ANY ($2))))");
  EXPECT_EQ(guard->values, (std::vector<std::string>{"x", R"({"1","2"})"}));
  EXPECT_EQ(guard->columns, (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(bind(*member, bearer(R"("role":"member","agency":"x")")));
  EXPECT_NE(rules->rule_for("other", "notes", who), nullptr);
}

TEST(Policy, IsRefusedWithTheLineThatIsWrong) {
  EXPECT_EQ(why_policy("tables: {t: {where: true}}\nversion: 1\ntenant: x\nlimits: {live: 3}"),
            "(accepted)");
  EXPECT_EQ(why_policy("tables:\n  t: {where: true, column: [a]}"),
            "line 2: 'column' is none of when, columns and where");
  for (const auto* yaml : {"",
                           "- a",
                           "tables: {t: }",
                           "tables: {t: []}\nx: 1",
                           "tables: {t: {columns: [a]}}",
                           "tables: {t: {where: 'a ='}}",
                           "tables: {t: {where: \"a = '${claim.x}'\"}}",
                           "tables: {t: {where: 'a = 1 -- ${claim.x}'}}",
                           "tables: {t: {where: 'a = $1'}}",
                           "tables: {t: {where: 'a = $30000 AND b = ${claim.x}'}}",
                           "tables: {t: {where: 'a = ${x}'}}",
                           "tables: {t: {where: 'a = ${claim.}'}}",
                           "tables: {t: {where: 'a = ${claim.x'}}",
                           "tables: {t: {where: 'a = ${claim.x}${claim.y}'}}",
                           "tables: {t: {where: [true]}}",
                           "tables: {t: {where: true, columns: a}}",
                           "tables: {t: {where: true, columns: []}}",
                           "tables: {t: {where: true, when: x}}",
                           "tables: {t: {where: true}, public.t: {where: true}}",
                           "version: 2\ntables: {t: {where: true}}",
                           "tables: {t: {where: true}}\nlimits: {live: 1}",
                           "tables: {t: {where: true}}\ntenant: x\nlimits: {lives: 1}",
                           "tables: {t: {where: true}}\ntenant: x\nlimits: {live: -1}",
                           "tables: {t: {where: true}}\n---\ntables: {u: {where: true}}",
                           "tables: {t: {where: &a *a}}",
                           "tables: [",
                           "\t",
                           "tables: {t: {where: true}, <<: {u: {where: true}}}"})
    EXPECT_NE(why_policy(yaml), "(accepted)") << yaml;
}

TEST(Confine, WritesOutTheColumnsAndForgetsTheQueryable) {
  const auto rules = parse_policy("tables: {t: {where: 'a = ${claim.a}', columns: [a, b, c]}}");
  ASSERT_TRUE(rules);
  const auto who = bearer(R"("a":"x")");
  asked all;
  all.shape.table = "t";
  ASSERT_TRUE(confine(all, *rules, who));
  EXPECT_EQ(all.shape.columns, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(all.shape.where, R"(("a" = $1))");
  asked some;
  some.shape.table = "t";
  some.subset = subset_request{.where = "c = 1"};
  some.shape.queryable_columns = {"b", "a"};
  const auto outcome = confine(some, *rules, who);
  ASSERT_FALSE(outcome) << "c is not queryable";
  EXPECT_TRUE(outcome.error().forbidden);
  some.subset->where = "b = 1";
  ASSERT_TRUE(confine(some, *rules, who));
  EXPECT_EQ(some.shape.columns, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(some.shape.queryable_columns, std::nullopt);
}

TEST(Grant, SaysWhatIsUnderstoodOnly) {
  const auto granted = [](const std::string& shape) {
    return read_grant(bearer(R"("shape":)" + shape)).has_value();
  };
  EXPECT_TRUE(granted(R"({"table":"t"})"));
  EXPECT_TRUE(granted(R"({"table":"s.t","where":"a = $1","params":["x"],"columns":["a"]})"));
  EXPECT_TRUE(granted(R"({"table":"t","where":"a = $1","params":{"1":"x"}})"));
  for (const auto* shape : {"{}", "[]", "\"t\"", R"({"table":5})", R"({"table":"t","where":5})",
                            R"({"table":"t","where":"a ="})", R"({"table":"t","columns":[]})",
                            R"({"table":"t","columns":"a"})", R"({"table":"t","columns":[1]})",
                            R"({"table":"t","params":[1]})", R"({"table":"t","params":{"2":"x"}})",
                            R"({"table":"t","rows":"all"})"})
    EXPECT_FALSE(granted(shape)) << shape;
}

TEST(Tenant, HasSoMuchAtOnceAndThenAtItsRate) {
  tenant one;
  const tenant_limits limits{.live = 2,
                             .shapes = 2,
                             .snapshots_per_minute = 3,
                             .requests_per_second = 2,
                             .bytes_per_second = 100};
  steady_time now{1h};
  for (int i = 0; i < 4; ++i)
    EXPECT_FALSE(one.enter(limits, now)) << i;
  const auto over = one.enter(limits, now);
  ASSERT_TRUE(over);
  EXPECT_EQ(over->which, limit::requests);
  EXPECT_EQ(over->retry_after, 1u);
  EXPECT_FALSE(one.enter(limits, now += 1s));
  one.sent(limits, 1'000);
  ASSERT_TRUE(one.enter(limits, now));
  EXPECT_EQ(one.enter(limits, now)->which, limit::bytes);
  EXPECT_TRUE(one.overdrawn(limits, now));
  EXPECT_FALSE(one.enter(limits, now += 20s));

  const auto shape = [](unsigned char n) { return digest{n}; };
  EXPECT_FALSE(one.read(limits, shape(1), false, now));
  EXPECT_FALSE(one.read(limits, shape(2), false, now));
  EXPECT_EQ(one.read(limits, shape(3), false, now)->which, limit::shapes);
  EXPECT_FALSE(one.read(limits, shape(1), true, now));
  EXPECT_EQ(one.read(limits, shape(2), true, now)->which, limit::snapshots);
  EXPECT_FALSE(one.read(limits, shape(2), false, now)) << "known shapes go on";
  EXPECT_FALSE(one.read(limits, shape(3), false, now += 11min)) << "those not read are forgotten";

  EXPECT_FALSE(one.begin_live(limits));
  EXPECT_FALSE(one.begin_live(limits));
  EXPECT_EQ(one.begin_live(limits)->which, limit::live);
  one.end_live();
  EXPECT_FALSE(one.begin_live(limits));
  EXPECT_FALSE(one.idle(now + 1h));
}

TEST(Tenants, AreForgottenWhenTheyUseNothing) {
  tenant_book book;
  const tenant_limits limits;
  steady_time now{1h};
  book.find("a")->enter(limits, now);
  const auto kept = book.find("b");
  kept->enter(limits, now);
  EXPECT_EQ(book.find("a"), book.find("a"));
  EXPECT_EQ(book.tidy(now + 1min), 2u);
  EXPECT_EQ(book.tidy(now + 11min), 1u) << "who is held by a token stays";
}

} // namespace
} // namespace busbar::gate
