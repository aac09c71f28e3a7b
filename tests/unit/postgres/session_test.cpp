// What sessions begin with, by the version of the server.
#include "postgres/known_faults.hpp"
#include "postgres/session.hpp"

#include <gmock/gmock.h>

namespace busbar::postgres {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// F34
TEST(SessionTest, ALimitOfWholeTransactionsIsLiftedWhereThereIsOne) {
  for (const int version : {140018, 150013, 160009, 170005, 180001}) {
    SCOPED_TRACE(version);
    EXPECT_THAT(pinned(version), AllOf(HasSubstr("SET LOCAL statement_timeout = 0;"),
                                       Not(HasSubstr("SET statement_timeout"))));
    EXPECT_THAT(pinned_for_replication(version),
                AllOf(HasSubstr("SET statement_timeout = 0;"), Not(HasSubstr("LOCAL")),
                      HasSubstr("SET bytea_output = 'hex'")));
    const bool has_limit = version >= 170000;
    EXPECT_EQ(pinned(version).find("SET LOCAL transaction_timeout = 0;") != std::string::npos,
              has_limit);
    EXPECT_EQ(pinned_for_replication(version).find("; SET transaction_timeout = 0") !=
                  std::string::npos,
              has_limit);
  }
}

TEST(KnownFaultsTest, ReleasesAreTakenForWhatTheyAre) {
  for (const int version : {140000, 140017, 150012, 160008, 170004})
    EXPECT_THAT(decoding_fault(version), HasSubstr("can be lost")) << version;
  for (const int version : {140018, 150013, 160009, 170005})
    EXPECT_THAT(decoding_fault(version), HasSubstr("memory")) << version;
  for (const int version : {140019, 150014, 150020, 160010, 170006, 180000, 190001})
    EXPECT_THAT(decoding_fault(version), IsEmpty()) << version;
}

} // namespace
} // namespace busbar::postgres
