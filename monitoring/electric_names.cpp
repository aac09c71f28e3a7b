// Electric's series, made of ours.
#include "monitoring/series.hpp"

#include <algorithm>
#include <map>
#include <optional>

namespace busbar::monitoring {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

std::string label_of(const ClientMetric& metric, std::string_view name) {
  for (const auto& label : metric.label)
    if (label.name == name)
      return label.value;
  return {};
}

const MetricFamily* find(const families& all, std::string_view name) {
  const auto found = std::ranges::find(all, name, &MetricFamily::name);
  return found == all.end() ? nullptr : &*found;
}

double value_of(const MetricFamily& family, const ClientMetric& metric) {
  return family.type == MetricType::Counter ? metric.counter.value : metric.gauge.value;
}

struct renaming {
  const char* ours;
  const char* theirs;
  const char* help;
  const char* our_label = nullptr;
  const char* their_label = nullptr;
  const char* only_label = nullptr; ///< Where this label of ours …
  const char* only_value = nullptr; ///< … has this value.
};

/// The values of equal labels are added up.
std::optional<MetricFamily> renamed(const families& all, const renaming& names) {
  const auto* ours = find(all, names.ours);
  if (ours == nullptr)
    return std::nullopt;
  std::map<std::string, double> sums;
  for (const auto& metric : ours->metric)
    if (names.only_label == nullptr || label_of(metric, names.only_label) == names.only_value)
      sums[names.our_label == nullptr ? "" : label_of(metric, names.our_label)] +=
          value_of(*ours, metric);
  if (sums.empty())
    return std::nullopt;
  MetricFamily theirs;
  theirs.name = names.theirs;
  theirs.help = names.help;
  theirs.type = ours->type;
  for (const auto& [label, sum] : sums) {
    ClientMetric metric;
    if (names.their_label != nullptr)
      metric.label = {{names.their_label, label}};
    (theirs.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = sum;
    theirs.metric.push_back(std::move(metric));
  }
  return theirs;
}

/// Electric counts this one in milliseconds.
std::optional<MetricFamily> lag_in_milliseconds(const families& all) {
  const auto* ours = find(all, "busbar_replication_receive_lag_seconds");
  if (ours == nullptr || ours->metric.empty())
    return std::nullopt;
  MetricFamily theirs = *ours;
  theirs.name = "electric_postgres_replication_transaction_received_receive_lag";
  theirs.help = "Electric's name: milliseconds from PostgreSQL's commit to our receipt.";
  for (auto& metric : theirs.metric) {
    metric.histogram.sample_sum *= 1'000;
    for (auto& bucket : metric.histogram.bucket)
      bucket.upper_bound *= 1'000;
  }
  return theirs;
}

constexpr renaming table[] = {
    {.ours = "busbar_shapes_by_state",
     .theirs = "electric_shapes_total_shapes_count",
     .help = "Electric's name: registered shapes."},
    {.ours = "busbar_shapes_by_state",
     .theirs = "electric_shapes_active_shapes_count",
     .help = "Electric's name: shapes that follow the stream.",
     .only_label = "state",
     .only_value = "following"},
    {.ours = "busbar_slot_retained_bytes",
     .theirs = "electric_postgres_replication_slot_retained_wal_size",
     .help = "Electric's name: bytes of WAL that the slot keeps."},
    {.ours = "busbar_slot_lag_bytes",
     .theirs = "electric_postgres_replication_slot_confirmed_flush_lsn_lag",
     .help = "Electric's name: bytes of WAL that are not confirmed."},
    {.ours = "busbar_http_requests_total",
     .theirs = "electric_plug_serve_shape_requests_count",
     .help = "Electric's name: answers to shape requests, by status.",
     .our_label = "status",
     .their_label = "status",
     .only_label = "route",
     .only_value = "shape"},
    {.ours = "busbar_admission_in_use",
     .theirs = "electric_admission_control_acquire_current",
     .help = "Electric's name: requests being answered, by kind.",
     .our_label = "class",
     .their_label = "kind"},
    {.ours = "busbar_admission_rejected_total",
     .theirs = "electric_admission_control_reject_count",
     .help = "Electric's name: requests turned away, by kind.",
     .our_label = "class",
     .their_label = "kind"},
};

} // namespace

void add_electric_names(families& ours) {
  families theirs;
  for (const auto& names : table)
    if (auto one = renamed(ours, names))
      theirs.push_back(*std::move(one));
  if (auto lag = lag_in_milliseconds(ours))
    theirs.push_back(*std::move(lag));
  ours.insert(ours.end(), std::make_move_iterator(theirs.begin()),
              std::make_move_iterator(theirs.end()));
}

} // namespace busbar::monitoring
