#include "monitoring/scrape.hpp"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <exception>
#include <iterator>
#include <utility>

namespace busbar::monitoring {

families scraper::collect() {
  families collected;
  for (const auto& one : collectors_) {
    families part;
    try {
      one.collect(part);
    } catch (const std::exception&) {
      counter_of(metrics_.collector_failures, "collector", one.name).Increment();
      continue; // half of what belongs together would be misread
    }
    collected.insert(collected.end(), std::make_move_iterator(part.begin()),
                     std::make_move_iterator(part.end()));
  }
  auto all = metrics_.registry()->Collect();
  // A labelled family that has counted nothing yet would be a heading without series.
  std::erase_if(all, [](const auto& family) { return family.metric.empty(); });
  all.insert(all.end(), std::make_move_iterator(collected.begin()),
             std::make_move_iterator(collected.end()));
  add_electric_names(all);
  return all;
}

std::string scraper::text() {
  return prometheus::TextSerializer{}.Serialize(collect());
}

} // namespace busbar::monitoring
