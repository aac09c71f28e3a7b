// http/shape_params.hpp: from a query string to a checked shape request (spec shape-protocol 2 and
// 5). What only the catalogue can tell (does the table exist, do the columns, does `where` compile)
// is the session's to check.
#pragma once

#include "actors/reader.hpp"
#include "http/query.hpp"

#include <tl/expected.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace busbar::http {

struct field_error {
  std::string field;
  std::string message;
  bool plain = false; ///< Shown as a text by itself, not in a list (spec 15.5).
};
using field_errors = std::vector<field_error>;

struct shape_read {
  shape_query query;
  std::string cursor; ///< The client's; see cursor.hpp.
  /// What query.shape.flaw stands for: complaints that the session must not be denied, but which
  /// are told only once all that comes before them has been found right.
  field_errors later;
};

/// For GET, HEAD and POST (whose body is in the parameters by then). Errors of one stage of the
/// spec's section 2 are reported together, never with those of a later stage. What is malformed
/// behind the table's name is no error here: see shape_read::later. `if_none_match` is left to the
/// caller.
tl::expected<shape_read, field_errors> parse_shape_read(const query& parameters);

/// What to delete: at least one of the two is given.
struct shape_deletion {
  std::string handle;                      ///< Empty if not given.
  std::optional<shape_request> definition; ///< If `table` is given.
};

/// For DELETE (spec section 16). What is malformed behind the table's name is definition->flaw.
tl::expected<shape_deletion, field_errors> parse_shape_deletion(const query& parameters);

/// The text of a parameter that is present and not blank; empty otherwise.
std::string_view given_text(const query& parameters, std::string_view name) noexcept;

} // namespace busbar::http
