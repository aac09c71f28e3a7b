#include "http/query.hpp"

#include "http/utf8.hpp"

#include <algorithm>

namespace busbar::http {

namespace {

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

} // namespace

std::string percent_decode(std::string_view text, bool plus_is_space) {
  const auto special =
      std::find_if(text.begin(), text.end(), [](char c) { return c == '%' || c == '+'; });
  std::string out{text.begin(), special}; // mostly all of it
  out.reserve(text.size());
  for (auto i = out.size(); i < text.size(); ++i) {
    const char c = text[i];
    if (c == '+' && plus_is_space) {
      out.push_back(' ');
    } else if (c == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 &&
               hex_digit(text[i + 2]) >= 0) {
      out.push_back(static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])));
      i += 2;
    } else {
      out.push_back(c);
    }
  }
  return out;
}

std::optional<query> query::parse(std::string_view raw) {
  query parsed;
  parsed.values_.reserve(12);
  while (!raw.empty()) {
    const auto end = std::min(raw.find('&'), raw.size());
    const auto pair = raw.substr(0, end);
    raw.remove_prefix(std::min(end + 1, raw.size()));
    const auto equals = std::min(pair.find('='), pair.size());
    auto key = percent_decode(pair.substr(0, equals), true);
    auto value = percent_decode(pair.substr(std::min(equals + 1, pair.size())), true);
    if (!is_utf8(key) || !is_utf8(value))
      return std::nullopt;
    if (!key.empty())
      parsed.add(std::move(key), std::move(value));
  }
  return parsed;
}

void query::add(std::string key, std::string value) {
  const auto bracket = key.find('[');
  if (bracket == std::string::npos || bracket == 0 || key.back() != ']') {
    auto& added = values_.emplace_back(std::move(key), query_value{});
    added.second.text = std::move(value);
    return;
  }
  const std::string_view name = std::string_view{key}.substr(0, bracket);
  const std::string_view inside =
      std::string_view{key}.substr(bracket + 1, key.size() - bracket - 2);
  if (inside.empty()) {
    nested(name, query_value::form::list).items.push_back(std::move(value));
    return;
  }
  auto& object = nested(name, query_value::form::object);
  const auto close = inside.find("][");
  if (close == std::string_view::npos) {
    object.members.emplace_back(std::string{inside}, std::move(value));
    return;
  }
  object.members.emplace_back(std::string{inside.substr(0, close)}, std::nullopt);
  object.inner.push_back({std::string{inside.substr(0, close)},
                          std::string{inside.substr(close + 2)}, std::move(value)});
}

query_value& query::nested(std::string_view name, query_value::form form) {
  const auto found = std::find_if(values_.rbegin(), values_.rend(),
                                  [name](const auto& entry) { return entry.first == name; });
  if (found != values_.rend() && found->second.is == form)
    return found->second;
  auto& added = values_.emplace_back(std::string{name}, query_value{});
  added.second.is = form;
  return added.second;
}

const query_value* query::find(std::string_view name) const noexcept {
  const auto found = std::find_if(values_.rbegin(), values_.rend(),
                                  [name](const auto& entry) { return entry.first == name; });
  return found == values_.rend() ? nullptr : &found->second;
}

void query::set(std::string name, query_value value) {
  values_.emplace_back(std::move(name), std::move(value)); // the last one counts
}

void query::remove(const std::set<std::string_view>& names) {
  if (!names.empty())
    std::erase_if(values_, [&names](const auto& entry) { return names.contains(entry.first); });
}

bool query::has_key_with_prefix(std::string_view prefix) const noexcept {
  return std::any_of(values_.begin(), values_.end(),
                     [prefix](const auto& entry) { return entry.first.starts_with(prefix); });
}

} // namespace busbar::http
