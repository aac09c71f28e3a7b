#include "http/json_body.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string>
#include <vector>

namespace busbar::http {

namespace {

using nlohmann::json;

/// Nothing that we look at lies deeper; what does is dropped while it is read.
constexpr std::size_t depth_max = 4;
/// More values than a clause could use would only fill memory. What is ignored does not count.
constexpr std::size_t values_max = 50'000;
/// Beyond it a number has lost digits by being read.
constexpr double exact_max = 9007199254740992.0;

constexpr std::array<std::string_view, 7> subset_keys{
    "where", "order_by", "limit", "offset", "params", "where_expr", "order_by_expr"};

bool is_subset_key(std::string_view name) {
  return std::find(subset_keys.begin(), subset_keys.end(), name) != subset_keys.end();
}

/// Builds, of JSON that is read, only what is looked at: nothing within where_expr and
/// order_by_expr, in which clients repeat as trees what the other members say in SQL, and nothing
/// that lies too deep. The library's own filter looks through a whole list again at the end of each
/// of its objects.
class picker final : public nlohmann::json_sax<json> {
public:
  bool overfull() const noexcept { return values_ > values_max; }
  json take() { return std::move(root_); }

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t&) override { return put(value); }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t&) override { return false; } // JSON has none
  bool start_object(std::size_t) override { return open(json::object()); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (hidden_ > 0)
      return true;
    if (open_.size() == 1)
      in_subset_ = name == "subset";
    is_tree_ = (open_.size() == 1 || (open_.size() == 2 && in_subset_)) &&
               (name == "where_expr" || name == "order_by_expr");
    name_ = std::move(name);
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const json::exception&) override {
    return false;
  }

private:
  bool put(json value) {
    return hidden_ > 0 || open_.size() > depth_max || place(std::move(value));
  }

  bool open(json empty) {
    if (hidden_ > 0 || open_.size() > depth_max) {
      ++hidden_;
      return true;
    }
    const bool is_tree = is_tree_;
    auto* const placed = place(std::move(empty));
    if (placed != nullptr && is_tree)
      ++hidden_;
    else if (placed != nullptr)
      open_.push_back(placed);
    return placed != nullptr;
  }

  bool close() {
    if (hidden_ > 0)
      --hidden_;
    else
      open_.pop_back();
    return true;
  }

  /// Null, which ends the reading, if there are too many.
  json* place(json value) {
    is_tree_ = false;
    if (++values_ > values_max)
      return nullptr;
    if (open_.empty())
      return &(root_ = std::move(value));
    auto& into = *open_.back();
    if (into.is_object())
      return &(into[name_] = std::move(value));
    into.push_back(std::move(value));
    return &into.back();
  }

  json root_;
  std::vector<json*> open_; ///< From the outermost; none moves while one within it is open.
  std::string name_;        ///< Of the member whose value comes next.
  bool in_subset_ = false;
  bool is_tree_ = false;   ///< So is the value that comes next.
  std::size_t hidden_ = 0; ///< How many are open that are not built.
  std::size_t values_ = 0;
};

tl::expected<json, std::string> parse_object(std::string_view text, const char* what) {
  picker reader;
  const bool is_valid = json::sax_parse(text.begin(), text.end(), &reader);
  if (reader.overfull())
    return tl::unexpected{std::string{what} + " holds too many values"};
  if (!is_valid)
    return tl::unexpected{std::string{what} + " is not valid JSON"};
  auto read = reader.take();
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
