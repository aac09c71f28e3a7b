#include "sql/text.hpp"

namespace busbar::sql {
// A `%` is matched against as little as possible; on a mismatch only the last `%` seen takes one
// character more. Going back to an earlier one could not help: what lies between two `%` has
// already been matched as early as it can be. So there is no recursion and no exponential case.
match like(std::string_view text, std::string_view pattern) noexcept {
  bool starred = false;
  std::string_view star_text;
  std::string_view star_pattern;
  for (;;) {
    bool mismatch = false;
    if (pattern.empty()) {
      if (text.empty())
        return match::yes;
      mismatch = true;
    } else if (pattern.front() == '%') {
      pattern.remove_prefix(1);
      while (!pattern.empty() && (pattern.front() == '%' || pattern.front() == '_')) {
        if (pattern.front() == '_') {
          if (text.empty())
            return match::no;
          text.remove_prefix(character_size(text));
        }
        pattern.remove_prefix(1);
      }
      if (pattern.empty())
        return match::yes;
      if (pattern == "\\")
        return match::bad_pattern;
      starred = true;
      star_text = text;
      star_pattern = pattern;
      continue;
    } else if (text.empty()) {
      return match::no;
    } else if (pattern.front() == '_') {
      text.remove_prefix(character_size(text));
      pattern.remove_prefix(1);
      continue;
    } else {
      auto rest = pattern;
      if (rest.front() == '\\') {
        rest.remove_prefix(1);
        if (rest.empty())
          return match::bad_pattern;
      }
      mismatch = rest.front() != text.front();
      if (!mismatch) {
        rest.remove_prefix(1);
        pattern = rest;
        text.remove_prefix(1);
        continue;
      }
    }
    if (!starred || star_text.empty())
      return match::no;
    star_text.remove_prefix(character_size(star_text));
    if (star_text.empty())
      return match::no;
    text = star_text;
    pattern = star_pattern;
  }
}

} // namespace busbar::sql
