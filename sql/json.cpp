#include "sql/json.hpp"

#include "sql/decimal.hpp"

namespace busbar::sql {
namespace {

constexpr int nesting_max = 200;

/// Cuts one value or key off the front of a normal text.
std::string_view take_part(std::string_view& rest) noexcept {
  std::size_t size = 0;
  std::size_t depth = 0;
  bool in_string = false;
  for (; size < rest.size(); ++size) {
    const char c = rest[size];
    if (in_string) {
      if (c == '\\')
        ++size;
      else if (c == '"')
        in_string = false;
      if (!in_string && depth == 0) {
        ++size;
        break;
      }
      continue;
    }
    if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (depth == 0)
        break;
      if (--depth == 0) {
        ++size;
        break;
      }
    } else if (depth == 0 && (c == ',' || c == ':')) {
      break;
    }
  }
  size = std::min(size, rest.size());
  const auto part = rest.substr(0, size);
  rest.remove_prefix(size);
  return part;
}

/// Walks the members of an object or the elements of an array; a scalar is its own only element.
class members {
public:
  explicit members(std::string_view json) : rest_{json} {
    is_object_ = json.starts_with('{');
    if (is_object_ || json.starts_with('[')) {
      rest_.remove_prefix(1);
      if (!rest_.empty())
        rest_.remove_suffix(1);
    }
  }

  bool next() noexcept {
    if (rest_.empty())
      return false;
    if (is_object_) {
      key_ = take_part(rest_);
      rest_.remove_prefix(std::min<std::size_t>(2, rest_.size())); // ": "
    }
    part_ = take_part(rest_);
    rest_.remove_prefix(std::min<std::size_t>(2, rest_.size())); // ", "
    return true;
  }
  std::string_view key() const noexcept { return key_; } ///< With its quotes.
  std::string_view part() const noexcept { return part_; }

private:
  std::string_view rest_;
  std::string_view key_;
  std::string_view part_;
  bool is_object_ = false;
};

bool is_object(std::string_view json) noexcept {
  return json.starts_with('{');
}
bool is_array_text(std::string_view json) noexcept {
  return json.starts_with('[');
}
bool is_scalar(std::string_view json) noexcept {
  return !is_object(json) && !is_array_text(json);
}
bool is_number(char c) noexcept {
  return c == '-' || (c >= '0' && c <= '9');
}

bool equal_numbers(std::string_view a, std::string_view b) noexcept {
  decimal x;
  decimal y;
  return read_decimal(a, x) == reading::ok && read_decimal(b, y) == reading::ok &&
         compare(x, y) == 0;
}

std::string_view take_number(std::string_view& rest) noexcept {
  std::size_t size = 0;
  while (size < rest.size() && (is_number(rest[size]) || rest[size] == '.'))
    ++size;
  const auto number = rest.substr(0, size);
  rest.remove_prefix(size);
  return number;
}

/// Nothing if there is no such key.
std::string_view member_of(std::string_view object, std::string_view key) noexcept {
  for (members m{object}; m.next();)
    if (m.key() == key)
      return m.part();
  return {};
}

enum class answer : std::uint8_t { no, yes, too_deep };

answer contains(std::string_view a, std::string_view b, int depth) noexcept;

/// Whether an element of the array `a` matches `part`, as PostgreSQL looks for it.
answer has_matching(std::string_view a, std::string_view part, int depth) noexcept {
  for (members m{a}; m.next();) {
    if (is_scalar(part)) {
      if (is_scalar(m.part()) && json_equal(m.part(), part))
        return answer::yes;
    } else if (!is_scalar(m.part())) {
      if (const auto found = contains(m.part(), part, depth + 1); found != answer::no)
        return found;
    }
  }
  return answer::no;
}

/// Both are containers, or scalars that stand for arrays of one.
answer contains(std::string_view a, std::string_view b, int depth) noexcept {
  if (depth > nesting_max)
    return answer::too_deep;
  if (is_object(a) != is_object(b) || (is_scalar(a) && !is_scalar(b)))
    return answer::no;
  for (members wanted{b}; wanted.next();) {
    auto found = answer::no;
    if (is_object(b)) {
      const auto part = member_of(a, wanted.key());
      if (part.empty())
        return answer::no;
      if (is_scalar(part) || is_scalar(wanted.part()))
        found = is_scalar(part) && is_scalar(wanted.part()) && json_equal(part, wanted.part())
                    ? answer::yes
                    : answer::no;
      else
        found = contains(part, wanted.part(), depth + 1);
    } else {
      found = has_matching(a, wanted.part(), depth);
    }
    if (found != answer::yes)
      return found;
  }
  return answer::yes;
}

} // namespace

