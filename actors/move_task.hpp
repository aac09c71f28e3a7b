// actors/move_task.hpp: what a MATERIALIZER asks of a MOVE READER, and what it is told: rows that a
// move of values may bring into a shape, or take out of a set. Many such questions at once.
#pragma once

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/snapshot.hpp"
#include "shapes/table.hpp"
#include "shapes/value_counts.hpp"
#include "sql/predicate.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace busbar {

struct move_task {
  std::shared_ptr<const table_info> table;
  std::vector<std::uint16_t> columns; ///< Indices into table->columns.
  std::string condition;              ///< SQL, written by us from checked trees.
};

/// Tasks for one snapshot.
struct move_batch {
  std::uint32_t materializer = 0;
  std::vector<move_task> tasks;
};
using move_batch_ptr = std::shared_ptr<const move_batch>;

/// Rows, packed.
class packed_rows {
public:
  void add(std::span<const sql::cell> cells) {
    ends_.push_back(0);
    for (const auto& cell : cells) {
      append_be32(bytes_, cell ? static_cast<std::uint32_t>(cell->size()) : null_cell);
      if (cell)
        bytes_ += *cell;
    }
    ends_.back() = bytes_.size();
  }
  std::size_t count() const noexcept { return ends_.size(); }
  std::size_t size_bytes() const noexcept {
    return bytes_.size() + ends_.size() * sizeof(std::size_t);
  }
  /// The cells are borrowed.
  void read(std::size_t row, std::vector<sql::cell>& cells) const {
    cells.clear();
    auto at = row == 0 ? 0 : ends_[row - 1];
    while (at < ends_[row]) {
      const auto size = read_be32(bytes_.data() + at);
      at += 4;
      if (size == null_cell) {
        cells.emplace_back(std::nullopt);
      } else {
        cells.emplace_back(std::string_view{bytes_}.substr(at, size));
        at += size;
      }
    }
  }

private:
  static constexpr std::uint32_t null_cell = ~std::uint32_t{0};
  std::string bytes_;
  std::vector<std::size_t> ends_;
};

struct move_outcome {
  enum class state : std::uint8_t {
    read,
    postponed, ///< The batch was full: ask again.
    failed,    ///< Asking again later may help …
    refused,   ///< … or will not.
  };
  state is = state::postponed;
  packed_rows rows;
  error why; ///< If it failed or was refused.
};

/// As of one snapshot; every transaction that it sees has been streamed to the materializer.
struct move_outcomes {
  snapshot sees;
  std::vector<move_outcome> of; ///< The tasks, in their order.
};
using move_outcomes_ptr = std::shared_ptr<const move_outcomes>;

/// A set's values as of the snapshot that it begins with, and how many rows have each.
struct set_contents {
  value_counts values;
};
using set_contents_ptr = std::shared_ptr<const set_contents>;

} // namespace busbar
