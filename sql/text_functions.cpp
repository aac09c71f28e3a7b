// Strings, patterns and bytes.
#include "sql/functions.hpp"
#include "sql/letter_case.hpp"
#include "sql/text.hpp"

#include <algorithm>
#include <limits>

namespace busbar::sql {
namespace {

std::string_view first(const call& c) noexcept {
  return c.args[0].v.text;
}
std::string_view second(const call& c) noexcept {
  return c.args[1].v.text;
}

outcome answer(bool yes, value& out) noexcept {
  out.integer = yes;
  return outcome::ok;
}

// --- Patterns --------------------------------------------------------------------------------

outcome matched(std::string_view text, std::string_view pattern, bool wanted, value& out) noexcept {
  const auto found = like(text, pattern);
  return found == match::bad_pattern ? outcome::failed
                                     : answer((found == match::yes) == wanted, out);
}

template <bool Wanted>
outcome is_like(const call& c, value& out) noexcept {
  return matched(first(c), second(c), Wanted, out);
}

template <bool Wanted>
outcome is_like_in_any_case(const call& c, value& out) noexcept {
  std::string_view text;
  std::string_view pattern;
  if (!to_lower(first(c), c.cases, text, c.space) ||
      !to_lower(second(c), c.cases, pattern, c.space))
    return outcome::failed;
  return matched(text, pattern, Wanted, out);
}

/// LIKE … ESCAPE: the pattern as one whose escape character is the backslash.
outcome escape_pattern(const call& c, value& out) noexcept {
  const auto pattern = first(c);
  const auto escape = second(c);
  char* copy = c.space.make<char>(pattern.size() * 2);
  if (copy == nullptr || count_characters(escape) > 1)
    return outcome::failed;
  if (escape == "\\") {
    out.text = pattern;
    return outcome::ok;
  }
  std::size_t size = 0;
  bool after_escape = false;
  for (auto rest = pattern; !rest.empty();) {
    const auto character = rest.substr(0, character_size(rest));
    rest.remove_prefix(character.size());
    if (!escape.empty() && character == escape && !after_escape) {
      copy[size++] = '\\';
      after_escape = true;
      continue;
    }
    if (character == "\\" && !after_escape)
      copy[size++] = '\\';
    size += character.copy(copy + size, character.size());
    after_escape = false;
  }
  out.text = {copy, size};
  return outcome::ok;
}

outcome begins_with(const call& c, value& out) noexcept {
  return answer(first(c).starts_with(second(c)), out);
}

// --- Making strings --------------------------------------------------------------------------

outcome joined(std::string_view a, std::string_view b, value& out, workspace& space) noexcept {
  char* copy = space.make<char>(a.size() + b.size());
  if (copy == nullptr)
    return outcome::failed;
  a.copy(copy, a.size());
  b.copy(copy + a.size(), b.size());
  out.text = {copy, a.size() + b.size()};
  return outcome::ok;
}

outcome concatenate(const call& c, value& out) noexcept {
  return joined(first(c), second(c), out, c.space);
}
outcome concatenate_bytes(const call& c, value& out) noexcept {
  return joined(first(c), second(c).substr(2), out, c.space);
}

outcome lower(const call& c, value& out) noexcept {
  return to_lower(first(c), c.cases, out.text, c.space) ? outcome::ok : outcome::failed;
}
outcome upper(const call& c, value& out) noexcept {
  return to_upper(first(c), c.cases, out.text, c.space) ? outcome::ok : outcome::failed;
}

outcome replace(const call& c, value& out) noexcept {
  auto text = first(c);
  const auto from = second(c);
  const auto to = c.args[2].v.text;
  std::size_t times = 0;
  if (!from.empty())
    for (auto at = text.find(from); at != text.npos; at = text.find(from, at + from.size()))
      ++times;
  if (times == 0) {
    out.text = text;
    return outcome::ok;
  }
  const auto kept = text.size() - times * from.size();
  if (!to.empty() && times > workspace::bytes_max / to.size())
    return outcome::failed;
  char* copy = c.space.make<char>(kept + times * to.size());
  if (copy == nullptr)
    return outcome::failed;
  std::size_t size = 0;
  for (auto at = text.find(from); at != text.npos; at = text.find(from)) {
    size += text.copy(copy + size, at);
    size += to.copy(copy + size, to.size());
    text.remove_prefix(at + from.size());
  }
  size += text.copy(copy + size, text.size());
  out.text = {copy, size};
  return outcome::ok;
}

// --- Parts of strings ------------------------------------------------------------------------

outcome part(std::string_view text, value& out) noexcept {
  out.text = text;
  return outcome::ok;
}

/// Negative counts are from the other end.
std::size_t kept_characters(std::string_view text, std::int64_t count) noexcept {
  const auto all = static_cast<std::int64_t>(count_characters(text));
  return static_cast<std::size_t>(count >= 0 ? std::min(count, all)
                                             : std::max<std::int64_t>(0, all + count));
}
outcome left(const call& c, value& out) noexcept {
  return part(first_characters(first(c), kept_characters(first(c), c.args[1].v.integer)), out);
}
outcome right(const call& c, value& out) noexcept {
  const auto kept = kept_characters(first(c), c.args[1].v.integer);
  const auto dropped = first_characters(first(c), count_characters(first(c)) - kept);
  return part(first(c).substr(dropped.size()), out);
}

outcome substring(const call& c, value& out) noexcept {
  const auto text = first(c);
  const auto all = static_cast<std::int64_t>(count_characters(text));
  const auto from = c.args[1].v.integer;
  auto end = all + 1;
  if (c.args.size() > 2) {
    if (c.args[2].v.integer < 0)
      return outcome::failed;
    end = std::min(end, from + c.args[2].v.integer);
  }
  const auto start = std::clamp<std::int64_t>(from, 1, all + 1);
  if (end <= start)
    return part({}, out);
  const auto rest = text.substr(first_characters(text, static_cast<std::size_t>(start - 1)).size());
  return part(first_characters(rest, static_cast<std::size_t>(end - start)), out);
}

bool has_character(std::string_view set, std::string_view character) noexcept {
  for (; !set.empty(); set.remove_prefix(character_size(set)))
    if (set.substr(0, character_size(set)) == character)
      return true;
  return false;
}

template <bool Left, bool Right>
outcome trim(const call& c, value& out) noexcept {
  auto text = first(c);
  const auto set = c.args.size() > 1 ? second(c) : std::string_view{" "};
  while (Left && !text.empty() && has_character(set, text.substr(0, character_size(text))))
    text.remove_prefix(character_size(text));
  while (Right && !text.empty()) {
    auto start = text.size() - 1;
    while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xc0) == 0x80)
      --start;
    if (!has_character(set, text.substr(start)))
      break;
    text = text.substr(0, start);
  }
  return part(text, out);
}

