#include "http/json_body.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <set>

namespace busbar::http {

namespace {

using nlohmann::json;

/// Nothing that we look at lies deeper; what does is dropped while it is read.
constexpr int depth_max = 4;
/// More values than a clause could use would only fill memory. What is ignored does not count.
constexpr std::size_t values_max = 50'000;
/// Beyond it a number has lost digits by being read.
constexpr double exact_max = 9007199254740992.0;

constexpr std::array<std::string_view, 7> subset_keys{
    "where", "order_by", "limit", "offset", "params", "where_expr", "order_by_expr"};

bool is_subset_key(std::string_view name) {
  return std::find(subset_keys.begin(), subset_keys.end(), name) != subset_keys.end();
}

/// Says, while JSON is read, what of it is kept: nothing within where_expr and order_by_expr, in
/// which clients repeat as trees what the other members say in SQL.
class sieve {
public:
  bool operator()(int depth, json::parse_event_t event, const json& read) {
    using is = json::parse_event_t;
    if (event == is::key)
      enter(depth, read.get_ref<const std::string&>());
    else if (event == is::object_end && depth < ignored_below_)
      ignored_below_ = 0;
    if (ignored_below_ > 0)
      return depth <= ignored_below_;
    if (event == is::value || event == is::object_start || event == is::array_start)
      ++values_;
    return depth <= depth_max && !overfull();
  }
  bool overfull() const noexcept { return values_ > values_max; }

private:
  /// A key of an object at `depth`; 1 is the outermost.
  void enter(int depth, const std::string& name) {
    if (ignored_below_ > 0 && depth > ignored_below_)
      return;
    ignored_below_ = 0;
    if (depth == 1)
      in_subset_ = name == "subset";
    if ((depth == 1 || (depth == 2 && in_subset_)) &&
        (name == "where_expr" || name == "order_by_expr"))
      ignored_below_ = depth;
  }

  std::size_t values_ = 0;
  bool in_subset_ = false;
  int ignored_below_ = 0; ///< The depth of the key whose value is emptied; 0 = none.
};

tl::expected<json, std::string> parse_object(std::string_view text, const char* what) {
  sieve keep;
  auto read = json::parse(text.begin(), text.end(), std::ref(keep), false);
  if (keep.overfull())
    return tl::unexpected{std::string{what} + " holds too many values"};
  if (read.is_discarded())
    return tl::unexpected{std::string{what} + " is not valid JSON"};
  if (!read.is_object())
    return tl::unexpected{std::string{what} + " must be a JSON object"};
  return read;
}

/// A scalar as text; nullopt for lists and objects, and for numbers that were too long to read.
std::optional<std::string> text_of(const json& value) {
  switch (value.type()) {
  case json::value_t::string:
    return value.get_ref<const std::string&>();
  case json::value_t::null:
    return std::string{};
  case json::value_t::number_float:
    if (std::abs(value.get<double>()) >= exact_max)
      return std::nullopt;
    [[fallthrough]];
  case json::value_t::boolean:
  case json::value_t::number_integer:
  case json::value_t::number_unsigned:
    return value.dump();
  default:
    return std::nullopt;
  }
}

query_value of_text(std::string text) {
  query_value value;
  value.text = std::move(text);
  return value;
}

/// For a value of the wrong type: whoever asks for a text finds an object.
query_value wrong_type() {
  query_value value;
  value.is = query_value::form::object;
  return value;
}

query_value top_level(const json& value) {
  query_value out;
  if (value.is_object()) {
    out.is = query_value::form::object;
    for (const auto& [name, member] : value.items())
      out.members.emplace_back(name, member.is_string() ? text_of(member) : std::nullopt);
    return out;
  }
  if (value.is_array()) {
    out.is = query_value::form::list;
    for (const auto& item : value)
      out.items.push_back(item.is_string() ? item.get<std::string>() : std::string{});
    return out;
  }
  auto text = text_of(value);
  return text ? of_text(*std::move(text)) : wrong_type();
}

/// As the parameter would stand in a query.
query_value in_subset(std::string_view name, const json& value) {
  if (value.is_null())
    return of_text({});
  if (name == "params" && value.is_object())
    return of_text(value.dump());
  if (value.is_string())
    return of_text(value.get<std::string>());
  if ((name == "limit" || name == "offset") && value.is_number_integer())
    return of_text(value.dump());
  return wrong_type();
}

} // namespace

tl::expected<void, std::string> merge_json_body(std::string_view body, query& parameters) {
  if (body.empty())
    return {};
  const auto read = parse_object(body, "the body");
  if (!read)
    return tl::unexpected{read.error()};
  const auto nested = read->find("subset");
  const bool has_nested = nested != read->end() && nested->is_object();
  const auto add_to_subset = [&](const std::string& name, const json& value) {
    parameters.set("subset__" + name, in_subset(name, value));
  };
  const auto is_of_subset = [&](std::string_view name) {
    return has_nested ? name == "subset" : is_subset_key(name);
  };
  std::set<std::string_view> taken_back;
  for (auto member = read->begin(); member != read->end(); ++member)
    if (member->is_null() && !is_of_subset(member.key()))
      taken_back.insert(member.key());
  parameters.remove(taken_back);
  for (const auto& [name, value] : read->items()) {
    if (!has_nested && is_subset_key(name)) {
      add_to_subset(name, value);
    } else if (has_nested && name == "subset") {
      parameters.set("subset__", {}); // also an empty one asks for a subset
      for (const auto& [inner_name, inner] : value.items())
        add_to_subset(inner_name, inner);
    } else if (!name.empty() && !value.is_null()) {
      parameters.set(name, top_level(value));
    }
  }
  return {};
}

tl::expected<json_members, std::string> parse_json_members(std::string_view text) {
  const auto read = parse_object(text, "the text");
  if (!read)
    return tl::unexpected{read.error()};
  json_members members;
  for (const auto& [name, value] : read->items()) {
    auto member = text_of(value);
    if (!member)
      return tl::unexpected{value.is_number()
                                ? std::string{"a number this long must be sent as a text"}
                                : std::string{"values must be texts, numbers, booleans or null"}};
    members.emplace_back(name, *std::move(member));
  }
  return members;
}

} // namespace busbar::http
