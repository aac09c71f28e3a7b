#include "monitoring/metrics.hpp"
#include "monitoring/scrape.hpp"
#include "monitoring/seconds_tally.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace busbar::monitoring {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(SecondsTally, CountsAsTheHistogramItselfWould) {
  metrics one;
  metrics other;
  seconds_tally tally;
  for (const double seconds : {0.0, 0.0009, 0.001, 0.0011, 0.5, 9.99, 600.0, 601.0}) {
    one.snapshot_seconds.Observe(seconds);
    tally.add(seconds);
  }
  tally.hand_to(other.snapshot_seconds);
  EXPECT_TRUE(tally.empty());
  const auto expected = one.snapshot_seconds.Collect().histogram;
  const auto found = other.snapshot_seconds.Collect().histogram;
  EXPECT_EQ(found.sample_count, expected.sample_count);
  EXPECT_DOUBLE_EQ(found.sample_sum, expected.sample_sum);
  ASSERT_EQ(found.bucket.size(), expected.bucket.size());
  for (std::size_t i = 0; i < found.bucket.size(); ++i)
    EXPECT_EQ(found.bucket[i].cumulative_count, expected.bucket[i].cumulative_count) << i;
}

TEST(SecondsTally, AClockThatIsBehindMakesNoTimeNegative) {
  metrics m;
  seconds_tally tally;
  tally.add(-5, 3);
  tally.hand_to(m.snapshot_seconds);
  const auto found = m.snapshot_seconds.Collect().histogram;
  EXPECT_EQ(found.sample_count, 3u);
  EXPECT_EQ(found.sample_sum, 0);
}

TEST(Scraper, ACollectorThatFailsFailsAlone) {
  metrics m;
  scraper all{m,
              {{"good", [](families& to) { add_gauge(to, "busbar_good", "Good.", 1); }},
               {"bad",
                [](families& to) {
                  add_gauge(to, "busbar_half", "Half.", 1);
                  throw std::runtime_error{"no"};
                }},
               {"late", [](families& to) { add_gauge(to, "busbar_late", "Late.", 2); }}}};
  const auto text = all.text();
  EXPECT_THAT(text, HasSubstr("busbar_good 1\n"));
  EXPECT_THAT(text, HasSubstr("busbar_late 2\n"));
  EXPECT_THAT(text, Not(HasSubstr("busbar_half")));
  EXPECT_THAT(text, HasSubstr("busbar_collector_failures_total{collector=\"bad\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("\nbusbar_shapes 0\n"));
}

TEST(Scraper, ElectricsSeriesAreMadeOfOurs) {
  metrics m;
  m.admission_initial.Set(3);
  m.admission_rejected_existing.Increment(4);
  m.http_requests.Add({{"route", "shape"}, {"status", "200"}}).Increment(5);
  m.http_requests.Add({{"route", "health"}, {"status", "200"}}).Increment(50);
  m.receive_lag.Observe(0.003);
  scraper all{m,
              {{"shapes",
                [](families& to) {
                  add_gauges(to, "busbar_shapes_by_state", "Shapes.",
                             {{{{"state", "making"}}, 1}, {{{"state", "following"}}, 6}});
                }},
               {"slot", [](families& to) {
                  add_gauge(to, "busbar_slot_retained_bytes", "Kept.", 70);
                  add_gauge(to, "busbar_slot_lag_bytes", "Lag.", 8);
                }}}};
  const auto text = all.text();
  for (const auto* line :
       {"\nelectric_shapes_total_shapes_count 7\n", "\nelectric_shapes_active_shapes_count 6\n",
        "\nelectric_postgres_replication_slot_retained_wal_size 70\n",
        "\nelectric_postgres_replication_slot_confirmed_flush_lsn_lag 8\n",
        "\nelectric_postgres_replication_transaction_received_receive_lag_bucket{le=\"5\"} 1\n",
        "\nelectric_postgres_replication_transaction_received_receive_lag_bucket{le=\"2.5\"} 0\n",
        "\nelectric_plug_serve_shape_requests_count{status=\"200\"} 5\n",
        "\nelectric_admission_control_acquire_current{kind=\"initial\"} 3\n",
        "\nelectric_admission_control_reject_count{kind=\"existing\"} 4\n"})
    EXPECT_THAT(text, HasSubstr(line));
}

TEST(Scraper, KnowsTheProcess) {
  metrics m;
  scraper all{m, {{"process", collect_process}, {"build", [](families& to) {
                                                   collect_build(to, "1.2.3");
                                                 }}}};
  const auto text = all.text();
  for (const auto* name : {"process_resident_memory_bytes ", "process_cpu_seconds_total ",
                           "process_open_fds ", "process_max_fds ", "process_threads ",
                           "process_start_time_seconds ", "busbar_heap_bytes{state=\"used\"} "})
    EXPECT_THAT(text, HasSubstr(std::string{"\n"} + name));
  EXPECT_THAT(text, HasSubstr("busbar_build_info{version=\"1.2.3\"} 1\n"));
}

} // namespace
} // namespace busbar::monitoring
