#include "cluster/pending_asks.hpp"

#include <gtest/gtest.h>

namespace busbar::cluster {
namespace {

using namespace std::chrono_literals;

class PendingAsks : public testing::Test {
protected:
  std::optional<std::uint64_t> add(const void* owner, deadline until) {
    pending_asks::answer then = [this](const result<std::string>& said) {
      heard_.push_back(said ? *said : said.error().message);
    };
    return asks_.add(owner, until, then);
  }

  int one_link_ = 0;
  int other_link_ = 0;
  deadline now_ = deadline{} + 1h;
  std::vector<std::string> heard_;
  pending_asks asks_{3};
};

TEST_F(PendingAsks, AQuestionLeavesOnce) {
  const auto id = add(&one_link_, now_);
  ASSERT_TRUE(id);
  EXPECT_FALSE(asks_.take(*id, &other_link_)) << "another link knows nothing of it";
  const auto then = asks_.take(*id, &one_link_);
  ASSERT_TRUE(then);
  then(std::string{"yes"});
  EXPECT_FALSE(asks_.take(*id, &one_link_));
  EXPECT_EQ(asks_.take_due(now_).size(), 0u);
  EXPECT_EQ(asks_.take_all_of(&one_link_).size(), 0u);
  EXPECT_EQ(heard_, std::vector<std::string>{"yes"});
}

TEST_F(PendingAsks, WhatIsDueLeavesInTheOrderOfItsTime) {
  add(&one_link_, now_ + 2s);
  add(&one_link_, now_ + 1s);
  add(&one_link_, now_ + 3s);
  EXPECT_EQ(asks_.next_due(), now_ + 1s);
  EXPECT_EQ(asks_.take_due(now_ + 2s).size(), 2u);
  EXPECT_EQ(asks_.next_due(), now_ + 3s);
}

TEST_F(PendingAsks, ALinkTakesItsQuestionsWithIt) {
  add(&one_link_, now_);
  add(&other_link_, now_);
  add(&one_link_, now_);
  EXPECT_EQ(asks_.take_all_of(&one_link_).size(), 2u);
  EXPECT_EQ(asks_.size(), 1u);
}

TEST_F(PendingAsks, TheyAreBounded) {
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(add(&one_link_, now_));
  EXPECT_FALSE(add(&one_link_, now_));
  asks_.take_due(now_);
  EXPECT_TRUE(add(&one_link_, now_));
}

} // namespace
} // namespace busbar::cluster
