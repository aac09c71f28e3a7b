#include "sql/expression_text.hpp"

#include <algorithm>
#include <span>
#include <string_view>

namespace busbar::sql {
namespace {

using kind_type = expression::kind_type;

class writer {
public:
  std::string out;

  void write(const expression& e) {
    switch (e.kind) {
    case kind_type::column:
      return name(e.text);
    case kind_type::number:
      return e.text.starts_with('-') ? in_brackets([&] { out += e.text; }) : void(out += e.text);
    case kind_type::string:
      return string(e.text);
    case kind_type::boolean:
      out += e.number != 0 ? "TRUE" : "FALSE";
      return;
    case kind_type::null:
      out += "NULL";
      return;
    case kind_type::parameter:
      out += '$' + std::to_string(e.number);
      return;
    case kind_type::cast:
      return cast(e);
    case kind_type::conjunction:
      return in_brackets([&] { list(e.args, " AND "); });
    case kind_type::disjunction:
      return in_brackets([&] { list(e.args, " OR "); });
    case kind_type::negation:
      return in_brackets([&] { before("NOT ", e); });
    case kind_type::binary:
      return between(e, ' ' + e.text + ' ');
    case kind_type::prefix:
      return in_brackets([&] { before(e.text + ' ', e); });
    case kind_type::function:
      name(e.text);
      return call(e.args);
    case kind_type::distinct:
      return between(e, " IS DISTINCT FROM ");
    case kind_type::not_distinct:
      return between(e, " IS NOT DISTINCT FROM ");
    case kind_type::in:
      return in_list(e, " IN ");
    case kind_type::not_in:
      return in_list(e, " NOT IN ");
    case kind_type::any:
      return quantified(e, " ANY (");
    case kind_type::all:
      return quantified(e, " ALL (");
    case kind_type::between:
      return bounded(e, " BETWEEN ");
    case kind_type::not_between:
      return bounded(e, " NOT BETWEEN ");
    case kind_type::between_symmetric:
      return bounded(e, " BETWEEN SYMMETRIC ");
    case kind_type::not_between_symmetric:
      return bounded(e, " NOT BETWEEN SYMMETRIC ");
    case kind_type::is_null:
      return behind(e, " IS NULL");
    case kind_type::is_not_null:
      return behind(e, " IS NOT NULL");
    case kind_type::is_true:
      return behind(e, " IS TRUE");
    case kind_type::is_not_true:
      return behind(e, " IS NOT TRUE");
    case kind_type::is_false:
      return behind(e, " IS FALSE");
    case kind_type::is_not_false:
      return behind(e, " IS NOT FALSE");
    case kind_type::is_unknown:
      return behind(e, " IS UNKNOWN");
    case kind_type::is_not_unknown:
      return behind(e, " IS NOT UNKNOWN");
    case kind_type::null_if:
      out += "NULLIF";
      return call(e.args);
    case kind_type::coalesce:
      out += "COALESCE";
      return call(e.args);
    case kind_type::greatest:
      out += "GREATEST";
      return call(e.args);
    case kind_type::least:
      out += "LEAST";
      return call(e.args);
    case kind_type::row:
      out += "ROW";
      return call(e.args);
    case kind_type::array:
      out += "ARRAY[";
      list(e.args, ", ");
      out += ']';
      return;
    case kind_type::at:
      return at(e);
    case kind_type::subscript:
      return subscript(e);
    case kind_type::choice:
      return choice(e);
    case kind_type::in_select:
      return in_brackets([&] {
        out += '(';
        list(e.args[0].args, ", ");
        out += ") IN ";
        in_brackets([&] { write(e.args[1]); });
      });
    case kind_type::select:
      return select(e);
    }
  }

private:
  void in_brackets(const auto& inside) {
    out += '(';
    inside();
    out += ')';
  }

