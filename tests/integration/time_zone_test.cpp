// Our reading of the zone files against PostgreSQL's, for all zones.

#include "sql/time_zone.hpp"
#include "tests/integration/postgres_server.hpp"

#include <charconv>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>

namespace busbar::testing {
namespace {

using TimeZoneTest = PostgresTest;

std::int64_t number(std::optional<std::string_view> text) {
  std::int64_t out = 0;
  if (text)
    std::from_chars(text->data(), text->data() + text->size(), out);
  return out;
}

TEST_F(TimeZoneTest, EveryZoneIsReadAsPostgresReadsIt) {
  const auto* chosen = std::getenv("BUSBAR_TEST_SEED");
  const auto seed = chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : std::random_device{}();
  std::cout << "BUSBAR_TEST_SEED=" << seed << "\n";
  std::mt19937_64 random{seed};
  // Moments of three centuries, and around the hours in which clocks are changed.
  std::string moments = "(0)";
  std::uniform_int_distribution<std::int64_t> any{-5'000'000'000, 20'000'000'000};
  for (int i = 0; i < 40; ++i)
    moments += ", (" + std::to_string(any(random)) + ")";
  for (const auto change : {1'710'054'000, 1'730'610'000, 1'711'846'800, 1'729'990'800,
                            1'696'086'000, 1'712'415'600}) // American, European, Australian
    for (int minutes = -90; minutes <= 90; minutes += 30)
      for (int hours = -12; hours <= 12; hours += 4)
        moments += ", (" + std::to_string(change + minutes * 60 + hours * 3600) + ")";
  const auto found = sql("SELECT z.name, m.s,"
                         " extract(epoch from (timestamp 'epoch' + m.s * interval '1 second')"
                         "   AT TIME ZONE z.name)::int8,"
                         " extract(epoch from to_timestamp(m.s) AT TIME ZONE z.name)::int8"
                         " FROM pg_timezone_names z, (VALUES " +
                         moments + ") m(s) WHERE z.name ~ '^[A-Z].*(/|[a-z])' ORDER BY 1");
  ASSERT_GT(found.count(), 50'000);
  std::shared_ptr<const sql::time_zone> zone;
  std::string name;
  for (int row = 0; row < found.count(); ++row) {
    if (found.text(row, 0) != name) {
      name = found.text(row, 0);
      zone = sql::time_zone::find(name);
      ASSERT_NE(zone, nullptr) << name;
    }
    const auto moment = number(found.at(row, 1));
    ASSERT_EQ(moment - zone->offset_of_local(moment), number(found.at(row, 2)))
        << name << " where the clocks show " << moment;
    ASSERT_EQ(moment + zone->offset_at(moment), number(found.at(row, 3)))
        << name << " at " << moment;
  }
}

} // namespace
} // namespace busbar::testing