// --- Numbers about strings -------------------------------------------------------------------

outcome length(const call& c, value& out) noexcept {
  out.integer = static_cast<std::int64_t>(count_characters(first(c)));
  return outcome::ok;
}
outcome length_without_blanks(const call& c, value& out) noexcept {
  out.integer = static_cast<std::int64_t>(count_characters(trim_blanks(first(c))));
  return outcome::ok;
}
outcome bytes(const call& c, value& out) noexcept {
  out.integer = static_cast<std::int64_t>(first(c).size());
  return outcome::ok;
}
outcome bytes_of_hex(const call& c, value& out) noexcept {
  out.integer = static_cast<std::int64_t>(first(c).size() / 2 - 1);
  return outcome::ok;
}
outcome position(const call& c, value& out) noexcept {
  const auto found = first(c).find(second(c));
  out.integer = found == std::string_view::npos
                    ? 0
                    : static_cast<std::int64_t>(count_characters(first(c).substr(0, found))) + 1;
  return outcome::ok;
}

constexpr auto none = type::unknown;
constexpr auto t = type::text;
constexpr auto bp = type::bpchar;
constexpr auto nm = type::name;
constexpr auto by = type::bytea;
constexpr auto i4 = type::int4;
constexpr auto yes = type::boolean;

constexpr function text_function(std::string_view name, std::array<type, 3> args, type result,
                                 implementation run, letters about = letters::any) {
  return {.name = name, .args = args, .result = result, .run = run, .about = about};
}

