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
