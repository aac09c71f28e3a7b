#include "sql/emit.hpp"

#include "sql/expression.hpp"

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

void append_type(std::string& out, type t) {
  out += "::pg_catalog.";
  out += catalog_name(t);
}

void append_constant(std::string& out, const constant& c) {
  if (c.is_null)
    out += "NULL";
  else
    append_string(out, c.text);
  append_type(out, c.of);
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
  explicit emitter(bool sorted) : sorted_{sorted} {}

  /// Stops once `out` is too long; what is then in it means nothing.
  void write(std::string& out, const node& n) const {
    if (!sorted_ && out.size() > emitted_bytes_max)
      return;
    switch (n.op) {
    case operation::column:
      append_identifier(out, n.name);
      break;
    case operation::constant:
      append_constant(out, n.literal);
      break;
    case operation::convert:
      write_conversion(out, n);
      break;
    case operation::compare:
      write_operator(out, n, symbol(n.test));
      break;
    case operation::like:
      write_operator(out, n, "~~");
      break;
    case operation::one_of:
      write_list(out, n);
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

private:
  void write_conversion(std::string& out, const node& n) const {
    if (n.silent)
      return write(out, *n.args[0]);
    out += '(';
    write(out, *n.args[0]);
    append_type(out, n.result);
    out += ')';
  }

  void write_operator(std::string& out, const node& n, std::string_view name) const {
    out += '(';
    write(out, *n.args[0]);
    out += " OPERATOR(pg_catalog.";
    out += name;
    out += ") ";
    write(out, *n.args[1]);
    out += ')';
  }

  void write_list(std::string& out, const node& n) const {
    std::vector<std::string> elements;
    elements.reserve(n.set.size());
    for (const auto& element : n.set)
      append_constant(elements.emplace_back(), element);
    out += '(';
    write(out, *n.args[0]);
    out += " OPERATOR(pg_catalog.=) ANY (ARRAY[";
    append_all(out, std::move(elements), ", ");
    out += "]))";
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

  bool sorted_;
};

} // namespace

result<std::string> to_sql(const node& tree) {
  std::string out;
  emitter{false}.write(out, tree);
  if (out.size() > emitted_bytes_max)
    return fail(refusal(0, "the clause is too large once its parts are written out"));
  return out;
}

std::string to_canonical(const node& tree) {
  std::string out;
  emitter{true}.write(out, tree);
  return out;
}

} // namespace busbar::sql
