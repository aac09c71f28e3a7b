// actors/shape_state.hpp: what the whole process knows of one live shape.
#pragma once

#include "base/result.hpp"
#include "shapes/definition.hpp"
#include "shapes/offset.hpp"
#include "shapes/upkeep.hpp"
#include "storage/keys.hpp"

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

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
  bool gone = false;           ///< Removed: every reader gets a 409, or `failure` if set.
  std::shared_ptr<const error> failure; ///< Why the shape could not be made.
};

/// Shared by the directory, one materializer, a snapshotter and the sessions. The first part never
/// changes; the progress is written by the materializer and the snapshotter, the schema by the
/// materializer. Any thread.
class shape_state {
public:
  shape_state(storage::shape_id id, std::string handle, shape_definition definition)
      : id_{id}, handle_{std::move(handle)}, definition_{std::move(definition)},
        schema_json_{std::make_shared<const std::string>(
            busbar::schema_json(definition_, *definition_.table))} {}

  storage::shape_id id() const noexcept { return id_; }
  const std::string& handle() const noexcept { return handle_; }
  const shape_definition& definition() const noexcept { return definition_; }

  /// The `electric-schema` header; never null. It follows the table: ask for each response.
  std::shared_ptr<const std::string> schema_json() const {
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

private:
  const storage::shape_id id_;
  const std::string handle_;
  const shape_definition definition_;
  mutable std::mutex mutex_;
  std::shared_ptr<const std::string> schema_json_;
  shape_progress progress_;
};

using shape_ptr = std::shared_ptr<shape_state>;

} // namespace busbar
