// actors/subquery_state.hpp: what a MATERIALIZER knows of shapes with subqueries and of the sets
// that they ask. Only for materializer*.cpp; how it works is told in materializer_moves.cpp.
#pragma once

#include "actors/move_task.hpp"
#include "actors/shape_state.hpp"
#include "base/keyed_hash.hpp"
#include "schema/frame.hpp"
#include "shapes/row_judge.hpp"
#include "shapes/value_counts.hpp"
#include "storage/keys.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace busbar {

template <class T>
using by_digest = std::unordered_map<digest, T, digest_hash>;

/// A value that came into a set, or left it.
struct set_move {
  std::uint64_t tx = 0;  ///< Commit LSN of the transaction that did it.
  std::uint32_t xid = 0; ///< Its id.
  /// The first transaction whose moves it brings: a set that was parked brings older ones.
  std::uint64_t since = 0;
  bool enters = false;
  digest value{};
  std::vector<std::string> texts = {}; ///< The columns of a row that has, or had, the value.
};

/// What a subquery selects: each value, and how many rows have it, as of the last transaction that
/// has been applied to it.
struct inner_set {
  value_counts counts;
  /// Values that have left, but that the index of all sets' values still has: while somebody waits,
  /// who may see the set as it was.
  std::unordered_set<digest, digest_hash> stale;

  /// What the open transaction, or a catch-up, has done to it so far.
  struct delta {
    std::int64_t rows = 0;
    std::uint32_t xid = 0;
    std::vector<std::string> texts;
  };
  by_digest<delta> open;

  /// Moves since the first dependent parked or began to wait for its snapshot, in their order. Of
  /// those before a restart only the last of each value that a shape was behind by, as if made at
  /// `position`; xid 0: by whom is not known any more.
  std::deque<set_move> journal;
  std::vector<storage::shape_id> dependents; ///< Shapes and sets that ask it.
  std::uint64_t position = 0;                ///< Where it stood when it was read from storage.

  /// The first move in the journal that was made after this transaction.
  auto moves_after(std::uint64_t tx) const {
    return std::partition_point(journal.begin(), journal.end(),
                                [&](const set_move& move) { return move.tx <= tx; });
  }
  /// Of the value, up to this transaction; nullptr if the journal has none.
  const set_move* last_move(const digest& value, std::uint64_t tx) const {
    for (auto move = moves_after(tx); move != journal.begin();)
      if ((--move)->value == value)
        return &*move;
    return nullptr;
  }
};

/// Changes of one frame that have gone by a parked shape and may concern it, in order.
struct passed_changes {
  struct one {
    std::uint32_t transaction = 0;
    std::uint32_t change = 0;
    bool old_row = false; ///< Which of its rows may be in the shape.
    bool new_row = false;
  };
  frame whole;
  std::vector<one> changes;
};

/// What a shape, or a set, with subqueries knows. Its view of a set is the set as it is, but for
/// the values on which it lags.
struct asker {
  asker(std::string_view secret, const shape_state& shape)
      : plan{shape.definition().filter->subqueries()}, tagger{secret, shape.handle(), *plan},
        negated(plan->subqueries.size()), lag(plan->subqueries.size()),
        stored(plan->subqueries.size()), asked(plan->subqueries.size()),
        turned(plan->subqueries.size()) {
    for (const auto& position : plan->positions)
      if (!position.leaf && position.negated)
        negated[position.subquery] = true;
  }

  const sql::subquery_plan* plan;
  row_tagger tagger;
  std::vector<storage::shape_id> sets; ///< By subquery.
  std::vector<inner_set*> views;       ///< The same; they live as long as this does.

  struct late {
    std::uint32_t xid = 0;
    std::uint64_t since = 0; ///< As of the move.
    std::vector<std::string> texts;
  };
  std::vector<bool> negated;        ///< By subquery: it is asked for what is not in it.
  std::vector<by_digest<late>> lag; ///< By subquery: where the view is not the set.
  /// What storage knows of `lag`, and, where it says true, of `turned`.
  std::vector<by_digest<bool>> stored;

  bool parked = false; ///< The stream goes by; frames are kept aside.
  std::chrono::steady_clock::time_point waits_since{};  ///< While parked.
  std::chrono::steady_clock::time_point queued_since{}; ///< For a MOVE READER.
  std::uint64_t position = 0;     ///< While parked: all transactions up to here are in it.
  std::uint64_t steady_since = 0; ///< When not parked: since this transaction.
  std::uint64_t task = 0;         ///< Number of the task that it waits for; 0 = none.
  bool queued = false;            ///< It waits until its rows can be asked for.
  /// While parked: what has gone by after `position`. Not all, if `passed_too_much`: then it has to
  /// be looked for in what was kept aside.
  std::deque<passed_changes> passed;
  std::size_t passed_count = 0;
  bool passed_too_much = false;
  /// Moves of transactions from here on are missing, its own or those of a set that it asks; ~0 if
  /// none is.
  std::uint64_t behind = ~std::uint64_t{0};
  std::uint64_t floor = 0;                ///< Of moves up to here nothing is known but the lag.
  std::vector<std::vector<digest>> asked; ///< By subquery: the values that the task is about.

  // Subsets are read from tables as they are, not as the log has come to see them.
  std::uint64_t subsets_before = 0; ///< Their snapshots see nothing from this transaction id on.
  std::uint64_t told_upto = 0;      ///< The last transaction whose moves clients were told.
  /// By subquery: values that have come or gone unknown to clients, also if they are as before by
  /// now, and in which transaction first; 0 = that is not known any more.
  std::vector<by_digest<std::uint32_t>> turned;
  bool may_be_in_subset(std::uint32_t xid) const noexcept {
    return xid == 0 ||
           (subsets_before > 0 &&
            static_cast<std::int32_t>(xid - static_cast<std::uint32_t>(subsets_before)) < 0);
  }

  bool lags() const noexcept {
    return std::any_of(lag.begin(), lag.end(), [](const auto& l) { return !l.empty(); });
  }
  bool sees(std::uint16_t subquery, const digest& value) const {
    const bool lagging = !lag[subquery].empty() && lag[subquery].contains(value);
    return views[subquery]->counts.contains(value) != lagging;
  }
};

} // namespace busbar
