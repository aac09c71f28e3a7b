// no_metrics.cpp: loaded into Busbar before prometheus-cpp (LD_PRELOAD), it makes every series
// stand still: what counting them costs is the difference to Busbar as it is.
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

#include <vector>

namespace prometheus {

void Counter::Increment() {}
void Counter::Increment(double) {}

void Gauge::Increment() {}
void Gauge::Increment(double) {}
void Gauge::Decrement() {}
void Gauge::Decrement(double) {}
void Gauge::Set(double) {}

void Histogram::Observe(double) {}
void Histogram::ObserveMultiple(const std::vector<double>&, double) {}

} // namespace prometheus
