// base/json_text.hpp: writing JSON strings. Only `"`, `\` and control characters are escaped
// (spec shape-protocol 11.3); everything else is passed on as the UTF-8 it is.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace busbar {

namespace detail {
/// For each byte: 0 = copy, 'u' = \u00XX, else the letter after the backslash.
inline constexpr auto json_escapes = [] {
  std::array<char, 256> table{};
  for (int i = 0; i < 0x20; ++i)
    table[static_cast<std::size_t>(i)] = 'u';
  table['\b'] = 'b';
  table['\f'] = 'f';
  table['\n'] = 'n';
  table['\r'] = 'r';
  table['\t'] = 't';
  table['"'] = '"';
  table['\\'] = '\\';
  return table;
}();
} // namespace detail

/// Appends `text` with JSON escapes, without the surrounding quotes.
inline void append_json_escaped(std::string& out, std::string_view text) {
  const char* run = text.data();
  const char* end = run + text.size();
  for (const char* p = run; p != end; ++p) {
    const char escape = detail::json_escapes[static_cast<unsigned char>(*p)];
    if (escape == 0) [[likely]]
      continue;
    out.append(run, p);
    out.push_back('\\');
    out.push_back(escape);
    if (escape == 'u') {
      constexpr char digits[] = "0123456789abcdef";
      out.append("00");
      out.push_back(digits[static_cast<unsigned char>(*p) >> 4]);
      out.push_back(digits[static_cast<unsigned char>(*p) & 15]);
    }
    run = p + 1;
  }
  out.append(run, end);
}

/// Appends `text` as a JSON string, quotes included.
inline void append_json_string(std::string& out, std::string_view text) {
  out.push_back('"');
  append_json_escaped(out, text);
  out.push_back('"');
}

inline std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

} // namespace busbar
