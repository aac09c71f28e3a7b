#include "actors/expiry.hpp"

#include <algorithm>

namespace busbar {

std::vector<expired_shape> choose_expired(std::span<shape_use> shapes, const expiry_limits& limits,
                                          std::uint64_t now, std::chrono::seconds grace) {
  std::size_t count = 0;
  std::uint64_t bytes = 0;
  for (const auto& shape : shapes) {
    count += shape.counts ? 1 : 0;
    bytes += shape.bytes;
  }
  std::ranges::sort(shapes, [](const auto& a, const auto& b) {
    return a.read_at != b.read_at ? a.read_at < b.read_at : a.index < b.index;
  });
  // A clock that was set back makes shapes younger, never older.
  const auto unread_for = [now](const shape_use& shape) {
    return shape.read_at < now ? now - shape.read_at : 0;
  };
  std::vector<expired_shape> expired;
  for (const auto& shape : shapes) {
    if (!shape.may_go)
      continue;
    const auto age = unread_for(shape);
    if (age < static_cast<std::uint64_t>(grace.count()))
      break; // and so are all that follow
    std::string_view why;
    if (limits.idle.count() > 0 && age >= static_cast<std::uint64_t>(limits.idle.count()))
      why = "it has expired: nobody has read it for long";
    else if (limits.shapes_max > 0 && count > limits.shapes_max)
      why = "it has expired: there are more shapes than allowed";
    else if (limits.bytes_max > 0 && bytes > limits.bytes_max)
      why = "it has expired: more is kept than allowed";
    else
      break; // those that follow have been read later
    expired.push_back({shape.index, why});
    count -= shape.counts ? 1 : 0;
    bytes -= shape.bytes;
  }
  return expired;
}

} // namespace busbar
