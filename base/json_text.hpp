// base/json_text.hpp: writing JSON strings. Only `"`, `\` and control characters are escaped
// (spec shape-protocol 11.3); everything else is passed on as the UTF-8 it is.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

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

namespace detail {
/// The first byte from `p` on that needs an escape, or `end`. Most text needs none, so the search
/// goes sixteen bytes at a time where the processor can.
inline const char* find_json_escape(const char* p, const char* end) {
#ifdef __SSE2__
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i backslash = _mm_set1_epi8('\\');
  const __m128i last_control = _mm_set1_epi8(0x1f);
  for (; end - p >= 16; p += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
    const __m128i special = _mm_or_si128(
        control, _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)));
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(special));
    if (mask != 0)
      return p + std::countr_zero(mask);
  }
#endif
  while (p != end && json_escapes[static_cast<unsigned char>(*p)] == 0)
    ++p;
  return p;
}
} // namespace detail

/// Appends `text` with JSON escapes, without the surrounding quotes.
inline void append_json_escaped(std::string& out, std::string_view text) {
  const char* run = text.data();
  const char* end = run + text.size();
  for (const char* p = detail::find_json_escape(run, end); p != end;
       p = detail::find_json_escape(run, end)) {
    const char escape = detail::json_escapes[static_cast<unsigned char>(*p)];
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
