#include "http/shape_params.hpp"

#include "http/cursor.hpp"
#include "http/identifiers.hpp"
#include "http/subset_params.hpp"

#include <algorithm>
#include <utility>

namespace busbar::http {

namespace {

bool is_blank(std::string_view text) noexcept {
  return text.find_first_not_of(" \t\n\v\f\r") == std::string_view::npos;
}

/// Collects what is wrong with the parameters of one stage.
class checker {
public:
  explicit checker(const query& parameters) : parameters_{parameters} {}

  field_errors errors;

  void complain(std::string_view field, std::string message) {
    errors.push_back({std::string{field}, std::move(message)});
  }

  /// The value unless it is absent, where a blank text counts as absent.
  const query_value* given(std::string_view name) const noexcept {
    const auto* value = parameters_.find(name);
    return value && value->is == query_value::form::text && is_blank(value->text) ? nullptr : value;
  }

  /// Empty if absent or of the wrong type, which is complained of.
  std::string_view text(std::string_view name) {
    const auto* value = given(name);
    if (!value)
      return {};
    if (value->is != query_value::form::text) {
      complain(name, "must be a text");
      return {};
    }
    return value->text;
  }

  bool strict_boolean(std::string_view name, std::string_view report_as) {
    const auto value = text(name);
    if (value.empty() || value == "false" || value == "0")
      return false;
    if (value != "true" && value != "1")
      complain(report_as, "must be true or false");
    return true;
  }

  /// Clients send `live` without a value too; only the exact text "false" denies it.
  bool loose_boolean(std::string_view name) const noexcept {
    const auto* value = parameters_.find(name);
    return value && (value->is != query_value::form::text || value->text != "false");
  }

  bool one_of(std::string_view name, std::string_view usual, std::string_view other) {
    const auto value = text(name);
    if (value.empty() || value == usual)
      return false;
    if (value != other)
      complain(name, std::string{"must be "}.append(usual).append(" or ").append(other));
    return true;
  }

  std::optional<std::vector<std::string>> columns(std::string_view name) {
    const auto* value = given(name);
    if (!value)
      return std::nullopt;
    std::vector<std::string> names;
    if (value->is == query_value::form::list) {
      names = value->items;
      if (std::any_of(names.begin(), names.end(), [](const std::string& item) {
            return item.empty() || item.find('\0') != std::string::npos;
          }))
        complain(name, "contains an invalid name");
    } else if (auto parsed = parse_identifier_list(value->text)) {
      names = std::move(*parsed);
    } else {
      complain(name, std::move(parsed).error());
    }
    // Neither order nor repetition means anything, so equal requests are made to look equal.
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
  }

