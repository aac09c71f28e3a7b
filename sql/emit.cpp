#include "sql/emit.hpp"

#include "sql/expression.hpp"
#include "sql/subquery.hpp"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

namespace busbar::sql {
namespace {

/// Backslashes are written so that they mean themselves whatever standard_conforming_strings says.
void append_string(std::string& out, std::string_view text) {
  if (text.find('\\') != std::string_view::npos)
    out += 'E';
  out += '\'';
  for (const char c : text) {
    if (c == '\'' || c == '\\')
      out += c;
    out += c;
  }
  out += '\'';
}

void append_identifier(std::string& out, std::string_view name) {
  out += '"';
  for (const char c : name) {
    if (c == '"')
      out += c;
    out += c;
  }
  out += '"';
}

std::string_view symbol(comparison test) {
  switch (test) {
  case comparison::equal:
    return "=";
  case comparison::not_equal:
    return "<>";
  case comparison::less:
    return "<";
  case comparison::less_equal:
    return "<=";
  case comparison::greater:
    return ">";
  case comparison::greater_equal:
    return ">=";
  }
  return "=";
}

/// What a type has in brackets for its modifier, which is never that of an interval.
std::string modifier_text(type t, std::int32_t modifier) {
  switch (t) {
  case type::varchar:
  case type::bpchar:
    return "(" + std::to_string(modifier - 4) + ")";
  case type::numeric:
    return "(" + std::to_string((modifier - 4) >> 16) + "," +
           std::to_string((modifier - 4) & 0x7ff) + ")";
  default:
    return "(" + std::to_string(modifier) + ")";
  }
}

/// A test that NOT turns into one of PostgreSQL's IS NOT forms; nullptr for other operations.
const char* test_name(operation op) {
  switch (op) {
  case operation::is_null:
    return "NULL)";
  case operation::is_true:
    return "TRUE)";
  case operation::is_false:
    return "FALSE)";
  case operation::is_unknown:
    return "UNKNOWN)";
  default:
    return nullptr;
  }
}

class emitter {
public:
  /// `table` is what columns are qualified with, unless it is empty.
  emitter(enum_types enums, bool sorted, std::string_view table = {},
          std::size_t bytes_max = emitted_bytes_max)
      : enums_{enums}, sorted_{sorted}, table_{table}, bytes_max_{bytes_max} {}

  /// Stops once `out` is too long; what is then in it means nothing.
  void write(std::string& out, const node& n) const {
    if (!sorted_ && out.size() > bytes_max_)
      return;
    switch (n.op) {
    case operation::column:
      write_column(out, n);
      break;
    case operation::constant:
      write_constant(out, n.result, n.literal);
      break;
    case operation::convert:
      write_conversion(out, n);
      break;
    case operation::compare:
      write_infix(out, n, symbol(n.test));
      break;
    case operation::one_of:
      write_list(out, n);
      break;
    case operation::member:
      write_membership(out, n);
      break;
    case operation::quantified:
      write_quantified(out, n);
      break;
    case operation::apply:
      write_call(out, n);
      break;
    case operation::concat:
      write_args(out, "pg_catalog.concat(", n.args, ")");
      break;
    case operation::array:
      write_args(out, "(ARRAY[", n.args, "]::");
      out += sql_name(n.result, enums_) + ")";
      break;
    case operation::at:
      write_subscripts(out, n);
      break;
    case operation::coalesce:
      write_args(out, "COALESCE(", n.args, ")");
      break;
    case operation::extreme:
      write_args(out, n.test == comparison::greater ? "GREATEST(" : "LEAST(", n.args, ")");
      break;
    case operation::choice:
      write_choice(out, n);
      break;
    case operation::conjunction:
      write_joined(out, n, " AND ");
      break;
    case operation::disjunction:
      write_joined(out, n, " OR ");
      break;
    case operation::negation:
      write_negation(out, *n.args[0]);
      break;
    case operation::is_null:
    case operation::is_true:
    case operation::is_false:
    case operation::is_unknown:
      write_test(out, n, " IS ");
      break;
    }
  }

  static void write_selection(std::string& out, const selection& s, bool sorted) {
    const emitter inside{s.enums, sorted, s.table};
    inside.write_args(out, "SELECT ", s.columns, " FROM ");
    append_identifier(out, s.schema);
    out += '.';
    append_identifier(out, s.table);
    if (s.where == nullptr)
      return;
    out += " WHERE ";
    inside.write(out, *s.where);
  }

private:
  void write_column(std::string& out, const node& n) const {
    if (!table_.empty()) {
      append_identifier(out, table_);
      out += '.';
    }
    append_identifier(out, n.name);
  }

  void append_type(std::string& out, type t) const {
    out += "::";
    out += sql_name(t, enums_);
  }

  void write_constant(std::string& out, type t, const constant& c) const {
    if (c.is_null)
      out += "NULL";
    else
      append_string(out, c.text);
    append_type(out, t);
  }

  void write_conversion(std::string& out, const node& n) const {
    if (n.silent)
      return write(out, *n.args[0]);
    out += '(';
    write(out, *n.args[0]);
    append_type(out, n.result);
    if (n.how == conversion::fit)
      out += modifier_text(n.result, n.modifier);
    out += ')';
  }

