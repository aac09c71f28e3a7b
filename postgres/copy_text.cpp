#include "postgres/copy_text.hpp"

#include <cstring>

namespace busbar::postgres {

namespace {

char unescaped(char letter) {
  switch (letter) {
  case 'b':
    return '\b';
  case 'f':
    return '\f';
  case 'n':
    return '\n';
  case 'r':
    return '\r';
  case 't':
    return '\t';
  case 'v':
    return '\v';
  default:
    return letter; // a backslash, or what needs none
  }
}

/// Replaces the escapes of one value in place; its new end, or nullptr if a backslash is the last.
char* unescape(char* first_backslash, char* end) {
  char* to = first_backslash;
  for (char* from = first_backslash; from != end;) {
    if (*from == '\\') {
      if (from + 1 == end)
        return nullptr;
      *to++ = unescaped(from[1]);
      from += 2;
      continue;
    }
    auto* next = static_cast<char*>(std::memchr(from, '\\', static_cast<std::size_t>(end - from)));
    const auto run = static_cast<std::size_t>((next == nullptr ? end : next) - from);
    std::memmove(to, from, run);
    to += run;
    from += run;
  }
  return to;
}

} // namespace

bool split_copy_line(char* line, std::size_t bytes, std::size_t columns,
                     std::vector<sql::cell>& cells) {
  cells.clear();
  if (bytes > 0 && line[bytes - 1] == '\n')
    --bytes;
  if (columns == 0)
    return bytes == 0;
  // Most rows have no escape at all, and then no value needs to be looked at for one.
  const bool has_escapes = std::memchr(line, '\\', bytes) != nullptr;
  char* const end = line + bytes;
  for (char* at = line;;) {
    auto* tab = static_cast<char*>(std::memchr(at, '\t', static_cast<std::size_t>(end - at)));
    char* value_end = tab == nullptr ? end : tab;
    const auto size = static_cast<std::size_t>(value_end - at);
    if (cells.size() == columns)
      return false;
    if (has_escapes && size == 2 && at[0] == '\\' && at[1] == 'N') {
      cells.emplace_back(std::nullopt);
    } else {
      if (auto* backslash =
              has_escapes ? static_cast<char*>(std::memchr(at, '\\', size)) : nullptr) {
        value_end = unescape(backslash, value_end);
        if (value_end == nullptr)
          return false;
      }
      cells.emplace_back(std::string_view{at, static_cast<std::size_t>(value_end - at)});
    }
    if (tab == nullptr)
      return cells.size() == columns;
    at = tab + 1;
  }
}

} // namespace busbar::postgres
