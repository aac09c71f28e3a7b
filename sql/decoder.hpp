// sql/decoder.hpp: turns libpg_query's tree into ours. Private to sql/.
#pragma once

#include "sql/expression.hpp"
#include "sql/parser_tree.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace busbar::sql {

/// The first complaint is kept; afterwards nothing matters. One run an object.
class decoder {
public:
  result<expression> run(std::string_view parse_result);

private:
  expression refuse(std::int32_t location, const std::string& why);
  expression statement(std::string_view parse_result);
  expression node(std::string_view bytes);
  expression dispatch(const node_view& n);
  expression unsupported(const node_view& n);

  expression constant(std::string_view body);
  expression column(std::string_view body);
  expression parameter(std::string_view body);
  expression logic(std::string_view body);
  expression null_test(std::string_view body);
  expression boolean_test(std::string_view body);

  /// The parts of an A_Expr, whatever its kind.
  struct operation_parts {
    std::int32_t kind = 0;
    std::vector<std::string> name = {};
    std::string_view left = {};
    std::string_view right = {};
    std::int32_t location = -1;
  };
  expression operation(std::string_view body);
  expression operation(const operation_parts& parts);
  expression with_both(expression out, const operation_parts& parts);
  expression with_elements(expression out, const operation_parts& parts, const char* otherwise);

  // decoder_forms.cpp
  expression cast(std::string_view body);
  bool type_name(std::string_view body, expression& out);
  expression function(std::string_view body);
  expression case_of(std::string_view body);
  expression list(expression out, std::string_view body, std::uint32_t items,
                  std::uint32_t location);
  expression min_max(std::string_view body);
  expression indirection(std::string_view body);
  expression subscript(std::string_view body, std::int32_t location);

  // decoder_subquery.cpp
  expression subquery(std::string_view body);
  expression select(std::string_view bytes, std::int32_t location);
  bool table(std::string_view body, expression& out, std::string& visible);
  expression selected(std::string_view bytes);

  std::optional<error> error_;
  std::optional<std::string> scope_; ///< Inside a subquery: the name that its table goes by.
  std::size_t nodes_ = 0;
  std::size_t depth_ = 0;
};

} // namespace busbar::sql
