#include "http/subset_params.hpp"

#include "http/json_body.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>

namespace busbar::http {

namespace {

/// Reads one subset's parameters and collects what is wrong with them.
class subset_checker {
public:
  explicit subset_checker(const query& parameters) : parameters_{parameters} {}

  field_errors errors;

  void complain(std::string_view name, std::string message) {
    errors.push_back({"subset." + std::string{name}, std::move(message)});
  }

  /// Empty if absent or blank, or not `what` it must be, which is complained of.
  std::string text(const std::string& name, std::string_view what = "a text") {
    std::string found;
    bool is_text = true;
    if (const auto* flat = parameters_.find("subset__" + name)) {
      is_text = flat->is == query_value::form::text;
      found = flat->text;
    } else if (const auto* nested = parameters_.find("subset")) {
      for (const auto& [member, value] : nested->members) {
        if (member != name)
          continue;
        is_text = value.has_value();
        found = value.value_or(std::string{});
      }
    }
    if (!is_text) {
      complain(name, std::string{"must be "}.append(what));
      return {};
    }
    if (found.find_first_not_of(" \t\n\v\f\r") == std::string::npos)
      return {};
    if (found.find('\0') != std::string::npos) {
      complain(name, "must not contain a zero byte");
      return {};
    }
    return found;
  }

  std::optional<std::uint64_t> number(const std::string& name, std::uint64_t least) {
    const auto digits = text(name, "a whole number");
    if (digits.empty())
      return std::nullopt;
    std::uint64_t value = 0;
    const char* end = digits.data() + digits.size();
    const auto read = std::from_chars(digits.data(), end, value);
    // PostgreSQL counts rows in a bigint.
    if (read.ec != std::errc{} || read.ptr != end || value < least ||
        value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      complain(name, least == 0 ? "must be a whole number, 0 or more"
                                : "must be a whole number greater than 0");
      return std::nullopt;
    }
    return value;
  }

  /// `params`, from a JSON object in a text or from subset[params][1]=value.
  std::vector<std::string> params() {
    json_members members;
    const auto* nested = parameters_.find("subset");
    if (nested && !parameters_.find("subset__params"))
      for (const auto& [key, name, value] : nested->inner)
        if (key == "params")
          members.emplace_back(name, value);
    if (members.empty()) {
      const auto json = text("params", "a JSON object");
      if (json.empty())
        return {};
      auto read = parse_json_members(json);
      if (!read) {
        complain("params", std::move(read).error());
        return {};
      }
      members = *std::move(read);
    }
    auto values = number_parameters(members);
    if (!values)
      complain("params", std::move(values).error());
    return values ? *std::move(values) : std::vector<std::string>{};
  }

private:
  const query& parameters_;
};

} // namespace

bool asks_for_subset(const query& parameters) noexcept {
  if (parameters.has_key_with_prefix("subset__"))
    return true;
  const auto* nested = parameters.find("subset");
  return nested && nested->is != query_value::form::text;
}

tl::expected<subset_request, field_errors> parse_subset(const query& parameters) {
  if (const auto* whole = parameters.find("subset"); whole && whole->is == query_value::form::list)
    return tl::unexpected{field_errors{{"subset", "must be an object"}}};
  subset_checker check{parameters};
  subset_request subset;
  subset.where = check.text("where");
  subset.order_by = check.text("order_by");
  subset.limit = check.number("limit", 1);
  subset.offset = check.number("offset", 0);
  if (auto values = check.params(); !subset.where.empty())
    subset.parameters = std::move(values);
  if (check.errors.empty() && subset.order_by.empty())
    for (const auto* name : {"limit", "offset"})
      if (std::string_view{name} == "limit" ? subset.limit.has_value() : subset.offset.has_value())
        check.complain(name, "needs an order_by: without an order, rows have no positions");
  if (!check.errors.empty())
    return tl::unexpected{std::move(check.errors)};
  return subset;
}

tl::expected<std::vector<std::string>, std::string>
number_parameters(const std::vector<std::pair<std::string, std::optional<std::string>>>& members) {
  std::map<std::size_t, std::string> numbered;
  for (const auto& [key, member] : members) {
    std::size_t number = 0;
    const char* end = key.data() + key.size();
    const auto read = std::from_chars(key.data(), end, number);
    if (read.ec != std::errc{} || read.ptr != end)
      return tl::unexpected{"keys must be numbers: " + key};
    if (!member)
      return tl::unexpected{std::string{"values must be texts"}};
    if (member->find('\0') != std::string::npos)
      return tl::unexpected{std::string{"values must not contain a zero byte"}};
    numbered[number] = *member;
  }
  std::vector<std::string> values;
  for (auto& [number, text] : numbered) {
    if (number != values.size() + 1)
      return tl::unexpected{std::string{"keys must count up from 1 without gaps"}};
    values.push_back(std::move(text));
  }
  return values;
}

} // namespace busbar::http