std::string_view json_quoted(std::string_view key, workspace& space) noexcept {
  char* out = space.make<char>(key.size() * 6 + 2);
  if (out == nullptr)
    return {};
  constexpr char hex[] = "0123456789abcdef";
  std::size_t size = 0;
  out[size++] = '"';
  for (const char c : key) {
    const char* shorthand = nullptr;
    for (const char* pair : {"\"\"", "\\\\", "\bb", "\ff", "\nn", "\rr", "\tt"})
      if (pair[0] == c)
        shorthand = pair;
    if (shorthand != nullptr) {
      out[size++] = '\\';
      out[size++] = shorthand[1];
    } else if (static_cast<unsigned char>(c) < 0x20) {
      for (const char digit : {'\\', 'u', '0', '0'})
        out[size++] = digit;
      out[size++] = hex[c >> 4];
      out[size++] = hex[c & 15];
    } else {
      out[size++] = c;
    }
  }
  out[size++] = '"';
  return {out, size};
}

std::vector<std::string_view> json_keys(std::string_view json) {
  std::vector<std::string_view> out;
  for (members m{json}; m.next();) {
    if (is_object(json))
      out.push_back(m.key());
    else if (m.part().starts_with('"'))
      out.push_back(m.part());
  }
  return out;
}

/// Equal values differ in their normal texts only by the scale of numbers.
bool json_equal(std::string_view a, std::string_view b) noexcept {
  bool in_string = false;
  while (!a.empty() && !b.empty()) {
    const char c = a.front();
    if (!in_string && is_number(c)) {
      if (!is_number(b.front()) || !equal_numbers(take_number(a), take_number(b)))
        return false;
      continue;
    }
    if (c != b.front())
      return false;
    if (in_string && c == '\\') {
      if (a.size() < 2 || b.size() < 2 || a[1] != b[1])
        return false;
      a.remove_prefix(2);
      b.remove_prefix(2);
      continue;
    }
    if (c == '"')
      in_string = !in_string;
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  return a.empty() && b.empty();
}

outcome json_contains(std::string_view a, std::string_view b, value& out) noexcept {
  const auto found = contains(a, b, 0);
  out.integer = found == answer::yes;
  return found == answer::too_deep ? outcome::failed : outcome::ok;
}

outcome json_member(std::string_view object, std::string_view key, value& out,
                    workspace& space) noexcept {
  if (!is_object(object))
    return outcome::null;
  const auto quoted = json_quoted(key, space);
  if (quoted.empty())
    return outcome::failed;
  out.text = member_of(object, quoted);
  return out.text.empty() ? outcome::null : outcome::ok;
}

outcome json_element(std::string_view array, std::int64_t index, value& out) noexcept {
  if (is_object(array))
    return outcome::null;
  if (index < 0) {
    for (members m{array}; m.next();)
      ++index;
    if (index < 0)
      return outcome::null;
  }
  for (members m{array}; m.next();) {
    if (index-- == 0) {
      out.text = m.part();
      return outcome::ok;
    }
  }
  return outcome::null;
}

outcome json_as_text(std::string_view part, value& out, workspace& space) noexcept {
  if (part == "null")
    return outcome::null;
  if (!part.starts_with('"')) {
    out.text = part;
    return outcome::ok;
  }
  const auto inner = part.substr(1, part.size() - 2);
  if (inner.find('\\') == std::string_view::npos) {
    out.text = inner;
    return outcome::ok;
  }
  char* copy = space.make<char>(inner.size());
  if (copy == nullptr)
    return outcome::failed;
  std::size_t size = 0;
  for (std::size_t i = 0; i < inner.size(); ++i) {
    if (inner[i] != '\\') {
      copy[size++] = inner[i];
      continue;
    }
    const char c = inner[++i];
    if (c == 'u') { // in a normal text only control characters are written so
      const auto digit = [](char x) { return x <= '9' ? x - '0' : x - 'a' + 10; };
      copy[size++] = static_cast<char>(digit(inner[i + 3]) * 16 + digit(inner[i + 4]));
      i += 4;
    } else {
      copy[size++] = c == 'b'   ? '\b'
                     : c == 'f' ? '\f'
                     : c == 'n' ? '\n'
                     : c == 'r' ? '\r'
                     : c == 't' ? '\t'
                                : c;
    }
  }
  out.text = {copy, size};
  return outcome::ok;
}

bool json_has_key(std::string_view json, std::string_view key, workspace& space) noexcept {
  const auto quoted = json_quoted(key, space);
  for (members m{json}; m.next();)
    if ((is_object(json) ? m.key() : m.part()) == quoted)
      return true;
  return false;
}

} // namespace busbar::sql
