#include "storage/log_growth.hpp"

#include "storage/batch_bytes.hpp"

#include <algorithm>
#include <utility>

namespace busbar::storage {

void log_growth::tell(std::string_view written) {
  // It reads by writing, so that whoever comes after this finds what was written before.
  if (readers_.fetch_add(0, std::memory_order_acq_rel) == 0)
    return;
  if (auto batch = read_batch(written); batch && batch->count > 0) {
    auto shared = std::make_shared<const replicated_batch>(*std::move(batch));
    const std::lock_guard guard{mutex_};
    if (shared->first >= begin_ && kept_.emplace(shared->first, shared).second)
      kept_bytes_ += shared->bytes.size();
    while (kept_bytes_ > kept_bytes_max) {
      const auto oldest = kept_.begin();
      begin_ = std::max(begin_, oldest->second->last() + 1);
      kept_bytes_ -= oldest->second->bytes.size();
      kept_.erase(oldest);
    }
  }
  changed_.notify_all();
}

void log_growth::leave() noexcept {
  const std::lock_guard guard{mutex_};
  if (readers_.fetch_sub(1, std::memory_order_acq_rel) > 1)
    return;
  kept_.clear();
  kept_bytes_ = 0;
}

std::shared_ptr<const replicated_batch> log_growth::find(std::uint64_t first) const {
  const auto found = kept_.find(first);
  return found == kept_.end() ? nullptr : found->second;
}

} // namespace busbar::storage