  void write_infix(std::string& out, const node& n, std::string_view name) const {
    out += '(';
    write(out, *n.args[0]);
    write_operator(out, name);
    write(out, *n.args[1]);
    out += ')';
  }

  static void write_operator(std::string& out, std::string_view name) {
    out += " OPERATOR(pg_catalog.";
    out += name;
    out += ") ";
  }

  void write_call(std::string& out, const node& n) const {
    const auto name = n.callee->name;
    if (n.is_operator && n.args.size() == 2)
      return write_infix(out, n, name);
    if (n.is_operator) {
      out += "(OPERATOR(pg_catalog.";
      out += name;
      out += ") ";
      write(out, *n.args[0]);
      out += ')';
      return;
    }
    write_args(out, "pg_catalog." + std::string{name} + "(", n.args, ")");
  }

  void write_args(std::string& out, std::string_view before, const std::vector<node_ptr>& args,
                  std::string_view after) const {
    out += before;
    for (const auto& arg : args) {
      if (&arg != &args.front())
        out += ", ";
      write(out, *arg);
    }
    out += after;
  }

  void write_list(std::string& out, const node& n) const {
    std::vector<std::string> elements;
    elements.reserve(n.set.size());
    for (const auto& element : n.set)
      write_constant(elements.emplace_back(), n.element, element);
    out += '(';
    write(out, *n.args[0]);
    out += " OPERATOR(pg_catalog.=) ANY (ARRAY[";
    append_all(out, std::move(elements), ", ");
    out += "]))";
  }

  void write_membership(std::string& out, const node& n) const {
    out += '(';
    write_args(out, n.args.size() > 1 ? "ROW(" : "", n.args, n.args.size() > 1 ? ")" : "");
    write_operator(out, "=");
    out += "ANY (";
    write_selection(out, *n.from, sorted_);
    out += "))";
  }

  void write_quantified(std::string& out, const node& n) const {
    out += '(';
    write(out, *n.args[0]);
    write_operator(out, n.callee != nullptr ? n.callee->name : symbol(n.test));
    out += n.all ? "ALL (" : "ANY (";
    write(out, *n.args[1]);
    out += "))";
  }

  void write_subscripts(std::string& out, const node& n) const {
    out += "((";
    write(out, *n.args[0]);
    out += ')';
    std::size_t next = 1;
    for (const auto& parts : n.at) {
      out += '[';
      if (parts.has_lower)
        write(out, *n.args[next++]);
      if (parts.slice)
        out += ':';
      if (parts.has_upper)
        write(out, *n.args[next++]);
      out += ']';
    }
    out += ')';
  }

  void write_choice(std::string& out, const node& n) const {
    out += "(CASE";
    for (std::size_t i = 0; i + 1 < n.args.size(); i += 2) {
      out += " WHEN ";
      write(out, *n.args[i]);
      out += " THEN ";
      write(out, *n.args[i + 1]);
    }
    out += " ELSE ";
    write(out, *n.args.back());
    out += " END)";
  }

  void write_joined(std::string& out, const node& n, std::string_view separator) const {
    out += '(';
    if (!sorted_) {
      for (const auto& arg : n.args) {
        if (&arg != &n.args.front())
          out += separator;
        write(out, *arg);
      }
    } else {
      std::vector<std::string> parts;
      for (const auto& arg : n.args)
        write(parts.emplace_back(), *arg);
      append_all(out, std::move(parts), separator);
    }
    out += ')';
  }

  void append_all(std::string& out, std::vector<std::string> parts,
                  std::string_view separator) const {
    if (sorted_) {
      std::sort(parts.begin(), parts.end());
      parts.erase(std::unique(parts.begin(), parts.end()), parts.end());
    }
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (i > 0)
        out += separator;
      out += parts[i];
    }
  }

  void write_negation(std::string& out, const node& inner) const {
    if (test_name(inner.op) != nullptr)
      return write_test(out, inner, " IS NOT ");
    out += "(NOT ";
    write(out, inner);
    out += ')';
  }

  void write_test(std::string& out, const node& test, std::string_view is) const {
    out += '(';
    write(out, *test.args[0]);
    out += is;
    out += test_name(test.op);
  }

  enum_types enums_;
  bool sorted_;
  std::string_view table_;
  std::size_t bytes_max_;
};

result<std::string> unless_too_long(std::string sql, std::size_t bytes_max) {
  if (sql.size() > bytes_max)
    return fail(refusal(0, "the clause is too large once its parts are written out"));
  return sql;
}

} // namespace

result<std::string> to_sql(const node& tree, enum_types enums, std::size_t bytes_max) {
  std::string out;
  emitter{enums, false, {}, bytes_max}.write(out, tree);
  return unless_too_long(std::move(out), bytes_max);
}

result<std::string> to_sql(const selection& subquery) {
  std::string out;
  emitter::write_selection(out, subquery, false);
  return unless_too_long(std::move(out), emitted_bytes_max);
}

std::string to_canonical(const node& tree, enum_types enums) {
  std::string out;
  emitter{enums, true}.write(out, tree);
  return out;
}

std::string to_canonical(const selection& subquery) {
  std::string out;
  emitter::write_selection(out, subquery, true);
  return out;
}

std::string quoted_identifier(std::string_view name) {
  std::string out;
  append_identifier(out, name);
  return out;
}

} // namespace busbar::sql