  std::vector<std::string> where_parameters() {
    const auto* value = given("params");
    if (!value)
      return {};
    auto values = number_parameters(value->members);
    if (!values) {
      complain("params", std::move(values).error());
      return {};
    }
    return *std::move(values);
  }

private:
  const query& parameters_;
};

/// Stage (a): the types of all parameters, and that there is an offset.
void check_types(checker& check, shape_read& read) {
  auto& query = read.query;
  check.text("table");
  check.text("where");
  query.handle = check.text("handle");
  query.shape.replica_full = check.one_of("replica", "default", "full");
  query.shape.changes_only = check.one_of("log", "full", "changes_only");
  for (const auto* name : {"columns", "queryable_columns"})
    if (const auto* value = check.given(name); value && value->is == query_value::form::object)
      check.complain(name, "must be a list of names");
  if (const auto* value = check.given("params")) {
    const auto is_text = [](const auto& member) { return member.second.has_value(); };
    if (value->is != query_value::form::object ||
        !std::all_of(value->members.begin(), value->members.end(), is_text))
      check.complain("params", "must be an object of texts, as in params[1]=value");
  }
  check.strict_boolean("experimental_compaction", "experimental_compaction");
}

void check_modes(checker& check, const query& parameters, shape_read& read) {
  read.query.live = check.loose_boolean("live");
  read.query.sse = parameters.find("live_sse")
                       ? check.loose_boolean("live_sse")
                       : check.strict_boolean("experimental_live_sse", "live_sse");
  if (const auto* cursor = parameters.find("cursor"))
    read.cursor = parse_cursor(cursor->text);
}

/// Stages (b) to (e): at most one of them complains.
void check_position(checker& check, std::string_view offset, shape_query& query) {
  if (offset == "now") {
    query.now = true;
  } else {
    // The only minus sign of the grammar is the one of -1.
    const auto position =
        offset.find('-', 1) == std::string_view::npos ? parse_offset(offset) : std::nullopt;
    if (!position)
      return check.complain("offset", "must be -1, now or <tx>_<op>");
    query.offset = *position;
  }
  const bool anchored = query.now || query.offset == log_offset::start();
  if (!anchored && query.handle.empty())
    return check.complain("handle", "is required unless offset is -1 or now");
  if (anchored && query.live)
    return check.complain("live", "cannot be true while offset is -1 or now");
  if (query.sse && !query.live)
    return check.complain("live_sse", "cannot be true while live is not");
}

/// The beginning of stage (f).
void check_table(checker& check, shape_request& shape) {
  const auto name = check.text("table");
  if (name.empty())
    return check.complain("table", "is required");
  auto table = parse_table_name(name);
  if (!table)
    return check.complain("table", std::move(table).error());
  shape.schema = std::move(table->schema);
  shape.table = std::move(table->table);
}

/// The rest of stage (f), as far as it needs no catalogue: the first error ends it.
void check_definition(checker& check, shape_request& shape) {
  shape.columns = check.columns("columns");
  if (!check.errors.empty())
    return;
  shape.queryable_columns = check.columns("queryable_columns");
  if (!check.errors.empty())
    return;
  shape.where = check.text("where");
  if (shape.where.find('\0') != std::string::npos)
    return check.complain("where", "must not contain a zero byte");
  if (!shape.where.empty())
    shape.parameters = check.where_parameters();
}

/// The first of several complaints, as the session is told of it.
error flaw_of(const field_errors& errors) {
  return {errc::invalid_argument, errors.front().message, errors.front().field};
}

} // namespace

std::string_view given_text(const query& parameters, std::string_view name) noexcept {
  const auto* value = parameters.find(name);
  if (!value || value->is != query_value::form::text || is_blank(value->text))
    return {};
  return value->text;
}

tl::expected<shape_read, field_errors> parse_shape_read(const query& parameters) {
  shape_read read;
  checker check{parameters};
  check_types(check, read);
  check_modes(check, parameters, read);
  const bool has_offset = check.given("offset") != nullptr;
  const auto offset = check.text("offset");
  if (!has_offset)
    check.complain("offset", "is required");
  if (check.errors.empty())
    check_position(check, offset, read.query);
  if (check.errors.empty())
    check_table(check, read.query.shape);
  if (!check.errors.empty())
    return tl::unexpected{std::move(check.errors)};
  check_definition(check, read.query.shape);
  if (!check.errors.empty())
    read.query.shape.flaw = flaw_of(check.errors);
  if (asks_for_subset(parameters)) {
    auto subset = parse_subset(parameters);
    if (subset) {
      read.query.subset = std::move(*subset);
    } else if (check.errors.empty()) {
      check.errors = std::move(subset).error();
      read.query.shape.flaw = flaw_of(check.errors);
    }
  }
  read.later = std::move(check.errors);
  return read;
}

tl::expected<shape_deletion, field_errors> parse_shape_deletion(const query& parameters) {
  checker check{parameters};
  shape_read read;
  check_types(check, read);
  check.strict_boolean("live", "live");
  check.strict_boolean("live_sse", "live_sse");
  const bool defined = check.given("table") != nullptr;
  if (check.errors.empty() && defined) {
    check_table(check, read.query.shape);
    if (check.errors.empty()) {
      check_definition(check, read.query.shape);
      if (!check.errors.empty())
        read.query.shape.flaw = flaw_of(std::exchange(check.errors, {}));
    }
  } else if (check.errors.empty() && read.query.handle.empty()) {
    check.complain("handle", "is required unless table is given");
  }
  if (!check.errors.empty())
    return tl::unexpected{std::move(check.errors)};
  shape_deletion deletion{.handle = std::move(read.query.handle), .definition = std::nullopt};
  if (defined)
    deletion.definition = std::move(read.query.shape);
  return deletion;
}

} // namespace busbar::http
