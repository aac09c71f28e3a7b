// Reads and writes arrays as PostgreSQL's array_in and array_out do.
#include "sql/array.hpp"
#include "sql/text.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

namespace busbar::sql {
namespace {

class array_reader {
public:
  array_reader(type element, std::string_view text, workspace& space) : rest_{text}, space_{space} {
    out_.element = element;
  }

  reading read(value& out) noexcept {
    skip_spaces();
    int bounds = 0;
    while (rest_.starts_with('['))
      if (bounds == array_dimensions_max || !read_bound(bounds++))
        return reading::malformed;
    if (bounds > 0) {
      skip_spaces();
      if (!take('='))
        return reading::malformed;
      skip_spaces();
    }
    const auto commas = static_cast<std::size_t>(std::count(rest_.begin(), rest_.end(), ','));
    items_ = space_.make<datum>(commas + 1);
    auto* result = space_.make<array_value>(1);
    if (items_ == nullptr || result == nullptr)
      return reading::unsupported;
    if (const auto how = read_level(0); how != reading::ok)
      return how;
    skip_spaces();
    if (!rest_.empty())
      return reading::malformed;
    if (count_ == 0) {
      if (bounds > 0)
        return reading::malformed;
    } else {
      out_.dimensions = depth_;
      if (bounds == 0)
        out_.lower.fill(1);
      else if (bounds != depth_ || !bounds_fit())
        return reading::malformed;
    }
    out_.items = {items_, count_};
    out.array = std::construct_at(result, out_);
    return reading::ok;
  }

private:
  bool take(char c) noexcept {
    if (!rest_.starts_with(c))
      return false;
    rest_.remove_prefix(1);
    return true;
  }
  void skip_spaces() noexcept {
    while (!rest_.empty() && is_space(rest_.front()))
      rest_.remove_prefix(1);
  }

  /// [2:3] or [3].
  bool read_bound(int dimension) noexcept {
    take('[');
    std::int32_t first = 0;
    std::int32_t last = 0;
    if (!read_subscript(first))
      return false;
    if (take(':')) {
      if (!read_subscript(last))
        return false;
    } else {
      last = first;
      first = 1;
    }
    out_.lower[static_cast<std::size_t>(dimension)] = first;
    upper_[static_cast<std::size_t>(dimension)] = last;
    return take(']') && first <= last;
  }
  bool read_subscript(std::int32_t& out) noexcept {
    const auto read = std::from_chars(rest_.data(), rest_.data() + rest_.size(), out);
    if (read.ec != std::errc{} || out == std::numeric_limits<std::int32_t>::max())
      return false;
    rest_.remove_prefix(static_cast<std::size_t>(read.ptr - rest_.data()));
    return true;
  }
  bool bounds_fit() const noexcept {
    for (std::size_t i = 0; i < static_cast<std::size_t>(depth_); ++i)
      if (std::int64_t{upper_[i]} - out_.lower[i] + 1 != out_.lengths[i])
        return false;
    return true;
  }

  reading read_level(int level) noexcept {
    if (level == array_dimensions_max)
      return reading::out_of_range;
    if (!take('{'))
      return reading::malformed;
    skip_spaces();
    if (take('}')) // {{}} means different things to different versions
      return level == 0 ? reading::ok : reading::unsupported;
    std::int32_t length = 0;
    for (;;) {
      skip_spaces();
      const bool nested = rest_.starts_with('{');
      if (depth_ != 0 && nested != (level + 1 < depth_))
        return reading::malformed;
      if (!nested)
        depth_ = level + 1;
      if (const auto how = nested ? read_level(level + 1) : read_item(); how != reading::ok)
        return how;
      ++length;
      skip_spaces();
      if (take('}'))
        break;
      if (!take(','))
        return reading::malformed;
    }
    auto& expected = out_.lengths[static_cast<std::size_t>(level)];
    if (expected != 0 && expected != length)
      return reading::malformed;
    expected = length;
    return reading::ok;
  }

