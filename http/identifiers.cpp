#include "http/identifiers.hpp"

#include "http/utf8.hpp"

namespace busbar::http {

namespace {

constexpr std::size_t characters_max = 63;

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

/// Any character beyond ASCII counts as a letter, as in PostgreSQL's own lexer: a name that no
/// table bears is refused later with the same status and field.
bool is_letter(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 0x80;
}

std::vector<std::string_view> split_outside_quotes(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  bool quoted = false;
  std::size_t start = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') {
      quoted = !quoted;
    } else if (text[i] == separator && !quoted) {
      parts.push_back(text.substr(start, i - start));
      start = i + 1;
    }
  }
  parts.push_back(text.substr(start));
  return parts;
}

identified<std::string> unquote(std::string_view text) {
  const auto inner = text.substr(1, text.size() - 2);
  std::string name;
  for (std::size_t i = 0; i < inner.size(); ++i) {
    if (inner[i] == '\0')
      return tl::unexpected{std::string{"identifier contains a zero byte"}};
    if (inner[i] == '"') {
      if (i + 1 == inner.size() || inner[i + 1] != '"')
        return tl::unexpected{
            std::string{"identifier has a quote that is not doubled: "}.append(text)};
      ++i;
    }
    name.push_back(inner[i]);
  }
  return name;
}

identified<std::string> fold(std::string_view text) {
  std::string name{text};
  for (std::size_t i = 0; i < name.size(); ++i) {
    char& c = name[i];
    const bool fits = is_letter(c) || c == '_' || (i > 0 && (is_digit(c) || c == '$'));
    if (!fits)
      return tl::unexpected{std::string{"invalid unquoted identifier: "}.append(text)};
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
  }
  return name;
}

} // namespace

identified<std::string> parse_identifier(std::string_view text) {
  const bool quoted = text.size() >= 2 && text.front() == '"' && text.back() == '"';
  auto name = quoted ? unquote(text) : fold(text);
  if (!name)
    return name;
  if (name->empty())
    return tl::unexpected{std::string{"identifier is empty"}};
  if (count_characters(*name) > characters_max)
    return tl::unexpected{std::string{"identifier is longer than 63 characters: "}.append(text)};
  return name;
}

identified<table_name> parse_table_name(std::string_view text) {
  const auto parts = split_outside_quotes(text, '.');
  if (parts.size() > 2)
    return tl::unexpected{std::string{"too many dots in table name: "}.append(text)};
  table_name name;
  if (parts.size() == 2) {
    auto schema = parse_identifier(parts.front());
    if (!schema)
      return tl::unexpected{std::move(schema).error()};
    name.schema = std::move(*schema);
  }
  auto table = parse_identifier(parts.back());
  if (!table)
    return tl::unexpected{std::move(table).error()};
  name.table = std::move(*table);
  return name;
}

identified<std::vector<std::string>> parse_identifier_list(std::string_view text) {
  std::vector<std::string> names;
  for (const auto part : split_outside_quotes(text, ',')) {
    auto name = parse_identifier(part);
    if (!name)
      return tl::unexpected{std::move(name).error()};
    names.push_back(std::move(*name));
  }
  return names;
}

} // namespace busbar::http
