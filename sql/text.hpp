// sql/text.hpp: the little that every reader of a literal needs, and LIKE.
#pragma once

#include <string_view>

namespace busbar::sql {

/// isspace() in the C locale, whatever the process's locale is.
constexpr bool is_space(char c) noexcept {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
constexpr bool is_letter(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr char to_lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

constexpr std::string_view trim_spaces(std::string_view text) noexcept {
  while (!text.empty() && is_space(text.front()))
    text.remove_prefix(1);
  while (!text.empty() && is_space(text.back()))
    text.remove_suffix(1);
  return text;
}

/// bpchar's meaning: trailing blanks do not count.
constexpr std::string_view trim_blanks(std::string_view text) noexcept {
  while (!text.empty() && text.back() == ' ')
    text.remove_suffix(1);
  return text;
}

/// Bytes of the UTF-8 character at the front of a text that is not empty.
constexpr std::size_t character_size(std::string_view text) noexcept {
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t size = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  return size < text.size() ? size : text.size();
}

constexpr std::size_t count_characters(std::string_view text) noexcept {
  std::size_t count = 0;
  for (const char c : text)
    count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return count;
}

/// The first `count` characters.
constexpr std::string_view first_characters(std::string_view text, std::size_t count) noexcept {
  auto rest = text;
  for (; count > 0 && !rest.empty(); --count)
    rest.remove_prefix(character_size(rest));
  return text.substr(0, text.size() - rest.size());
}

/// At most that many bytes, and whole characters only.
constexpr std::string_view first_bytes(std::string_view text, std::size_t bytes) noexcept {
  if (text.size() <= bytes)
    return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80)
    --bytes;
  return text.substr(0, bytes);
}
inline constexpr std::size_t name_bytes_max = 63;

/// Cuts the leading digits off `text` and returns them.
constexpr std::string_view take_digits(std::string_view& text) noexcept {
  std::size_t count = 0;
  while (count < text.size() && is_digit(text[count]))
    ++count;
  const auto digits = text.substr(0, count);
  text.remove_prefix(count);
  return digits;
}

/// Compares without regard to ASCII case; `lower` is in lower case.
constexpr bool is_word(std::string_view text, std::string_view lower) noexcept {
  if (text.size() != lower.size())
    return false;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (to_lower(text[i]) != lower[i])
      return false;
  return true;
}

enum class match : unsigned char { no, yes, bad_pattern };

/// `text` LIKE `pattern` with escape character backslash; both are UTF-8. `bad_pattern` exactly
/// where PostgreSQL complains that the pattern ends with the escape character.
match like(std::string_view text, std::string_view pattern) noexcept;

} // namespace busbar::sql
