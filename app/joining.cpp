#include "app/joining.hpp"

#include <spdlog/spdlog.h>

#include <chrono>
#include <string>
#include <thread>
#include <utility>

namespace busbar::app {

namespace {

using clock = std::chrono::steady_clock;

/// All members are up by then, or somebody leads.
constexpr std::chrono::seconds look_patience{4};
constexpr std::chrono::milliseconds retry_pause{500};
/// A leader that cannot be believed yet is asked for so long (see cluster_node::why_copy()).
constexpr std::chrono::seconds answer_patience{45};

} // namespace

result<void> join(cluster_node& node, const storage::store_settings& settings,
                  std::unique_ptr<storage::store>& store, const std::function<bool()>& stopped) {
  const auto give_up = clock::now() + answer_patience;
  std::string told;
  while (clock::now() < give_up && !stopped()) {
    const auto leader = node.find_leader(clock::now() + look_patience);
    if (!leader)
      return {};
    const auto lineage = store->lineage();
    if (!lineage)
      return fail(lineage.error());
    const auto why = node.why_copy(*leader, *lineage, store->sequence());
    if (why && why->empty())
      return {};
    if (why) {
      spdlog::info("copying the storage of {}: {}", *leader, *why);
      store.reset();
      const auto copied = node.copy(*leader, settings.directory);
      auto opened = storage::store::open(settings);
      if (!opened)
        return fail(std::move(opened).error());
      store = std::move(*opened);
      if (copied)
        return {};
      spdlog::warn("copying the storage of {}: {}", *leader, copied.error().message);
    } else {
      const bool is_known = std::exchange(told, why.error().message) == why.error().message;
      spdlog::log(is_known ? spdlog::level::debug : spdlog::level::warn,
                  "{} does not say whether it can be followed: {}", *leader, why.error().message);
    }
    std::this_thread::sleep_for(retry_pause);
  }
  return {};
}

} // namespace busbar::app
