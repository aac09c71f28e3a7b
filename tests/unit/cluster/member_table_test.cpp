#include "cluster/member_table.hpp"

#include <gtest/gtest.h>

namespace busbar::cluster {
namespace {

using namespace std::chrono_literals;

class MemberTable : public testing::Test {
protected:
  static member_status status(std::string name, member_role role = member_role::follower,
                              std::uint64_t term = 0) {
    member_status out;
    out.name = std::move(name);
    out.role = role;
    out.term = term;
    return out;
  }
  bool hear(member_status what) {
    const auto changed = table_.heard(std::move(what), std::nullopt, now_);
    EXPECT_TRUE(changed);
    return changed && *changed;
  }
  std::optional<std::chrono::milliseconds> away(const std::string& name) const {
    for (const auto& view : table_.views(now_))
      if (view.status.name == name)
        return view.away_for;
    ADD_FAILURE() << name << " is not known";
    return {};
  }

  deadline now_ = deadline{} + 1h;
  member_table table_{1500ms, 60s};
};

TEST_F(MemberTable, WhoIsListedIsAwayUntilItIsHeard) {
  table_.list({"a"}, now_);
  now_ += 2s;
  EXPECT_EQ(away("a"), 2s);
  EXPECT_TRUE(hear(status("a")));
  EXPECT_EQ(away("a"), std::nullopt);
}

TEST_F(MemberTable, WhoIsSilentIsAwayAndThatIsFoundOnce) {
  hear(status("a"));
  now_ += 1499ms;
  EXPECT_FALSE(table_.look(now_));
  EXPECT_EQ(away("a"), std::nullopt);
  now_ += 1ms;
  EXPECT_EQ(table_.next_look(), now_);
  EXPECT_TRUE(table_.look(now_));
  EXPECT_FALSE(table_.look(now_));
  EXPECT_EQ(away("a"), 1500ms);
  EXPECT_TRUE(hear(status("a"))) << "it is back";
}

TEST_F(MemberTable, OnlyWhatOthersActByIsAChange) {
  hear(status("a"));
  auto next = status("a");
  next.sequence = 99;
  next.clients = 7;
  EXPECT_FALSE(hear(next));
  next.term = 3;
  EXPECT_TRUE(hear(next));
  next.role = member_role::leader;
  EXPECT_TRUE(hear(next));
  next.in_sync = true;
  EXPECT_TRUE(hear(next));
  next.leader = "b";
  EXPECT_TRUE(hear(next));
  next.draining = true;
  EXPECT_TRUE(hear(next));
  next.may_lead = true;
  EXPECT_TRUE(hear(next));
  EXPECT_FALSE(hear(next));
}

TEST_F(MemberTable, TheHighestTermLeads) {
  const auto self = status("self");
  EXPECT_EQ(table_.leader(self, now_), std::nullopt);
  hear(status("a", member_role::leader, 5));
  hear(status("b", member_role::leader, 6));
  hear(status("c", member_role::follower, 7));
  EXPECT_EQ(table_.leader(self, now_), "b");
  EXPECT_EQ(table_.leader(status("self", member_role::leader, 7), now_), "self");
  EXPECT_EQ(table_.leader(status("self", member_role::leader, 4), now_), "b");
}

TEST_F(MemberTable, WhoIsAwayDoesNotLead) {
  hear(status("a", member_role::leader, 5));
  now_ += 1s;
  hear(status("b", member_role::leader, 4));
  EXPECT_EQ(table_.leader(status("self"), now_), "a");
  now_ += 600ms;
  EXPECT_EQ(table_.leader(status("self"), now_), "b");
}

TEST_F(MemberTable, WhoIsGoneForLongIsForgottenUnlessItIsListed) {
  table_.list({"a"}, now_);
  hear(status("a"));
  hear(status("b"));
  now_ += 61s;
  EXPECT_TRUE(table_.look(now_));
  ASSERT_EQ(table_.views(now_).size(), 1u);
  EXPECT_EQ(table_.views(now_)[0].status.name, "a");
  EXPECT_EQ(table_.next_look(), std::nullopt) << "there is nothing to wait for";
}

TEST_F(MemberTable, NamesAreBounded) {
  for (int i = 0; i < 128; ++i)
    hear(status("member " + std::to_string(i)));
  EXPECT_FALSE(table_.heard(status("one more"), std::nullopt, now_));
  EXPECT_FALSE(hear(status("member 5")));
}

} // namespace
} // namespace busbar::cluster
