// actors/deletion_desk.hpp: the DELETE requests of one session (spec shape-protocol 16).
#pragma once

#include "actors/protocol.hpp"
#include "actors/reader.hpp"
#include "actors/shape_index.hpp"
#include "actors/shape_words.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>

namespace busbar {

/// Of one session, on its thread.
class deletion_desk {
public:
  using answer = std::function<void(const result<definition_ptr>&)>;
  /// What the desk asks of its session.
  struct errands {
    std::function<void(const shape_request&, answer)> resolve; ///< What do these words define?
    std::function<void(const shape_ptr&)> drop;                ///< Tell the directory.
  };

  deletion_desk(const shape_index& index, shape_words& words, errands run)
      : index_{index}, words_{words}, run_{std::move(run)} {}

  /// Answers `reader` with on_dropped() or on_refused(); see client_session::drop().
  void remove(shape_reader& reader, const std::string& handle,
              const std::optional<shape_request>& definition);
  /// The reader does not wait any more.
  void cancel(const shape_reader& reader) noexcept;

private:
  void finish(std::uint64_t ticket, const std::string& handle, const shape_request& words,
              const result<definition_ptr>& defined);
  void drop(shape_reader& reader, const shape_ptr& shape);

  const shape_index& index_;
  shape_words& words_;
  errands run_;
  std::unordered_map<std::uint64_t, shape_reader*> waiting_; ///< By ticket.
  std::uint64_t last_ticket_ = 0;
};

} // namespace busbar
