#include "sql/array.hpp"

#include <algorithm>
#include <limits>

namespace busbar::sql {
namespace {

int compare_items(kernel how, const datum& a, const datum& b) noexcept {
  if (a.null || b.null)
    return static_cast<int>(a.null) - static_cast<int>(b.null);
  return compare(how, a.v, b.v);
}

template <class Number>
int compare_numbers(Number a, Number b) noexcept {
  return a < b ? -1 : a > b;
}

std::size_t dimensions_of(const array_value& a) noexcept {
  return static_cast<std::size_t>(a.dimensions);
}

outcome store(const array_value& a, value& out, workspace& space) noexcept {
  auto* memory = space.make<array_value>(1);
  if (memory == nullptr)
    return outcome::failed;
  out.array = std::construct_at(memory, a);
  return outcome::ok;
}

/// Sets out.items to a fresh copy of both.
bool join_items(std::span<const datum> a, std::span<const datum> b, array_value& out,
                workspace& space) noexcept {
  auto* items = space.make<datum>(a.size() + b.size());
  if (items == nullptr)
    return false;
  std::uninitialized_copy(a.begin(), a.end(), items);
  std::uninitialized_copy(b.begin(), b.end(), items + a.size());
  out.items = {items, a.size() + b.size()};
  return true;
}

/// Whether `inner` has the shape of the elements of `outer`, from dimension `skipped` on.
bool is_same_shape(const array_value& outer, const array_value& inner,
                   std::size_t skipped) noexcept {
  for (std::size_t i = skipped; i < dimensions_of(outer); ++i) {
    const auto j = i - (dimensions_of(outer) - dimensions_of(inner));
    if (outer.lengths[i] != inner.lengths[j] || outer.lower[i] != inner.lower[j])
      return false;
  }
  return true;
}

bool has_item(const array_value& a, const datum& wanted) noexcept {
  const auto how = kernel_of(a.element);
  return std::any_of(a.items.begin(), a.items.end(), [&](const datum& item) {
    return !item.null && compare(how, item.v, wanted.v) == 0;
  });
}

} // namespace

int compare_arrays(const array_value& a, const array_value& b) noexcept {
  const auto how = kernel_of(a.element);
  const auto common = std::min(a.items.size(), b.items.size());
  for (std::size_t i = 0; i < common; ++i)
    if (const int order = compare_items(how, a.items[i], b.items[i]); order != 0)
      return order;
  if (a.items.size() != b.items.size())
    return compare_numbers(a.items.size(), b.items.size());
  if (a.dimensions != b.dimensions)
    return compare_numbers(a.dimensions, b.dimensions);
  for (std::size_t i = 0; i < dimensions_of(a); ++i)
    if (a.lengths[i] != b.lengths[i])
      return compare_numbers(a.lengths[i], b.lengths[i]);
  for (std::size_t i = 0; i < dimensions_of(a); ++i)
    if (a.lower[i] != b.lower[i])
      return compare_numbers(a.lower[i], b.lower[i]);
  return 0;
}

bool array_contains(const array_value& all, const array_value& some) noexcept {
  return std::all_of(some.items.begin(), some.items.end(),
                     [&](const datum& item) { return !item.null && has_item(all, item); });
}

bool arrays_overlap(const array_value& a, const array_value& b) noexcept {
  return std::any_of(a.items.begin(), a.items.end(),
                     [&](const datum& item) { return !item.null && has_item(b, item); });
}

outcome concatenate_arrays(const array_value& a, const array_value& b, value& out,
                           workspace& space) noexcept {
  if (a.dimensions == 0 || b.dimensions == 0)
    return store(a.dimensions == 0 ? b : a, out, space);
  const auto difference = a.dimensions - b.dimensions;
  if (difference < -1 || difference > 1)
    return outcome::failed;
  const auto& outer = difference >= 0 ? a : b;
  const auto& inner = difference >= 0 ? b : a;
  auto joined = outer;
  if (!is_same_shape(outer, inner, 1))
    return outcome::failed;
  joined.lengths[0] += difference == 0 ? inner.lengths[0] : 1;
  return join_items(a.items, b.items, joined, space) ? store(joined, out, space) : outcome::failed;
}

outcome extend_array(const array_value* a, type element, const datum& item, bool in_front,
                     value& out, workspace& space) noexcept {
  array_value longer;
  if (a != nullptr)
    longer = *a;
  if (longer.dimensions > 1)
    return outcome::failed;
  if (longer.dimensions == 0) {
    longer.element = element;
    longer.dimensions = 1;
    longer.lengths[0] = 0;
    longer.lower[0] = 1;
  }
  const std::span<const datum> one{&item, 1};
  const auto old = longer.items;
  ++longer.lengths[0];
  if (!join_items(in_front ? one : old, in_front ? old : one, longer, space))
    return outcome::failed;
  return store(longer, out, space);
}

outcome build_array(type element, std::span<const datum> items, bool nested, value& out,
                    workspace& space) noexcept {
  array_value built;
  built.element = element;
  if (!nested) {
    if (!items.empty()) {
      built.dimensions = 1;
      built.lengths[0] = static_cast<std::int32_t>(items.size());
      built.lower[0] = 1;
    }
    return join_items(items, {}, built, space) ? store(built, out, space) : outcome::failed;
  }
  // Empty arrays and NULLs make an empty array, unless other shapes are among them.
  const array_value* first = nullptr;
  std::size_t total = 0;
  bool has_empty = false;
  for (const auto& item : items) {
    if (item.null || item.v.array->dimensions == 0) {
      has_empty = true;
      continue;
    }
    const auto& part = *item.v.array;
    if (first == nullptr)
      first = &part;
    else if (first->dimensions != part.dimensions || !is_same_shape(*first, part, 0))
      return outcome::failed;
    total += part.items.size();
  }
  if (first == nullptr)
    return store(built, out, space);
  if (has_empty || first->dimensions == array_dimensions_max)
    return outcome::failed;
  built.dimensions = first->dimensions + 1;
  built.lengths[0] = static_cast<std::int32_t>(items.size());
  built.lower[0] = 1;
  for (std::size_t i = 0; i < dimensions_of(*first); ++i) {
    built.lengths[i + 1] = first->lengths[i];
    built.lower[i + 1] = first->lower[i];
  }
  auto* flat = space.make<datum>(total);
  if (flat == nullptr)
    return outcome::failed;
  auto* next = flat;
  for (const auto& item : items)
    next = std::uninitialized_copy(item.v.array->items.begin(), item.v.array->items.end(), next);
  built.items = {flat, total};
  return store(built, out, space);
}

namespace {

outcome element_at(const array_value& a, std::span<const subscript> subscripts,
                   value& out) noexcept {
  std::int64_t index = 0;
  for (std::size_t i = 0; i < subscripts.size(); ++i) {
    const auto offset = std::int64_t{subscripts[i].upper} - a.lower[i];
    if (offset < 0 || offset >= a.lengths[i])
      return outcome::null;
    index = index * a.lengths[i] + offset;
  }
  const auto& found = a.items[static_cast<std::size_t>(index)];
  out = found.v;
  return found.null ? outcome::null : outcome::ok;
}

/// Copies what lies within the offsets `from` and lengths `count` of each dimension.
void copy_slice(const array_value& a, const std::array<std::int32_t, array_dimensions_max>& from,
                const array_value& shape, std::size_t level, std::size_t start, datum*& next) {
  std::size_t stride = 1;
  for (std::size_t i = level + 1; i < dimensions_of(a); ++i)
    stride *= static_cast<std::size_t>(a.lengths[i]);
  for (std::int32_t i = 0; i < shape.lengths[level]; ++i) {
    const auto at = start + static_cast<std::size_t>(from[level] + i) * stride;
    if (level + 1 == dimensions_of(a))
      std::construct_at(next++, a.items[at]);
    else
      copy_slice(a, from, shape, level + 1, at, next);
  }
}

outcome slice_of(const array_value& a, std::span<const subscript> subscripts, value& out,
                 workspace& space) noexcept {
  array_value slice;
  slice.element = a.element;
  if (dimensions_of(a) < subscripts.size() || a.dimensions == 0)
    return store(slice, out, space);
  std::array<std::int32_t, array_dimensions_max> from{};
  std::size_t total = 1;
  for (std::size_t i = 0; i < dimensions_of(a); ++i) {
    std::int64_t first = a.lower[i];
    std::int64_t last = first + a.lengths[i] - 1;
    if (i < subscripts.size()) {
      const auto& s = subscripts[i];
      if (!s.slice)
        first = std::max<std::int64_t>(first, 1);
      else if (s.has_lower)
        first = std::max<std::int64_t>(first, s.lower);
      if (s.has_upper)
        last = std::min<std::int64_t>(last, s.upper);
    }
    if (first > last)
      return store(slice, out, space);
    from[i] = static_cast<std::int32_t>(first - a.lower[i]);
    slice.lengths[i] = static_cast<std::int32_t>(last - first + 1);
    slice.lower[i] = 1;
    total *= static_cast<std::size_t>(slice.lengths[i]);
  }
  slice.dimensions = a.dimensions;
  auto* items = space.make<datum>(total);
  if (items == nullptr)
    return outcome::failed;
  auto* next = items;
  copy_slice(a, from, slice, 0, 0, next);
  slice.items = {items, total};
  return store(slice, out, space);
}

} // namespace

outcome array_at(const array_value& a, std::span<const subscript> subscripts, value& out,
                 workspace& space) noexcept {
  if (std::any_of(subscripts.begin(), subscripts.end(), [](const subscript& s) { return s.slice; }))
    return slice_of(a, subscripts, out, space);
  return dimensions_of(a) == subscripts.size() ? element_at(a, subscripts, out) : outcome::null;
}

outcome position_in_array(const array_value& a, const datum& item, value& out) noexcept {
  if (a.dimensions > 1)
    return outcome::failed;
  const auto how = kernel_of(a.element);
  for (std::size_t i = 0; i < a.items.size(); ++i) {
    if (compare_items(how, a.items[i], item) == 0) {
      out.integer = a.lower[0] + static_cast<std::int64_t>(i);
      return outcome::ok;
    }
  }
  return outcome::null;
}

} // namespace busbar::sql
