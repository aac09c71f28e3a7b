// actors/shape_state.hpp: what the whole process knows of one live shape.
#pragma once

#include "base/result.hpp"
#include "monitoring/tenants.hpp"
#include "shapes/definition.hpp"
#include "shapes/offset.hpp"
#include "shapes/upkeep.hpp"
#include "storage/keys.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <ctime>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace busbar {

/// How far a shape is. Read as a whole, so that its parts fit together.
struct shape_progress {
  log_offset head = log_offset::snapshot_end(); ///< L: the last offset readers may see.
  std::uint64_t chunks = 0;                     ///< Finished snapshot chunks.
  /// Of the chunk after those, which is being written: its pieces that can be read. 0 while it is
  /// hoped to be finished soon.
  std::uint32_t pieces = 0;
  bool started = false;        ///< The snapshot's visibility is fixed; changes are being kept.
  bool complete = false;       ///< The snapshot is whole; `chunks` is final.
  bool has_boundaries = false; ///< The log after the snapshot has finished chunks.
  /// Of the transactions from this commit LSN on, moves by a subquery are not in the log yet; 0 =
  /// all that the node has processed is.
  std::uint64_t behind = 0;
  bool gone = false;                    ///< Removed: every reader gets a 409, or `failure` if set.
  std::shared_ptr<const error> failure; ///< Why the shape could not be made.
};

/// What clients of the shape may be promised, where the node has processed all up to `last_seen`.
inline std::uint64_t promised(const shape_progress& progress, std::uint64_t last_seen) noexcept {
  return progress.behind > 0 ? std::min(last_seen, progress.behind - 1) : last_seen;
}

/// Shared by the directory, one materializer, a snapshotter and the sessions. The first part never
/// changes; the progress is written by the materializer and the snapshotter, the schema by the
/// materializer. Any thread.
class shape_state {
public:
  using text_ptr = std::shared_ptr<const std::string>;

  /// `schema` is the definition's own, if others have it too. `inner` are the sets of the
  /// definition, in its order.
  shape_state(storage::shape_id id, std::string handle, shape_definition definition,
              text_ptr schema = nullptr, std::vector<storage::shape_id> inner = {})
      : id_{id}, handle_{std::move(handle)}, definition_{std::move(definition)}, inner_{std::move(
                                                                                     inner)},
        schema_json_{schema ? std::move(schema) : schema_of(definition_)} {}

  static text_ptr schema_of(const shape_definition& definition) {
    return std::make_shared<const std::string>(busbar::schema_json(definition, *definition.table));
  }

  storage::shape_id id() const noexcept { return id_; }
  const std::string& handle() const noexcept { return handle_; }
  const shape_definition& definition() const noexcept { return definition_; }
  const std::vector<storage::shape_id>& inner() const noexcept { return inner_; }

  /// The `electric-schema` header; never null. It follows the table: ask for each response.
  text_ptr schema_json() const {
    const std::lock_guard guard{mutex_};
    return schema_json_;
  }
  void follow(const table_info& now) {
    auto next = std::make_shared<const std::string>(busbar::schema_json(definition_, now));
    const std::lock_guard guard{mutex_};
    schema_json_ = std::move(next);
  }

  shape_progress progress() const {
    const std::lock_guard guard{mutex_};
    return progress_;
  }
  /// Changes the progress under its lock; returns the new one.
  template <class Change>
  shape_progress update(Change&& change) {
    const std::lock_guard guard{mutex_};
    change(progress_);
    return progress_;
  }

  /// Whose load it is part of; null if nobody's. Said once, before others know of the shape.
  void belong_to(monitoring::tenant_ptr tenant) { tenant_ = std::move(tenant); }
  monitoring::tenant_load* tenant() const noexcept { return tenant_.get(); }

  // What expiry goes by; roughly kept over restarts.
  static std::uint64_t seconds_now() noexcept { return static_cast<std::uint64_t>(std::time({})); }
  std::uint64_t read_at() const noexcept { return read_at_.load(std::memory_order_relaxed); }
  void note_read() noexcept {
    read_at_.store(static_cast<std::uint32_t>(seconds_now()), std::memory_order_relaxed);
  }
  std::uint64_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }
  void add_bytes(std::uint64_t more) noexcept {
    bytes_.fetch_add(more, std::memory_order_relaxed);
    if (tenant_)
      tenant_->note_logged(more);
    has_grown_.store(true, std::memory_order_relaxed);
  }
  /// Compaction has made what was written so much smaller.
  void drop_bytes(std::uint64_t fewer) noexcept {
    auto now = bytes();
    while (!bytes_.compare_exchange_weak(now, now - std::min(now, fewer)))
      ;
    has_grown_.store(true, std::memory_order_relaxed);
  }
  void recall(std::uint64_t read_at, std::uint64_t bytes) noexcept {
    read_at_ = static_cast<std::uint32_t>(read_at);
    bytes_ = bytes;
  }
  /// True if bytes() has changed since the last call.
  bool take_grown() noexcept { return has_grown_.exchange(false, std::memory_order_relaxed); }

private:
  const storage::shape_id id_;
  const std::string handle_;
  const shape_definition definition_;
  const std::vector<storage::shape_id> inner_;
  monitoring::tenant_ptr tenant_;
  std::atomic<std::uint64_t> bytes_{0}; ///< Of snapshot and log, as they are stored.
  std::atomic<std::uint32_t> read_at_{static_cast<std::uint32_t>(seconds_now())};
  std::atomic<bool> has_grown_{false};
  mutable std::mutex mutex_;
  text_ptr schema_json_;
  shape_progress progress_;
};

using shape_ptr = std::shared_ptr<shape_state>;

/// The schemas of shapes that are being made: those of the same columns share one text.
class shared_schemas {
public:
  shape_state::text_ptr of(const shape_definition& definition) {
    if (known_.size() > known_max)
      known_.clear();
    auto& text = known_[{definition.table, definition.selected}];
    if (!text)
      text = shape_state::schema_of(definition);
    return text;
  }

private:
  static constexpr std::size_t known_max = 1'000;
  std::map<std::pair<std::shared_ptr<const table_info>, std::vector<std::uint16_t>>,
           shape_state::text_ptr>
      known_;
};

} // namespace busbar
