// What the catalog is asked in the words of each version of PostgreSQL; only one of them is there
// to answer.
#include "postgres/catalog_query.hpp"

#include <gmock/gmock.h>

#include <string>
#include <vector>

namespace busbar::postgres {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int versions[] = {140018, 150013, 160009, 170005, 180001};

/// All that is asked of tables.
std::vector<std::string> questions(int version) {
  return {table_query(version, "public", "items"), facts_query(version, "pub", "1, 2")};
}

TEST(CatalogQueryTest, LocaleProvidersAreAskedForWhereTheyAre) {
  for (const int version : versions)
    for (const auto& sql : questions(version)) {
      SCOPED_TRACE(version);
      EXPECT_THAT(sql, AllOf(HasSubstr("d.datcollate"), HasSubstr("d.datctype")));
      EXPECT_EQ(sql.find("d.datlocprovider") != std::string::npos, version >= 150000) << sql;
    }
}

TEST(CatalogQueryTest, TheBuiltinProviderIsKnownWhereItIs) {
  for (const int version : versions)
    for (const auto& sql : questions(version)) {
      SCOPED_TRACE(version);
      if (version >= 170000)
        EXPECT_THAT(sql, AllOf(HasSubstr("d.datlocprovider = 'b'"), HasSubstr("d.datlocale"),
                               HasSubstr("co.collprovider = 'b'"), HasSubstr("co.colllocale")));
      else
        EXPECT_THAT(sql, AllOf(Not(HasSubstr("= 'b'")), Not(HasSubstr("WHEN 'b'")),
                               Not(HasSubstr("datlocale")), Not(HasSubstr("colllocale"))));
    }
}

TEST(CatalogQueryTest, ListsOfColumnsFiltersAndSchemasAreAskedForWhereTheyAre) {
  for (const int version : versions)
    for (const auto& sql :
         {facts_query(version, "pub", "1"), versions_query(version, "pub", "1")}) {
      SCOPED_TRACE(version);
      EXPECT_THAT(sql, AllOf(HasSubstr("pg_publication_rel"), HasSubstr("p.puballtables")));
      if (version >= 150000)
        EXPECT_THAT(sql,
                    AllOf(HasSubstr("r.prqual IS NOT NULL"), HasSubstr("r.prattrs IS NOT NULL"),
                          HasSubstr("pg_publication_namespace")));
      else
        EXPECT_THAT(sql, AllOf(Not(HasSubstr("prqual")), Not(HasSubstr("prattrs")),
                               Not(HasSubstr("pg_publication_namespace"))));
    }
}

TEST(CatalogQueryTest, APartitionThatIsBeingDetachedIsNone) {
  for (const int version : versions)
    EXPECT_THAT(facts_query(version, "pub", "1"), HasSubstr("NOT i.inhdetachpending"));
}

} // namespace
} // namespace busbar::postgres
