#include "gate/claims.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace busbar::gate {

namespace {

using nlohmann::json;

/// No clock gets there; it keeps sums from overflowing.
constexpr double seconds_most = 4e9 * 50;

tl::unexpected<error> refused(std::string why) {
  return fail(errc::invalid_argument, "the token " + std::move(why));
}

std::optional<wall_time> time_of(const json& claims, const char* name, bool& malformed) {
  const auto found = claims.find(name);
  if (found == claims.end())
    return std::nullopt;
  const double seconds = found->is_number() ? found->get<double>() : -1;
  malformed = !(seconds >= 0 && seconds < seconds_most);
  if (malformed)
    return std::nullopt;
  return wall_time{std::chrono::seconds{static_cast<std::int64_t>(seconds)}};
}

std::optional<std::string> scalar(const json& value) {
  std::optional<std::string> text;
  if (value.is_string())
    text = value.get<std::string>();
  else if (value.is_number_integer() || value.is_boolean())
    text = value.dump();
  if (text && text->find('\0') != std::string::npos)
    return std::nullopt;
  return text;
}

/// As an element of an array's text: always in quotes, so that NULL and braces are no more than
/// letters.
void append_element(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += '\\';
    out += c;
  }
  out += '"';
}

} // namespace

result<claims> claims::read(std::string_view text, const expectations& expected, wall_time now) {
  auto members = json::parse(text.begin(), text.end(), nullptr, false);
  if (!members.is_object())
    return refused("has claims that are no JSON object");
  bool malformed = false;
  const auto expiry = time_of(members, "exp", malformed);
  if (!expiry)
    return refused(malformed ? "has an exp that is no time" : "never expires: it needs an exp");
  const auto begin = time_of(members, "nbf", malformed);
  if (malformed)
    return refused("has an nbf that is no time");
  if (now >= *expiry + expected.clock_skew)
    return refused("has expired");
  if (begin && now + expected.clock_skew < *begin)
    return refused("is not valid yet");
  if (!expected.issuer.empty()) {
    const auto issuer = members.find("iss");
    if (issuer == members.end() || *issuer != expected.issuer)
      return refused("is not of the issuer " + expected.issuer);
  }
  if (!expected.audience.empty()) {
    const auto audience = members.find("aud");
    const bool meant = audience != members.end() &&
                       (*audience == expected.audience ||
                        (audience->is_array() && std::find(audience->begin(), audience->end(),
                                                           expected.audience) != audience->end()));
    if (!meant)
      return refused("is not for the audience " + expected.audience);
  }
  claims out;
  out.expiry_ = *expiry + expected.clock_skew;
  out.members_ = std::make_shared<const json>(std::move(members));
  return out;
}

const json* claims::find(std::string_view path) const {
  const json* at = members_.get();
  while (at->is_object()) {
    // A name may have dots itself, as names that are URLs do.
    if (const auto whole = at->find(std::string{path}); whole != at->end())
      return &*whole;
    const auto dot = path.find('.');
    if (dot == std::string_view::npos)
      return nullptr;
    const auto next = at->find(std::string{path.substr(0, dot)});
    if (next == at->end())
      return nullptr;
    at = &*next;
    path.remove_prefix(dot + 1);
  }
  return nullptr;
}

std::optional<std::string> claims::text(std::string_view path) const {
  const auto* value = find(path);
  if (value == nullptr)
    return std::nullopt;
  if (!value->is_array())
    return scalar(*value);
  std::string list = "{";
  for (const auto& item : *value) {
    const auto text = scalar(item);
    if (!text)
      return std::nullopt;
    if (list.size() > 1)
      list += ',';
    append_element(list, *text);
  }
  return list + '}';
}

std::vector<std::string> claims::items(std::string_view path) const {
  std::vector<std::string> out;
  const auto* value = find(path);
  if (value == nullptr)
    return out;
  if (!value->is_array()) {
    if (auto text = scalar(*value))
      out.push_back(*std::move(text));
    return out;
  }
  for (const auto& item : *value)
    if (auto text = scalar(item))
      out.push_back(*std::move(text));
  return out;
}

} // namespace busbar::gate
