#include "postgres/belongings.hpp"
#include "postgres/inspection.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace busbar::postgres {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::array versions{140000, 150004, 160002, 170001, 180000};

class Inspection : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(EveryVersion, Inspection, ::testing::ValuesIn(versions),
                         [](const auto& v) { return std::to_string(v.param / 10000); });

/// A column that a version lacks makes it refuse the whole question.
void expect_from(const std::string& question, const std::string& word, int version, int first) {
  if (version >= first)
    EXPECT_THAT(question, HasSubstr(word)) << version;
  else
    EXPECT_THAT(question, Not(HasSubstr(word))) << version;
}

TEST_P(Inspection, ASlotsCauseOfDeathIsAskedForWhereItIsTold) {
  const auto question = slot_question(GetParam(), "s");
  expect_from(question, "invalidation_reason", GetParam(), 170000);
  if (GetParam() / 10000 == 16)
    EXPECT_THAT(question, HasSubstr("s.conflicting"));
  else
    EXPECT_THAT(question, Not(HasSubstr("conflicting")));
}

TEST_P(Inspection, WhatAPublicationGainedIsAskedForFromItsVersionOn) {
  const auto publication = publication_question(GetParam(), "p");
  expect_from(publication, "pg_publication_namespace", GetParam(), 150000);
  expect_from(publication, "pubgencols", GetParam(), 180000);
  const auto leaves = leaves_question(GetParam(), "p");
  expect_from(leaves, "pg_publication_namespace", GetParam(), 150000);
  expect_from(leaves, "prqual", GetParam(), 150000);
  expect_from(leaves, "prattrs", GetParam(), 150000);
}

TEST_P(Inspection, TheTimeoutOfIdleSlotsIsAskedForFromEighteenOn) {
  expect_from(server_question(GetParam()), "idle_replication_slot_timeout", GetParam(), 180000);
}

TEST_P(Inspection, EveryQuestionPinsItsSearchPathForItsTransactionOnly) {
  for (const auto& question :
       {server_question(GetParam()), role_question(), slot_question(GetParam(), "s"),
        publication_question(GetParam(), "p"), leaves_question(GetParam(), "p")})
    EXPECT_THAT(question, ::testing::StartsWith("SET LOCAL search_path = ''; "));
}

TEST_P(Inspection, NamesAreQuoted) {
  EXPECT_THAT(slot_question(GetParam(), "o'x"), HasSubstr("'o''x'"));
  EXPECT_THAT(publication_question(GetParam(), "o'x"), HasSubstr("'o''x'"));
  EXPECT_THAT(leaves_question(GetParam(), "o'x"), HasSubstr("'o''x'"));
}

const stream_settings stream{.url = connection_url::parse("postgresql://u@h/d").value(),
                             .stream_id = "x"};

slot_inspection a_slot() {
  slot_inspection slot;
  slot.type = "logical";
  slot.is_here = true;
  return slot;
}

TEST(Belongings, TheSlotGoesBeforeThePublication) {
  publication_inspection publication;
  publication.owned = true;
  EXPECT_THAT(removal({a_slot(), publication}, stream),
              ElementsAre("SELECT pg_catalog.pg_drop_replication_slot('busbar_slot_x');",
                          "DROP PUBLICATION \"busbar_publication_x\";"));
}

TEST(Belongings, WhatIsSomebodyElsesStays) {
  auto slot = a_slot();
  slot.is_here = false;
  EXPECT_THAT(removal({slot, publication_inspection{}}, stream), IsEmpty());
  slot.is_here = true;
  slot.type = "physical";
  EXPECT_THAT(removal({slot, std::nullopt}, stream), IsEmpty());
}

TEST(LeaderLock, DiffersBySlot) {
  EXPECT_NE(leader_lock("busbar_slot_a"), leader_lock("busbar_slot_b"));
}

} // namespace
} // namespace busbar::postgres
