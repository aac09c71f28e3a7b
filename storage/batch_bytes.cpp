#include "storage/batch_bytes.hpp"

#include <cstddef>
#include <string>

namespace busbar::storage {

namespace {

std::uint64_t read_little(std::string_view bytes) {
  std::uint64_t x = 0;
  for (std::size_t i = bytes.size(); i > 0; --i)
    x = x << 8 | static_cast<unsigned char>(bytes[i - 1]);
  return x;
}

void put_little(std::string& to, std::uint64_t x, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i)
    to.push_back(static_cast<char>(x >> (8 * i)));
}

std::optional<std::uint32_t> take_number(std::string_view& rest) {
  std::uint64_t x = 0;
  for (int shift = 0; shift < 35 && !rest.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(rest.front());
    rest.remove_prefix(1);
    x |= std::uint64_t{byte & 0x7fu} << shift;
    if ((byte & 0x80u) == 0)
      return x <= 0xffff'ffffu ? std::optional{static_cast<std::uint32_t>(x)} : std::nullopt;
  }
  return std::nullopt;
}

std::optional<std::string_view> take_text(std::string_view& rest) {
  const auto size = take_number(rest);
  if (!size || *size > rest.size())
    return std::nullopt;
  const auto text = rest.substr(0, *size);
  rest.remove_prefix(*size);
  return text;
}

} // namespace

std::optional<batch_change> take_change(std::string_view& rest) {
  if (rest.empty())
    return std::nullopt;
  batch_change change;
  change.what = static_cast<batch_change::kind>(rest.front());
  rest.remove_prefix(1);
  if (change.what != batch_change::deletion && change.what != batch_change::value &&
      change.what != batch_change::range_deletion)
    return std::nullopt;
  const auto family = take_number(rest);
  const auto key = family ? take_text(rest) : std::nullopt;
  if (!key)
    return std::nullopt;
  change.family = *family;
  change.key = *key;
  if (change.what == batch_change::deletion)
    return change;
  const auto second = take_text(rest);
  if (!second)
    return std::nullopt;
  change.second = *second;
  return change;
}

std::optional<replicated_batch> read_batch(std::string_view bytes) {
  if (bytes.size() < batch_head_bytes)
    return std::nullopt;
  return replicated_batch{.first = read_little(bytes.substr(0, 8)),
                          .count = static_cast<std::uint32_t>(read_little(bytes.substr(8, 4))),
                          .bytes = std::string{bytes}};
}

std::optional<replicated_batch> without_first(const replicated_batch& batch,
                                              std::uint32_t changes) {
  if (batch.bytes.size() < batch_head_bytes || changes >= batch.count)
    return std::nullopt;
  auto rest = std::string_view{batch.bytes}.substr(batch_head_bytes);
  for (std::uint32_t i = 0; i < changes; ++i)
    if (!take_change(rest))
      return std::nullopt;
  replicated_batch left{
      .first = batch.first + changes, .count = batch.count - changes, .bytes = {}};
  left.bytes.reserve(batch_head_bytes + rest.size());
  put_little(left.bytes, left.first, 8);
  put_little(left.bytes, left.count, 4);
  left.bytes += rest;
  return left;
}

} // namespace busbar::storage
