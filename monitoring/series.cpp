#include "monitoring/series.hpp"

namespace busbar::monitoring {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

void add(families& to, const char* name, const char* help, MetricType type,
         const std::vector<labelled_value>& values) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  for (const auto& [labels, value] : values) {
    ClientMetric metric;
    metric.label = labels;
    if (type == MetricType::Counter)
      metric.counter.value = value;
    else
      metric.gauge.value = value;
    family.metric.push_back(std::move(metric));
  }
  to.push_back(std::move(family));
}

} // namespace

void add_gauge(families& to, const char* name, const char* help, double value) {
  add(to, name, help, MetricType::Gauge, {{{}, value}});
}

void add_gauges(families& to, const char* name, const char* help,
                const std::vector<labelled_value>& values) {
  add(to, name, help, MetricType::Gauge, values);
}

void add_counter(families& to, const char* name, const char* help, double value) {
  add(to, name, help, MetricType::Counter, {{{}, value}});
}

void add_counters(families& to, const char* name, const char* help,
                  const std::vector<labelled_value>& values) {
  add(to, name, help, MetricType::Counter, values);
}

} // namespace busbar::monitoring