  reading read_item() noexcept {
    auto& item = *std::construct_at(items_ + count_++);
    std::string_view text;
    bool quoted = false;
    if (const auto how = read_text(text, quoted); how != reading::ok)
      return how;
    if (!quoted && is_word(text, "null")) {
      item.null = true;
      return reading::ok;
    }
    return read_value(out_.element, text, item.v, space_);
  }

  /// `quoted` also if the text has a backslash: both keep it from being NULL.
  reading read_text(std::string_view& text, bool& quoted) noexcept {
    quoted = take('"');
    const auto end = quoted ? end_of_quoted() : end_of_bare();
    if (end > rest_.size())
      return reading::malformed;
    text = rest_.substr(0, end);
    rest_.remove_prefix(quoted ? end + 1 : end);
    if (text.find('\\') != std::string_view::npos) {
      if (!quoted)
        return reading::unsupported;
      return unescape(text) ? reading::ok : reading::unsupported;
    }
    if (!quoted) {
      text = trim_spaces(text);
      if (text.empty() || text.find('"') != std::string_view::npos)
        return reading::malformed;
    }
    return reading::ok;
  }
  std::size_t end_of_quoted() const noexcept {
    for (std::size_t i = 0; i < rest_.size(); ++i) {
      if (rest_[i] == '\\')
        ++i;
      else if (rest_[i] == '"')
        return i;
    }
    return rest_.size() + 1;
  }
  std::size_t end_of_bare() const noexcept {
    const auto end = rest_.find_first_of(",{}");
    return end == std::string_view::npos || rest_[end] == '{' ? rest_.size() + 1 : end;
  }
  bool unescape(std::string_view& text) noexcept {
    char* copy = space_.make<char>(text.size());
    if (copy == nullptr)
      return false;
    std::size_t size = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\\')
        ++i;
      copy[size++] = text[i];
    }
    text = {copy, size};
    return true;
  }

  std::string_view rest_;
  workspace& space_;
  array_value out_;
  std::array<std::int32_t, array_dimensions_max> upper_{};
  datum* items_ = nullptr;
  std::size_t count_ = 0;
  int depth_ = 0; ///< Of the items; 0 until the first one.
};

void append_item(std::string& out, type element, const datum& item, enum_types enums) {
  if (item.null) {
    out += "NULL";
    return;
  }
  std::string text;
  append_value(text, element, item.v, enums);
  const bool quotes =
      text.empty() || is_word(text, "null") || std::any_of(text.begin(), text.end(), [](char c) {
        return c == '{' || c == '}' || c == ',' || c == '"' || c == '\\' || is_space(c);
      });
  if (!quotes) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += '\\';
    out += c;
  }
  out += '"';
}

void append_level(std::string& out, type element, const array_value& a, int level,
                  std::size_t& next, enum_types enums) {
  out += '{';
  for (std::int32_t i = 0; i < a.lengths[static_cast<std::size_t>(level)]; ++i) {
    if (i > 0)
      out += ',';
    if (level + 1 < a.dimensions)
      append_level(out, element, a, level + 1, next, enums);
    else
      append_item(out, element, a.items[next++], enums);
  }
  out += '}';
}

} // namespace

reading read_array(type element, std::string_view text, value& out, workspace& space) noexcept {
  return array_reader{element, text, space}.read(out);
}

void append_array(std::string& out, type element, const array_value& a, enum_types enums) {
  if (a.dimensions == 0) {
    out += "{}";
    return;
  }
  const auto dimensions = static_cast<std::size_t>(a.dimensions);
  if (std::any_of(a.lower.begin(), a.lower.begin() + a.dimensions,
                  [](std::int32_t lower) { return lower != 1; })) {
    for (std::size_t i = 0; i < dimensions; ++i)
      out += "[" + std::to_string(a.lower[i]) + ":" +
             std::to_string(a.lower[i] + a.lengths[i] - 1) + "]";
    out += '=';
  }
  std::size_t next = 0;
  append_level(out, element, a, 0, next, enums);
}

} // namespace busbar::sql
