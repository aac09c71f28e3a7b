// Reads any JSON and writes it as jsonb does.
#include "sql/decimal.hpp"
#include "sql/json.hpp"
#include "sql/text.hpp"

#include <algorithm>
#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace busbar::sql {
namespace {

constexpr int nesting_max = 200;

class json_reader {
public:
  explicit json_reader(std::string_view text) : rest_{text} {}

  reading read(std::string& out) {
    auto how = read_any(out, 0);
    skip_spaces();
    return how == reading::ok && !rest_.empty() ? reading::malformed : how;
  }

private:
  void skip_spaces() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t' ||
                              rest_.front() == '\n' || rest_.front() == '\r'))
      rest_.remove_prefix(1);
  }
  bool take(char c) {
    skip_spaces();
    if (!rest_.starts_with(c))
      return false;
    rest_.remove_prefix(1);
    return true;
  }

  reading read_any(std::string& out, int depth) {
    if (depth > nesting_max)
      return reading::unsupported;
    skip_spaces();
    if (rest_.empty())
      return reading::malformed;
    switch (rest_.front()) {
    case '{':
      return read_object(out, depth);
    case '[':
      return read_array(out, depth);
    case '"': {
      std::string text;
      const auto how = read_string(text);
      append_string(out, text);
      return how;
    }
    default:
      break;
    }
    for (const std::string_view word : {"true", "false", "null"}) {
      if (rest_.starts_with(word)) {
        rest_.remove_prefix(word.size());
        out += word;
        return reading::ok;
      }
    }
    return read_number(out);
  }

  reading read_object(std::string& out, int depth) {
    take('{');
    std::vector<std::pair<std::string, std::string>> members;
    if (!take('}')) {
      for (;;) {
        skip_spaces();
        auto& [key, part] = members.emplace_back();
        if (auto how = read_string(key); how != reading::ok)
          return how;
        if (!take(':'))
          return reading::malformed;
        if (auto how = read_any(part, depth + 1); how != reading::ok)
          return how;
        if (take('}'))
          break;
        if (!take(','))
          return reading::malformed;
      }
    }
    // The last of equal keys counts; shorter keys come first.
    std::stable_sort(members.begin(), members.end(), [](const auto& a, const auto& b) {
      return a.first.size() != b.first.size() ? a.first.size() < b.first.size() : a.first < b.first;
    });
    out += '{';
    bool any = false;
    for (auto m = members.begin(); m != members.end(); ++m) {
      if (std::next(m) != members.end() && std::next(m)->first == m->first)
        continue;
      if (std::exchange(any, true))
        out += ", ";
      append_string(out, m->first);
      out += ": ";
      out += m->second;
    }
    out += '}';
    return reading::ok;
  }

  reading read_array(std::string& out, int depth) {
    take('[');
    out += '[';
    if (take(']')) {
      out += ']';
      return reading::ok;
    }
    for (;;) {
      if (auto how = read_any(out, depth + 1); how != reading::ok)
        return how;
      if (take(']'))
        break;
      if (!take(','))
        return reading::malformed;
      out += ", ";
    }
    out += ']';
    return reading::ok;
  }

  reading read_number(std::string& out) {
    const auto start = rest_;
    if (rest_.starts_with('-'))
      rest_.remove_prefix(1);
    const auto digits = take_digits(rest_);
    if (digits.empty() || (digits.size() > 1 && digits.front() == '0'))
      return reading::malformed;
    if (rest_.starts_with('.')) {
      rest_.remove_prefix(1);
      if (take_digits(rest_).empty())
        return reading::malformed;
    }
    if (rest_.starts_with('e') || rest_.starts_with('E')) {
      rest_.remove_prefix(1);
      if (rest_.starts_with('-') || rest_.starts_with('+'))
        rest_.remove_prefix(1);
      if (take_digits(rest_).empty())
        return reading::malformed;
    }
    decimal d;
    const auto how = read_decimal(start.substr(0, start.size() - rest_.size()), d);
    if (how == reading::ok)
      out += to_string(d);
    return how;
  }

  /// Into what the string means.
  reading read_string(std::string& out) {
    if (!rest_.starts_with('"'))
      return reading::malformed;
    rest_.remove_prefix(1);
    while (!rest_.empty()) {
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"')
        return reading::ok;
      if (static_cast<unsigned char>(c) < 0x20)
        return reading::malformed;
      if (c != '\\') {
        out += c;
        continue;
      }
      if (rest_.empty())
        return reading::malformed;
      const char escaped = rest_.front();
      rest_.remove_prefix(1);
      constexpr std::string_view letters = "\"\\/bfnrt";
      constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
      if (const auto known = letters.find(escaped); known != std::string_view::npos)
        out += meanings[known];
      else if (escaped != 'u' || !read_code(out))
        return escaped == 'u' ? reading::unsupported : reading::malformed;
    }
    return reading::malformed;
  }

  /// Code points outside of ASCII in escapes are left to those who need them.
  bool read_code(std::string& out) {
    if (rest_.size() < 4 || !rest_.starts_with("00"))
      return false;
    int code = 0;
    for (const char c : rest_.substr(2, 2)) {
      const char lower = to_lower(c);
      if (!is_digit(c) && !(lower >= 'a' && lower <= 'f'))
        return false;
      code = code * 16 + (is_digit(c) ? c - '0' : lower - 'a' + 10);
    }
    if (code == 0 || code > 0x7f)
      return false;
    rest_.remove_prefix(4);
    out += static_cast<char>(code);
    return true;
  }

  static void append_string(std::string& out, std::string_view text) {
    constexpr std::string_view special = "\"\\\b\f\n\r\t";
    constexpr std::string_view letters = "\"\\bfnrt";
    constexpr char hex[] = "0123456789abcdef";
    out += '"';
    for (const char c : text) {
      if (const auto known = special.find(c); known != std::string_view::npos) {
        out += '\\';
        out += letters[known];
      } else if (static_cast<unsigned char>(c) < 0x20) {
        out += "\\u00";
        out += hex[c >> 4];
        out += hex[c & 15];
      } else {
        out += c;
      }
    }
    out += '"';
  }

  std::string_view rest_;
};

} // namespace

reading read_json(std::string_view text, std::string_view& out, workspace& space) noexcept try {
  std::string normal;
  const auto how = json_reader{text}.read(normal);
  out = space.keep(normal);
  return how == reading::ok && out.size() != normal.size() ? reading::unsupported : how;
} catch (const std::exception&) { // only memory can run out here
  return reading::unsupported;
}

} // namespace busbar::sql
