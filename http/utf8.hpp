// http/utf8.hpp: is this text UTF-8, and how long is it in characters?
#pragma once

#include <cstddef>
#include <string_view>

namespace busbar::http {

/// Rejects overlong forms, surrogates and anything above U+10FFFF.
inline bool is_utf8(std::string_view text) noexcept {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = p + text.size();
  const auto continues = [end](const unsigned char* q) { return q != end && (*q & 0xc0) == 0x80; };
  while (p != end) {
    const unsigned char lead = *p++;
    if (lead < 0x80)
      continue;
    if (lead >= 0xc2 && lead <= 0xdf) {
      if (!continues(p))
        return false;
      p += 1;
    } else if (lead >= 0xe0 && lead <= 0xef) {
      if (!continues(p) || !continues(p + 1))
        return false;
      if ((lead == 0xe0 && *p < 0xa0) || (lead == 0xed && *p > 0x9f))
        return false;
      p += 2;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      if (!continues(p) || !continues(p + 1) || !continues(p + 2))
        return false;
      if ((lead == 0xf0 && *p < 0x90) || (lead == 0xf4 && *p > 0x8f))
        return false;
      p += 3;
    } else {
      return false;
    }
  }
  return true;
}

/// Code points in valid UTF-8.
inline std::size_t count_characters(std::string_view text) noexcept {
  std::size_t count = 0;
  for (const char c : text)
    count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return count;
}

} // namespace busbar::http
