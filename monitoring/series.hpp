// monitoring/series.hpp: series that are looked up when they are asked for, instead of being kept.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/labels.h>
#include <prometheus/metric_family.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace busbar::monitoring {

using families = std::vector<prometheus::MetricFamily>;
struct labelled_value {
  std::vector<prometheus::ClientMetric::Label> labels;
  double value = 0;
};

void add_gauge(families& to, const char* name, const char* help, double value);
void add_gauges(families& to, const char* name, const char* help,
                const std::vector<labelled_value>& values);
void add_counter(families& to, const char* name, const char* help, double value);
void add_counters(families& to, const char* name, const char* help,
                  const std::vector<labelled_value>& values);

/// Adds some families that belong together. One that throws costs its own series only.
struct collector {
  std::string name; ///< As the label of busbar_collector_failures_total.
  std::function<void(families&)> collect;
};

/// Memory, processor time, files and threads of this process, under Prometheus' usual names.
void collect_process(families& to);
/// What the process is: its version, and when it began.
void collect_build(families& to, const std::string& version);

/// Electric's application series under their own names, made of ours, so that its dashboards and
/// alerts go on working. `ours` has everything else.
void add_electric_names(families& ours);

} // namespace busbar::monitoring
