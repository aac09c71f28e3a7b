// sql/atoms.hpp: what an index can know of a predicate: which rows can satisfy it at all.
//
// A predicate comes with a list of conjunctions. Every row that satisfies the predicate satisfies
// all atoms of at least one of them; the reverse need not hold, unless the conjunction is complete.
// So a candidate found by its atoms is still judged by predicate::evaluate(). (Of a row on which
// evaluation would fail, the atoms may say that it is no candidate: PostgreSQL, too, is free to
// look at the other side of an AND first.)
#pragma once

#include "sql/predicate.hpp"
#include "sql/types.hpp"

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace busbar::sql {

/// Never more conjunctions than this; what has more becomes one that says nothing.
inline constexpr std::size_t conjunctions_max = 64;

/// How the text of a column becomes a key. Keys of one form are equal if the operator = calls the
/// values equal, and their bytes are in the values' order (enums apart: those are never ranged
/// over). Forms are few: a column has one for each way in which clauses compare it.
struct key_form {
  std::uint16_t column = 0; ///< Index into the columns given to predicate::compile().
  type from = type::text;   ///< The column's type; of an array, that of its elements.
  type as = type::text;     ///< What it is compared as: an int4 may be compared as a numeric.
  /// The column is an array, and each of its elements has a key; or it is jsonb, and its keys are
  /// those that `?` finds.
  bool elements = false;

  friend auto operator<=>(const key_form&, const key_form&) = default;
};

/// Appends the key of a value, as PostgreSQL prints it. False if it cannot be read: then nothing is
/// known, and the row must be taken for a candidate of every predicate with this form.
bool append_key(const key_form& form, std::string_view text, std::string& out);

/// The keys of an array's elements without its NULLs, each once and in order. False as above.
bool read_element_keys(const key_form& form, std::string_view text, std::vector<std::string>& out);

/// A test of one column. NULL satisfies is_null, and nothing else.
struct atom {
  enum class kind_type : std::uint8_t {
    one_of,   ///< The key is one of `keys`: =, IN, = ANY, boolean columns.
    range,    ///< The key is within the bounds.
    prefix,   ///< The key begins with keys[0], which is not empty: LIKE 'pre%'.
    contains, ///< All `keys` are among those of the elements: @>, x = ANY (column), jsonb's ?.
    overlaps, ///< One of `keys` is: &&.
    is_null,
    is_not_null,
  };
  struct bound {
    bool exists = false;
    bool inclusive = false;
    std::string key = {};
  };

  kind_type kind = kind_type::one_of;
  key_form form = {};                 ///< Of null tests, only the column counts.
  std::vector<std::string> keys = {}; ///< In order, none twice.
  bound lower = {};                   ///< range: at least one of the two exists.
  bound upper = {};
};

struct conjunction {
  std::vector<atom> atoms = {}; ///< None: it says nothing, every row is a candidate.
  /// A row that satisfies all atoms satisfies the predicate, or evaluation of another part fails.
  bool complete = false;
};

enum class verdict : std::uint8_t { no, yes, unreadable };

/// For tests, and for those who have no index.
verdict satisfies(const atom& a, const cell& value);

} // namespace busbar::sql