constexpr function operators[] = {
    text_function("~~", {t, t, none}, yes, is_like<true>, letters::equal),
    text_function("~~", {bp, t, none}, yes, is_like<true>, letters::equal),
    text_function("~~", {nm, t, none}, yes, is_like<true>, letters::equal),
    text_function("!~~", {t, t, none}, yes, is_like<false>, letters::equal),
    text_function("!~~", {bp, t, none}, yes, is_like<false>, letters::equal),
    text_function("!~~", {nm, t, none}, yes, is_like<false>, letters::equal),
    text_function("~~*", {t, t, none}, yes, is_like_in_any_case<true>, letters::cases),
    text_function("~~*", {bp, t, none}, yes, is_like_in_any_case<true>, letters::cases),
    text_function("~~*", {nm, t, none}, yes, is_like_in_any_case<true>, letters::cases),
    text_function("!~~*", {t, t, none}, yes, is_like_in_any_case<false>, letters::cases),
    text_function("!~~*", {bp, t, none}, yes, is_like_in_any_case<false>, letters::cases),
    text_function("!~~*", {nm, t, none}, yes, is_like_in_any_case<false>, letters::cases),
    text_function("^@", {t, t, none}, yes, begins_with, letters::equal),
    text_function("||", {t, t, none}, t, concatenate),
    text_function("||", {t, type::any_non_array, none}, t, concatenate),
    text_function("||", {type::any_non_array, t, none}, t, concatenate),
    text_function("||", {by, by, none}, by, concatenate_bytes),
};

constexpr function functions[] = {
    text_function("lower", {t, none, none}, t, lower, letters::cases),
    text_function("upper", {t, none, none}, t, upper, letters::cases),
    text_function("like_escape", {t, t, none}, t, escape_pattern),
    text_function("starts_with", {t, t, none}, yes, begins_with, letters::equal),
    text_function("replace", {t, t, t}, t, replace, letters::equal),
    text_function("left", {t, i4, none}, t, left),
    text_function("right", {t, i4, none}, t, right),
    text_function("substr", {t, i4, none}, t, substring),
    text_function("substr", {t, i4, i4}, t, substring),
    text_function("substring", {t, i4, none}, t, substring),
    text_function("substring", {t, i4, i4}, t, substring),
    text_function("btrim", {t, none, none}, t, trim<true, true>),
    text_function("btrim", {t, t, none}, t, trim<true, true>),
    text_function("ltrim", {t, none, none}, t, trim<true, false>),
    text_function("ltrim", {t, t, none}, t, trim<true, false>),
    text_function("rtrim", {t, none, none}, t, trim<false, true>),
    text_function("rtrim", {t, t, none}, t, trim<false, true>),
    text_function("length", {t, none, none}, i4, length),
    text_function("length", {bp, none, none}, i4, length_without_blanks),
    text_function("length", {by, none, none}, i4, bytes_of_hex),
    text_function("char_length", {t, none, none}, i4, length),
    text_function("char_length", {bp, none, none}, i4, length_without_blanks),
    text_function("character_length", {t, none, none}, i4, length),
    text_function("character_length", {bp, none, none}, i4, length_without_blanks),
    text_function("octet_length", {t, none, none}, i4, bytes),
    text_function("octet_length", {bp, none, none}, i4, bytes),
    text_function("octet_length", {by, none, none}, i4, bytes_of_hex),
    text_function("strpos", {t, t, none}, i4, position, letters::equal),
    text_function("position", {t, t, none}, i4, position, letters::equal),
};

} // namespace

std::span<const function> text_operators() noexcept {
  return operators;
}
std::span<const function> text_functions() noexcept {
  return functions;
}

} // namespace busbar::sql
