// monitoring/scrape.hpp: all series at one moment, as Prometheus reads them.
#pragma once

#include "monitoring/metrics.hpp"
#include "monitoring/series.hpp"

#include <atomic>
#include <chrono>
#include <string>
#include <vector>

namespace busbar::monitoring {

/// Any thread. What nobody asks for costs nothing: collectors run for a scrape only.
class scraper {
public:
  scraper(metrics& own, std::vector<collector> collectors)
      : metrics_{own}, collectors_{std::move(collectors)} {}

  /// Everything, Electric's names included.
  families collect();
  std::string text();

private:
  metrics& metrics_;
  const std::vector<collector> collectors_;
};

} // namespace busbar::monitoring
