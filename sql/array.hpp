// sql/array.hpp: arrays as text and back, and what can be done with them.
#pragma once

#include "sql/value.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace busbar::sql {

inline constexpr int array_dimensions_max = 6;

/// Borrows its items, which are in row-major order. An empty array has no dimensions.
struct array_value {
  type element = type::unknown;
  int dimensions = 0;
  std::array<std::int32_t, array_dimensions_max> lengths{};
  std::array<std::int32_t, array_dimensions_max> lower{}; ///< The first subscript of each.
  std::span<const datum> items = {};
};

reading read_array(type element, std::string_view text, value& out, workspace& space) noexcept;
void append_array(std::string& out, type element, const array_value& a, enum_types enums);

/// Element by element, then by size and shape; a NULL equals a NULL and is greater than all else.
int compare_arrays(const array_value& a, const array_value& b) noexcept;

bool array_contains(const array_value& all, const array_value& some) noexcept;
bool arrays_overlap(const array_value& a, const array_value& b) noexcept;

/// `failed` if the shapes do not fit together.
outcome concatenate_arrays(const array_value& a, const array_value& b, value& out,
                           workspace& space) noexcept;
/// A one-dimensional array with one more element at its end or, if `in_front`, its beginning.
/// `a` may be nullptr for NULL, which counts as empty.
outcome extend_array(const array_value* a, type element, const datum& item, bool in_front,
                     value& out, workspace& space) noexcept;

/// ARRAY[…] of elements, or of arrays if `nested`.
outcome build_array(type element, std::span<const datum> items, bool nested, value& out,
                    workspace& space) noexcept;

/// Any of the parts of a subscript may be missing.
struct subscript {
  bool slice = false;
  bool has_lower = false;
  bool has_upper = false; ///< Always, unless `slice`.
  std::int32_t lower = 1;
  std::int32_t upper = 0;
};
/// a[i][j] if none of the subscripts is a slice, else a[i:j][k:l].
outcome array_at(const array_value& a, std::span<const subscript> subscripts, value& out,
                 workspace& space) noexcept;

/// Where an element equal to `item` is first; nothing if there is none. Both may be NULL.
outcome position_in_array(const array_value& a, const datum& item, value& out) noexcept;

} // namespace busbar::sql
