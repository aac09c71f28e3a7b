#include "shapes/tenant.hpp"

#include <gtest/gtest.h>

namespace busbar {
namespace {

TEST(Tenant, IsTheValueThatTheClauseSetsTheColumnEqualTo) {
  EXPECT_EQ(tenant_of("tenant_id = 'acme'", {}, "tenant_id"), "acme");
  EXPECT_EQ(tenant_of("'acme' = tenant_id", {}, "tenant_id"), "acme");
  EXPECT_EQ(tenant_of("tenant_id = 42", {}, "tenant_id"), "42");
  EXPECT_EQ(tenant_of("tenant_id = $2", {"1", "two"}, "tenant_id"), "two");
  EXPECT_EQ(tenant_of("tenant_id = '7'::int8", {}, "tenant_id"), "7");
  EXPECT_EQ(tenant_of("tenant_id = $1::uuid", {"u"}, "tenant_id"), "u");
}

TEST(Tenant, MayBePartOfAnAnd) {
  EXPECT_EQ(tenant_of("done AND (x > 1 AND tenant_id = 'a') AND y = 2", {}, "tenant_id"), "a");
}

TEST(Tenant, IsNobodyWhereTheClauseLeavesItOpen) {
  for (const auto* clause :
       {"", "x = 1", "tenant_id <> 'a'", "tenant_id = 'a' OR x = 1", "NOT tenant_id = 'a'",
        "tenant_id IN ('a', 'b')", "tenant_id = other", "tenant_id = $3", "tenant_id IS NULL",
        "tenant_id = ", "other_tenant_id = 'a'"})
    EXPECT_EQ(tenant_of(clause, {"p"}, "tenant_id"), std::nullopt) << clause;
  EXPECT_EQ(tenant_of("tenant_id = 'a'", {}, ""), std::nullopt);
}

} // namespace
} // namespace busbar