  void quote(std::string_view text, char mark) {
    out += mark;
    for (const char c : text) {
      if (c == mark)
        out += mark;
      out += c;
    }
    out += mark;
  }
  void name(std::string_view text) { quote(text, '"'); }
  /// Backslashes are ordinary: parse() has standard_conforming_strings on.
  void string(std::string_view text) { quote(text, '\''); }

  void list(std::span<const expression> parts, std::string_view separator) {
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (i > 0)
        out += separator;
      write(parts[i]);
    }
  }
  void call(std::span<const expression> parts) {
    in_brackets([&] { list(parts, ", "); });
  }
  void before(std::string_view word, const expression& e) {
    out += word;
    write(e.args[0]);
  }
  void behind(const expression& e, std::string_view words) {
    in_brackets([&] {
      write(e.args[0]);
      out += words;
    });
  }
  void between(const expression& e, std::string_view what) {
    in_brackets([&] { list(e.args, what); });
  }
  void in_list(const expression& e, std::string_view words) {
    in_brackets([&] {
      write(e.args[0]);
      out += words;
      call(std::span{e.args}.subspan(1));
    });
  }
  void quantified(const expression& e, std::string_view words) {
    in_brackets([&] {
      write(e.args[0]);
      out.append(" ").append(e.text).append(words);
      write(e.args[1]);
      out += ')';
    });
  }
  void bounded(const expression& e, std::string_view words) {
    in_brackets([&] {
      write(e.args[0]);
      out += words;
      write(e.args[1]);
      out += " AND ";
      write(e.args[2]);
    });
  }

  void cast(const expression& e) {
    out += "CAST(";
    write(e.args[0]);
    out += " AS ";
    if (!e.qualifier.empty()) {
      name(e.qualifier);
      out += '.';
    }
    name(e.text);
    for (std::size_t i = 0; i < e.modifiers.size(); ++i)
      out += (i == 0 ? "(" : ", ") + std::to_string(e.modifiers[i]);
    if (!e.modifiers.empty())
      out += ')';
    out += e.to_array ? "[])" : ")";
  }

  void at(const expression& e) {
    in_brackets([&] { write(e.args[0]); });
    for (std::size_t i = 1; i < e.args.size(); ++i)
      write(e.args[i]);
  }
  void subscript(const expression& e) {
    std::size_t next = 0;
    out += '[';
    if ((e.number & 1) != 0)
      write(e.args[next++]);
    if ((e.number & 4) != 0)
      out += ':';
    if ((e.number & 2) != 0)
      write(e.args[next]);
    out += ']';
  }

  void choice(const expression& e) {
    std::size_t next = 0;
    auto end = e.args.size();
    in_brackets([&] {
      out += "CASE";
      if ((e.number & 1) != 0) {
        out += ' ';
        write(e.args[next++]);
      }
      if ((e.number & 2) != 0)
        --end;
      for (; next + 1 < end; next += 2) {
        out += " WHEN ";
        write(e.args[next]);
        out += " THEN ";
        write(e.args[next + 1]);
      }
      if ((e.number & 2) != 0) {
        out += " ELSE ";
        write(e.args[end]);
      }
      out += " END";
    });
  }

  void select(const expression& e) {
    out += "SELECT ";
    list(e.args[0].args, ", ");
    out += " FROM ";
    name(e.qualifier);
    out += '.';
    name(e.text);
    if (e.args.size() > 1) {
      out += " WHERE ";
      write(e.args[1]);
    }
  }
};

} // namespace

std::string text_of(const expression& clause) {
  writer w;
  w.write(clause);
  return std::move(w.out);
}

bool is_same(const expression& a, const expression& b) {
  return a.kind == b.kind && a.number == b.number && a.text == b.text &&
         a.qualifier == b.qualifier && a.modifiers == b.modifiers && a.to_array == b.to_array &&
         std::equal(a.args.begin(), a.args.end(), b.args.begin(), b.args.end(), is_same);
}

} // namespace busbar::sql
