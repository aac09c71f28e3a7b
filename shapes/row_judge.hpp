// shapes/row_judge.hpp: whether a row is in a shape with subqueries, and why: its tags and active
// conditions (spec where-and-matching 4.4).
#pragma once

#include "base/keyed_hash.hpp"
#include "shapes/entry.hpp"
#include "sql/subquery.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace busbar {

/// What is known of one row. Position by position, as the plan numbers them.
struct judged_row {
  bool visible = false;
  std::vector<bool> holds;
  /// What the row shows to the position's subquery: nullopt if a column of it is NULL, and for
  /// positions that are no membership tests.
  std::vector<std::optional<digest>> values;
};

/// Value digests of rows; the same for every shape of this node's stream. What was read of a row is
/// remembered, because many shapes ask the same columns. One thread at a time.
class value_hasher {
public:
  explicit value_hasher(std::string_view secret) : hash_{secret, "inner values"} {}

  enum class reading : std::uint8_t { value, null, unreadable };
  /// The digest of the columns that `forms` name. Equal exactly for values that SQL's = calls
  /// equal.
  reading read(const std::vector<sql::key_form>& forms, row_cells row, digest& out);
  /// The rows to come are others, although they may lie where earlier ones lay.
  void forget() noexcept { known_count_ = 0; }

private:
  struct known_value {
    const sql::cell* row = nullptr;
    std::vector<sql::key_form> forms;
    reading outcome = reading::null;
    digest value{};
  };
  reading read_anew(const std::vector<sql::key_form>& forms, row_cells row, digest& out);

  std::vector<known_value> known_;
  std::size_t known_count_ = 0; ///< The others are kept for their memory.
  keyed_hash hash_;
  std::string key_;
  std::string part_;
};

/// Judges rows by a plan; `contains` (subquery, digest) tells what the sets hold. False if a part
/// of the clause cannot be evaluated on the row.
template <class Contains>
bool judge(const sql::subquery_plan& plan, row_cells row, value_hasher& hasher,
           const Contains& contains, judged_row& out) {
  const auto count = plan.positions.size();
  out.holds.assign(count, false);
  out.values.assign(count, std::nullopt);
  for (std::size_t i = 0; i < count; ++i) {
    const auto& position = plan.positions[i];
    if (position.leaf) {
      const auto verdict = position.leaf->evaluate(row);
      if (verdict == sql::truth::failed)
        return false;
      out.holds[i] = verdict == (position.negated ? sql::truth::no : sql::truth::yes);
      continue;
    }
    digest value;
    switch (hasher.read(position.left, row, value)) {
    case value_hasher::reading::unreadable:
      return false;
    case value_hasher::reading::null:
      break; // neither IN nor NOT IN
    case value_hasher::reading::value:
      out.values[i] = value;
      out.holds[i] = contains(position.subquery, value) != position.negated;
    }
  }
  out.visible = false;
  std::size_t begin = 0;
  for (const auto end : plan.disjunct_ends) {
    bool all = true;
    for (auto i = begin; i < end; ++i)
      all = all && out.holds[i];
    out.visible = out.visible || all;
    begin = end;
  }
  return true;
}

/// Words tags for the clients of one shape: strings that only its own can be compared with. One
/// thread at a time.
class row_tagger {
public:
  row_tagger(std::string_view secret, std::string_view handle, const sql::subquery_plan& plan)
      : hash_{secret, "tags of " + std::string{handle}}, plan_{&plan} {}

  /// One tag for each disjunct.
  std::vector<std::string> tags(const judged_row& row) const;
  /// What stands in a tag for this value.
  void append_value(std::string& out, const digest& value) const {
    append_hex(out, hash_(bytes_of(value)));
  }

  /// `,"tags":[…],"active_conditions":[…]`
  void append_headers(std::string& out, const judged_row& row) const;
  /// The same of an update, with `removed_tags`.
  void append_update_headers(std::string& out, const judged_row& before,
                             const judged_row& after) const;
  /// Whether clients must be told of an update that changed nothing but these.
  static bool differs(const judged_row& before, const judged_row& after) {
    return before.holds != after.holds || before.values != after.values;
  }
  /// Whether a tag that goes and one that stays or comes have a value in common: known clients lose
  /// that when they take the one away.
  bool shares_value(const judged_row& before, const judged_row& after) const;

private:
  void append_tag(std::string& out, const judged_row& row, std::size_t disjunct) const;
  void append_conditions(std::string& out, const judged_row& row) const;

  keyed_hash hash_;
  const sql::subquery_plan* plan_;
};

} // namespace busbar
