#include "http/request_identity.hpp"

#include <algorithm>

namespace busbar::http {

namespace {

constexpr std::size_t id_bytes_min = 20;
constexpr std::size_t id_bytes_max = 200;

bool is_hex(std::string_view text) noexcept {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_zero(std::string_view text) noexcept {
  return text.find_first_not_of('0') == std::string_view::npos;
}

} // namespace

bool is_request_id(std::string_view text) noexcept {
  return text.size() >= id_bytes_min && text.size() <= id_bytes_max &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

std::string make_request_id(std::uint64_t a, std::uint64_t b) {
  constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef";
  std::string id(id_bytes_min, 'A');
  for (std::size_t i = 0; i < id.size(); ++i) {
    auto& source = i < 10 ? a : b;
    id[i] = letters[source % letters.size()];
    source /= letters.size();
  }
  return id;
}

std::string_view trace_id_of(std::string_view text) noexcept {
  // version-trace-parent-flags; what later versions add stands behind another dash.
  constexpr std::size_t known_bytes = 55;
  if (text.size() < known_bytes || text[2] != '-' || text[35] != '-' || text[52] != '-')
    return {};
  const auto version = text.substr(0, 2);
  const auto trace = text.substr(3, 32);
  const auto parent = text.substr(36, 16);
  const auto flags = text.substr(53, 2);
  if (!is_hex(version) || version == "ff" || !is_hex(trace) || is_zero(trace) || !is_hex(parent) ||
      is_zero(parent) || !is_hex(flags))
    return {};
  if (text.size() > known_bytes && (version == "00" || text[known_bytes] != '-'))
    return {};
  return trace;
}

} // namespace busbar::http
