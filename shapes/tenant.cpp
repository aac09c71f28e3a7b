#include "shapes/tenant.hpp"

#include "sql/parse.hpp"

namespace busbar {

namespace {

using sql::expression;
using kind = expression::kind_type;

const expression& without_casts(const expression& e) {
  const auto* inner = &e;
  while (inner->kind == kind::cast && !inner->args.empty())
    inner = &inner->args.front();
  return *inner;
}

std::optional<std::string> value_of(const expression& given,
                                    const std::vector<std::string>& parameters) {
  const auto& e = without_casts(given);
  if (e.kind == kind::string || e.kind == kind::number)
    return e.text;
  if (e.kind != kind::parameter || e.number < 1 ||
      static_cast<std::size_t>(e.number) > parameters.size())
    return std::nullopt;
  return parameters[static_cast<std::size_t>(e.number) - 1];
}

std::optional<std::string> find(const expression& e, const std::vector<std::string>& parameters,
                                std::string_view column) {
  if (e.kind == kind::conjunction) {
    for (const auto& part : e.args)
      if (auto found = find(part, parameters, column))
        return found;
    return std::nullopt;
  }
  if (e.kind != kind::binary || e.text != "=" || e.args.size() != 2)
    return std::nullopt;
  for (const std::size_t side : {0u, 1u}) {
    const auto& name = without_casts(e.args[side]);
    if (name.kind == kind::column && name.text == column)
      return value_of(e.args[1 - side], parameters);
  }
  return std::nullopt;
}

} // namespace

std::optional<std::string> tenant_of(std::string_view where,
                                     const std::vector<std::string>& parameters,
                                     std::string_view column) {
  // Most clauses need not be parsed a second time to know.
  if (column.empty() || where.find(column) == std::string_view::npos)
    return std::nullopt;
  const auto clause = sql::parse(where);
  return clause ? find(*clause, parameters, column) : std::nullopt;
}

} // namespace busbar
