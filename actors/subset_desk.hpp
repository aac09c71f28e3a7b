// actors/subset_desk.hpp: the subset queries of one session that are being read.
#pragma once

#include "actors/reader.hpp"
#include "actors/shape_state.hpp"
#include "actors/subset_task.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

namespace busbar {

/// Of one session, on its thread.
class subset_desk {
public:
  /// Asks the SUBSET READER of this number, within subset_patience, and says what it answered, or
  /// what kept it from answering.
  using answer = std::function<void(const subset_outcome&)>;
  using ask = std::function<void(std::size_t reader, const subset_task_ptr&, answer)>;
  static constexpr std::chrono::seconds subset_patience{60};

  subset_desk(std::size_t readers, ask question) : load_(readers), ask_{std::move(question)} {}

  /// Has the subset that `reader` waits for read. False if there is too much to do.
  bool read(shape_reader& reader, const shape_progress& progress);
  /// The reader does not wait any more.
  void cancel(shape_reader& reader) noexcept;
  /// Forgets all, and names those who waited.
  std::vector<shape_reader*> abandon_all();

private:
  void finish(std::uint64_t ticket, log_offset end, const subset_outcome& outcome);

  std::vector<std::size_t> load_; ///< By SUBSET READER: what we asked of it.
  ask ask_;
  std::unordered_map<std::uint64_t, shape_reader*> waiting_; ///< By ticket.
  std::uint64_t last_ticket_ = 0;
};

} // namespace busbar
