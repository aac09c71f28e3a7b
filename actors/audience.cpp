#include "actors/audience.hpp"

#include <condition_variable>
#include <utility>
#include <vector>

namespace busbar {

void audience::seat::reset() {
  if (!taken_)
    return;
  *taken_ = false;
  taken_.reset();
  owner_->leave(number_);
}

audience::seat audience::join(listener who) {
  seat given;
  given.owner_ = this;
  given.taken_ = std::make_shared<bool>(true);
  const std::lock_guard guard{mutex_};
  given.number_ = ++last_;
  places_.emplace(given.number_, place{std::move(who), given.taken_});
  return given;
}

void audience::leave(std::uint64_t number) {
  const std::lock_guard guard{mutex_};
  places_.erase(number);
}

audience::by_shape audience::count(std::chrono::milliseconds patience) {
  struct answers {
    std::mutex mutex;
    std::condition_variable one_more;
    std::size_t missing = 0;
    by_shape sum;
  };
  const auto all = std::make_shared<answers>();
  {
    // Held while the tasks are posted: nobody leaves meanwhile, and a task that runs later sees
    // whether its listener has.
    const std::lock_guard guard{mutex_};
    all->missing = places_.size();
    for (const auto& [number, place] : places_)
      place.who.post([all, taken = place.taken, count = place.who.count] {
        by_shape some;
        if (*taken)
          count(some);
        const std::lock_guard answering{all->mutex};
        for (const auto& [shape, readers] : some)
          all->sum[shape] += readers;
        --all->missing;
        all->one_more.notify_all();
      });
  }
  std::unique_lock lock{all->mutex};
  all->one_more.wait_for(lock, patience, [&] { return all->missing == 0; });
  return std::exchange(all->sum, {});
}

} // namespace busbar
