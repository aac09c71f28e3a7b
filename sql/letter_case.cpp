#include "sql/letter_case.hpp"

#include "sql/text.hpp"

#include <clocale>
#include <cwctype>

namespace busbar::sql {
namespace {

/// The C library's C.UTF-8, whose letters PostgreSQL uses for a collation of that name. Its table
/// is Unicode's, character by character; it only ever grows with the library's version.
class unicode_letters {
public:
  unicode_letters() noexcept : locale_{newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)} {}
  ~unicode_letters() {
    if (exists())
      freelocale(locale_);
  }
  unicode_letters(const unicode_letters&) = delete;
  unicode_letters& operator=(const unicode_letters&) = delete;

  bool exists() const noexcept { return locale_ != nullptr; }
  wint_t change(wint_t letter, bool upper) const noexcept {
    return upper ? towupper_l(letter, locale_) : towlower_l(letter, locale_);
  }

private:
  locale_t locale_;
};

const unicode_letters& table() noexcept {
  static const unicode_letters letters;
  return letters;
}

wint_t decode(std::string_view character) noexcept {
  const auto lead = static_cast<unsigned char>(character.front());
  wint_t code = character.size() == 1   ? lead
                : character.size() == 2 ? lead & 0x1fu
                : character.size() == 3 ? lead & 0x0fu
                                        : lead & 0x07u;
  for (const char c : character.substr(1))
    code = code << 6 | (static_cast<unsigned char>(c) & 0x3fu);
  return code;
}

char* encode(wint_t code, char* out) noexcept {
  if (code < 0x80) {
    *out++ = static_cast<char>(code);
    return out;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  constexpr unsigned leads[] = {0, 0xc0, 0xe0, 0xf0};
  *out++ = static_cast<char>(leads[more] | code >> (6 * more));
  for (int i = more - 1; i >= 0; --i)
    *out++ = static_cast<char>(0x80u | (code >> (6 * i) & 0x3fu));
  return out;
}

bool change(std::string_view text, case_rule rule, bool upper, std::string_view& out,
            workspace& space) noexcept {
  if (rule == case_rule::unknown)
    return false;
  char* copy = space.make<char>(text.size() * 2); // two bytes become three at most
  if (copy == nullptr)
    return false;
  char* end = copy;
  while (!text.empty()) {
    const auto character = text.substr(0, character_size(text));
    text.remove_prefix(character.size());
    const char c = character.front();
    if (character.size() == 1)
      *end++ = !upper ? to_lower(c) : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    else if (rule == case_rule::unicode)
      end = encode(table().change(decode(character), upper), end);
    else
      end += character.copy(end, character.size());
  }
  out = {copy, static_cast<std::size_t>(end - copy)};
  return true;
}

} // namespace

bool can_change_case(case_rule rule) noexcept {
  return rule == case_rule::ascii || (rule == case_rule::unicode && table().exists());
}

bool to_lower(std::string_view text, case_rule rule, std::string_view& out,
              workspace& space) noexcept {
  return change(text, rule, false, out, space);
}
bool to_upper(std::string_view text, case_rule rule, std::string_view& out,
              workspace& space) noexcept {
  return change(text, rule, true, out, space);
}

} // namespace busbar::sql
