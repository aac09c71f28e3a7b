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

  /// Empty if absent or blank, or of the wrong type, which is complained of.
  std::string text(const std::string& name) {
    std::string found;
    if (const auto* flat = parameters_.find("subset__" + name)) {
      if (flat->is != query_value::form::text)
        complain(name, "must be a text");
      found = flat->text;
    } else if (const auto* nested = parameters_.find("subset")) {
      for (const auto& [member, value] : nested->members) {
        if (member != name)
          continue;
        if (!value)
          complain(name, "must be a text");
        found = value.value_or(std::string{});
      }
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
    const auto digits = text(name);
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
  subset_checker check{parameters};
  subset_request subset;
  subset.where = check.text("where");
  subset.order_by = check.text("order_by");
  subset.limit = check.number("limit", 1);
  subset.offset = check.number("offset", 0);
  if (const auto text = check.text("params"); !text.empty()) {
    const auto members = parse_json_members(text);
    auto values =
        members
            ? number_parameters(*members)
            : tl::expected<std::vector<std::string>, std::string>{tl::unexpected{members.error()}};
    if (!values)
      check.complain("params", std::move(values).error());
    else if (!subset.where.empty())
      subset.parameters = std::move(*values);
  }
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
