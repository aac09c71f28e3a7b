#include "tests/integration/where_vocabulary.hpp"

#include "postgres/connection.hpp"

#include <algorithm>
#include <map>
#include <memory>

namespace busbar::testing {
namespace {

using texts = std::vector<std::string>;

const std::vector<where_column> columns{
    {"s", "int2"},      {"a", "int4"},       {"b", "int4"},       {"l", "int8"},
    {"n", "numeric"},   {"o", "numeric"},    {"g", "float4"},     {"f", "float8"},
    {"q", "bool"},      {"t", "text"},       {"w", "text"},       {"v", "varchar"},
    {"c", "bpchar(4)"}, {"nm", "name"},      {"u", "uuid"},       {"d", "date"},
    {"tm", "time"},     {"ts", "timestamp"}, {"te", "timestamp"}, {"tz", "timestamptz"},
    {"i", "interval"},  {"k", "interval"},   {"y", "bytea"},      {"j", "jsonb"},
    {"m", "mood"},      {"p", "posint"},     {"ia", "int4[]"},    {"ib", "int4[]"},
    {"ta", "text[]"},   {"na", "numeric[]"}, {"ma", "mood[]"},    {"da", "date[]"},
};

const texts words{"",  "a",    "A",   "ab",   "a ", "é",   "É",  "ß",   "🙂",      "a%c",
                  "_", "a\nc", "\\z", "it's", "10", " 7 ", "ok", "aab", "2024-01-01"};

const std::map<std::string, texts> values{
    {"int2", {"0", "1", "-1", "2", "32767", "-32768"}},
    {"int4", {"0", "1", "5", "-3", "2", "16777217", "2147483647", "-2147483648"}},
    {"posint", {"1", "5", "2147483647"}},
    {"int8", {"0", "1", "3", "9007199254740993", "-9223372036854775808"}},
    {"numeric",
     {"0.00", "1.0", "-1.50", "0.1", "NaN", "Infinity", "-Infinity", "9007199254740993", "12.345",
      "1e-10", "123456789012345678901234567890.5", "-7"}},
    {"float4", {"0", "-0", "0.1", "1", "NaN", "-Infinity", "16777216", "1e+20", "-2.5"}},
    {"float8",
     {"0", "0.1", "1.5", "2.5", "-2.5", "NaN", "Infinity", "9007199254740992", "5e-324", "1e15",
      "123456789012345", "1e-5", "0.0001", "100000"}},
    {"bool", {"t", "f"}},
    {"text", words},
    {"varchar", words},
    {"bpchar", {"", "a", "A", "ab", "a ", "é", "a%c", "_", "10", "ok"}},
    {"bpchar(4)", {"", "a", "A", "ab", "a ", "é", "a%c", "_", "10", "ok"}},
    {"name", {"a", "A", "ab", "ok", "é"}},
    {"uuid", {"550e8400-e29b-41d4-a716-446655440000", "00000000-0000-0000-0000-000000000000"}},
    {"date",
     {"2024-01-01", "2024-02-29", "1999-12-31", "infinity", "-infinity", "0044-03-15 BC",
      "5874897-12-31", "2024-01-31"}},
    {"time", {"00:00:00", "10:00:00.5", "23:59:59.999999", "24:00:00", "12:34:56"}},
    {"timestamp",
     {"2024-01-01 00:00:00", "2024-01-31 10:00:00.5", "2024-02-29 23:59:59.999999", "infinity",
      "-infinity", "0044-03-15 00:00:00 BC", "2000-01-01 00:00:00", "1999-12-31 23:59:59.999999"}},
    {"timestamptz",
     {"2024-01-01 00:00:00+00", "2024-03-10 07:30:00+00", "2024-11-03 05:30:00+00", "infinity",
      "2000-01-01 00:00:00+00", "1950-06-01 00:00:00+00"}},
    {"interval",
     {"PT0S", "P1D", "PT24H", "P1M", "P30D", "P1Y2M3DT4H5M6.7S", "P-1DT2H", "PT-0.000001S",
      "P1M-1D", "PT1000H", "P400D", "P-14M35DT-30H"}},
    {"bytea", {"\\x", "\\x01", "\\x01ff", "\\xdeadbeef"}},
    {"jsonb",
     {"1", "null", "\"a\"", "{}", "[]", R"({"a": 1, "b": [1, 2.0, {"c": null}]})",
      R"([1, "a", [2]])", R"({"a": "x\"y\u0001\n", "é": true})", R"({"a": 1.0})", "[1, 1, 2]",
      "true"}},
    {"mood", {"sad", "meh", "ok", "happy"}},
    {"int4[]",
     {"{}", "{1}", "{1,2,3}", "{2,NULL}", "{{1,2},{3,4}}", "[0:2]={5,1,2}", "{NULL}",
      "[2:3][0:1]={{1,2},{5,0}}"}},
    {"text[]", {"{}", "{a}", R"({"a b","NULL",NULL,"c\"d"})", R"({"",ab})", R"({"\\z",é})"}},
    {"numeric[]", {"{}", "{1.0,2.50}", "{NaN,NULL}"}},
    {"mood[]", {"{}", "{ok,sad}", "{meh,NULL}"}},
    {"date[]", {"{}", "{2024-01-01,infinity}"}},
};

/// Literals for any place: most are invalid for most types, and then both must refuse them.
const texts oddities{" 1 ",
                     "+1",
                     "007",
                     "1e3",
                     "inf",
                     "-nan",
                     "0x10",
                     ".",
                     "1.",
                     "yes",
                     "of",
                     "o",
                     "{550e8400e29b41d4a716446655440000}",
                     "20240101",
                     "January 1, 2024",
                     "1 jan 2024",
                     "02/01/2024",
                     "13/13/2024",
                     "2024-02-30",
                     "0000-01-01",
                     "2024-01-01T10:00Z",
                     "2024-01-01 10:00:00+02",
                     "2024-01-01 24:00:00",
                     "2024-01-01 12:30 AM",
                     "2024-01-01 23:59:60",
                     "2024-01-01 10:00:00.0000005",
                     "2024-07-01 10:00 America/New_York",
                     "epoch",
                     "32768",
                     "9223372036854775808",
                     "1e-400",
                     "a%",
                     "%",
                     "\\",
                     "_%",
                     "1 day",
                     "1.5 months",
                     "-1 year 2 mons",
                     "3 4:05:06",
                     "1-2",
                     "1 day ago",
                     "00:00:01.5",
                     "P1Y2M10DT2H30M",
                     "2 weeks",
                     "1.75 years",
                     "1 mon 3 hours",
                     "{1,2}",
                     "{ 1 , \"2\" }",
                     "{1,{2}}",
                     "[1:2]={1,2}",
                     "{a,NULL}",
                     R"({"b":1, "a":[1 , 2]})",
                     R"({"a":1,"a":2})",
                     "10:30",
                     "10:30 PM",
                     "\\x01",
                     "\\001a"};

/// By result. {type} stands for any expression of that type.
const std::map<std::string, texts> patterns{
    {"int2",
     {"({int2} + {int2})", "({int2} & {int2})", "abs({int2})", "{int4}::int2", "(- {int2})",
      "({int2} << 1)"}},
    {"int4",
     {"({int4} + {int4})",
      "({int4} - {int2})",
      "({int4} * {int2})",
      "({int4} / {int4})",
      "({int4} % {int4})",
      "(- {int4})",
      "(@ {int4})",
      "(~ {int4})",
      "({int4} & {int4})",
      "({int4} | {int4})",
      "({int4} # {int4})",
      "({int4} << 3)",
      "({int4} >> 1)",
      "abs({int4})",
      "mod({int4}, {int4})",
      "({date} - {date})",
      "length({text})",
      "char_length({bpchar})",
      "octet_length({text})",
      "position({text} in {text})",
      "strpos({text}, {text})",
      "cardinality({int4[]})",
      "array_length({int4[]}, 1)",
      "array_ndims({int4[]})",
      "array_lower({int4[]}, 1)",
      "array_upper({text[]}, 1)",
      "array_position({int4[]}, {int4})",
      "({int4[]})[{int4}]",
      "({int4[]})[1][2]",
      "{bool}::int4",
      "{numeric}::int4",
      "{float8}::int4",
      "{int8}::int4",
      "coalesce({int4}, {int4})",
      "nullif({int4}, {int4})",
      "greatest({int4}, {int4})",
      "least({int4}, {int4}, {int4})",
      "length({bytea})",
      "CASE WHEN {bool} THEN {int4} ELSE {int4} END",
      "CASE {int4} WHEN {int4} THEN {int4} WHEN 1 THEN 7 END",
      "{posint}"}},
    {"int8",
     {"({int8} + {int4})", "({int4} * {int8})", "({int8} - 1)", "{int4}::int8", "({int8} / {int8})",
      "({int8} % 7)", "({int8} & {int8})", "({int8} << 5)", "{text}::int8", "{numeric}::int8",
      "coalesce({int8}, {int4})", "abs({int8})"}},
    {"numeric",
     {"({numeric} + {numeric})",
      "({numeric} - {numeric})",
      "({numeric} * {numeric})",
      "({numeric} / {numeric})",
      "({numeric} % {numeric})",
      "({numeric} ^ 2)",
      "({int4} / {numeric})",
      "(- {numeric})",
      "abs({numeric})",
      "round({numeric})",
      "round({numeric}, 1)",
      "round({numeric}, -1)",
      "trunc({numeric}, 2)",
      "floor({numeric})",
      "ceil({numeric})",
      "sign({numeric})",
      "{int4}::numeric",
      "{float8}::numeric",
      "{float4}::numeric",
      "{numeric}::numeric(8,2)",
      "{text}::numeric",
      "extract(year from {date})",
      "extract(month from {timestamp})",
      "extract(dow from {timestamptz})",
      "extract(hour from {time})",
      "extract(doy from {date})",
      "greatest({numeric}, {int4})",
      "({numeric[]})[1]",
      "mod({numeric}, {numeric})"}},
    {"float4",
     {"({float4} + {float4})", "({float4} * {float4})", "{float8}::float4", "{int4}::float4",
      "(- {float4})", "{numeric}::float4", "({float4} / {float4})"}},
    {"float8",
     {"({float8} + {float8})", "({float8} - {float4})", "({float8} * {float8})",
      "({float8} / {float8})", "({int4} ^ {int4})", "(|/ {float8})", "(@ {float8})",
      "{int8}::float8", "{numeric}::float8", "{text}::float8", "round({float8})", "floor({float8})",
      "ceil({float8})", "trunc({float8})", "sign({float8})", "({float8} ^ 2)"}},
    {"bool",
     {"({int4} > {int4})", "{int4}::bool", "{text}::bool", "coalesce({bool}, {bool})",
      "({text} LIKE {text})", "starts_with({text}, {text})", "({text} ^@ {text})"}},
    {"text",
     {"({text} || {text})",
      "({text} || {int4})",
      "({date} || {text})",
      "({bool} || {text})",
      "lower({text})",
      "upper({text})",
      "left({text}, {int2})",
      "right({text}, {int2})",
      "substr({text}, {int2})",
      "substring({text} from 2 for 2)",
      "substr({text}, {int2}, 3)",
      "btrim({text})",
      "ltrim({text}, {text})",
      "rtrim({text}, 'ab')",
      "trim(both 'a' from {text})",
      "replace({text}, {text}, {text})",
      "concat({text}, {int4}, {bpchar}, {date})",
      "coalesce({text}, {text})",
      "nullif({text}, {text})",
      "greatest({text}, {text})",
      "least({text}, 'b')",
      "CASE WHEN {bool} THEN {text} ELSE {varchar} END",
      "({text[]})[1]",
      "{int4}::text",
      "{bool}::text",
      "{float8}::text",
      "{float4}::text",
      "{numeric}::text",
      "{date}::text",
      "{time}::text",
      "{timestamp}::text",
      "{timestamptz}::text",
      "{interval}::text",
      "{uuid}::text",
      "{mood}::text",
      "{int4[]}::text",
      "{text[]}::text",
      "{bpchar}::text",
      "{name}::text",
      "({jsonb} ->> 'a')",
      "({jsonb} ->> {int2}::int4)",
      "{jsonb}::text",
      "({bpchar} || {text})"}},
    {"varchar", {"{text}::varchar(2)", "{text}::varchar", "{bpchar}::varchar"}},
    {"bpchar", {"{text}::char(3)", "{varchar}::bpchar", "{text}::bpchar"}},
    {"name", {"{text}::name"}},
    {"uuid", {"{text}::uuid", "coalesce({uuid}, {uuid})"}},
    {"date",
     {"({date} + {int4})", "({int4} + {date})", "({date} - {int4})", "{timestamp}::date",
      "{timestamptz}::date", "greatest({date}, {date})", "coalesce({date}, {date})",
      "({date[]})[1]", "{text}::date"}},
    {"time",
     {"({time} + {interval})", "({time} - {interval})", "{timestamp}::time", "{text}::time",
      "{interval}::time", "{time}::time(0)"}},
    {"timestamp",
     {"({timestamp} + {interval})", "({timestamp} - {interval})", "({interval} + {timestamp})",
      "({date} + {interval})", "({date} + {time})", "({date} - {interval})", "{date}::timestamp",
      "{timestamptz}::timestamp", "{text}::timestamp", "({timestamptz} AT TIME ZONE 'UTC')",
      "({timestamptz} AT TIME ZONE 'America/New_York')", "date_trunc('month', {timestamp})",
      "date_trunc('week', {timestamp})", "{timestamp}::timestamp(2)",
      "date_trunc('hour', {timestamp})", "date_trunc('quarter', {timestamp})"}},
    {"timestamptz",
     {"({timestamptz} + {interval})", "({timestamptz} - {interval})", "{timestamp}::timestamptz",
      "({timestamp} AT TIME ZONE 'Europe/Berlin')", "({timestamp} AT TIME ZONE 'Asia/Kolkata')",
      "date_trunc('day', {timestamptz})", "{date}::timestamptz"}},
    {"interval",
     {"({interval} + {interval})", "({interval} - {interval})", "({interval} * {float8})",
      "({interval} * 1.5)", "({interval} / 3)", "(- {interval})", "({timestamp} - {timestamp})",
      "({timestamptz} - {timestamptz})", "({time} - {time})", "justify_days({interval})",
      "justify_hours({interval})", "justify_interval({interval})", "{time}::interval",
      "{text}::interval"}},
    {"bytea", {"({bytea} || {bytea})", "coalesce({bytea}, {bytea})"}},
    {"jsonb", {"({jsonb} -> 'a')", "({jsonb} -> {int2}::int4)", "({jsonb} -> {text})"}},
    {"mood",
     {"coalesce({mood}, {mood})", "greatest({mood}, {mood})", "({mood[]})[1]", "{text}::mood"}},
    {"int4[]",
     {"({int4[]} || {int4[]})", "({int4[]} || {int4})", "({int4} || {int4[]})",
      "array_append({int4[]}, {int4})", "array_prepend({int4}, {int4[]})",
      "array_cat({int4[]}, {int4[]})", "ARRAY[{int4}, {int4}]",
      "ARRAY[ARRAY[{int4}, 2], ARRAY[3, 4]]", "({int4[]})[1:2]", "({int4[]})[2:]",
      "({int4[]})[:{int4}]", "({int4[]})[1:1][1]", "{text[]}::int4[]",
      "coalesce({int4[]}, {int4[]})", "ARRAY[{int2}, {int4}]"}},
    {"text[]",
     {"({text[]} || {text[]})", "({text[]} || {text})", "ARRAY[{text}, {varchar}]",
      "{int4[]}::text[]", "{mood[]}::text[]", "array_append({text[]}, {text})"}},
    {"numeric[]",
     {"({numeric[]} || {numeric})", "{int4[]}::numeric[]", "ARRAY[{numeric}, {int4}]"}},
    {"mood[]", {"({mood[]} || {mood})", "ARRAY[{mood}, 'ok']"}},
    {"date[]", {"({date[]} || {date})"}},
};

const texts types{"int2",      "int4",        "int8",      "numeric", "float4", "float8", "bool",
                  "text",      "varchar",     "bpchar",    "name",    "uuid",   "date",   "time",
                  "timestamp", "timestamptz", "interval",  "bytea",   "jsonb",  "mood",   "posint",
                  "int4[]",    "text[]",      "numeric[]", "mood[]",  "date[]"};

/// Types that are compared with each other.
const std::vector<texts> families{
    {"int2", "int4", "int8", "numeric", "float4", "float8", "posint"},
    {"text", "varchar", "bpchar", "name"},
    {"date", "timestamp", "timestamptz"},
};

const texts comparisons{"=", "<>", "<", "<=", ">", ">="};

} // namespace

const std::vector<where_column>& where_columns() {
  return columns;
}

const std::vector<std::string>& where_values(const std::string& type) {
  return values.at(type);
}

std::string where_column::declaration() const {
  const bool has_letters =
      type == "text" || type == "varchar" || type == "bpchar(4)" || type == "text[]";
  return type + (has_letters ? " COLLATE letters" : "");
}

sql::column where_column::as_sql_column() const {
  sql::column out{.name = name, .type_name = type, .cases = sql::case_rule::unicode};
  if (out.type_name.ends_with("[]")) {
    out.type_name.resize(out.type_name.size() - 2);
    out.dimensions = 1;
  }
  if (out.type_name == "bpchar(4)")
    out.type_name = "bpchar";
  if (out.type_name == "posint")
    out.type_name = "int4";
  if (out.type_name == "name")
    out.cases = sql::case_rule::ascii;
  if (out.type_name == "mood") {
    static const auto labels = std::make_shared<const sql::enum_type>(
        sql::enum_type{"public", "mood", {"sad", "meh", "ok", "happy"}});
    out.type_class = "e";
    out.labels = labels;
  }
  return out;
}

std::string clause_maker::literal(const std::string& type) {
  const auto& text = below(12) == 0 ? pick(oddities) : pick(where_values(type));
  const auto quoted = postgres::quote_literal(text);
  if ((type == "int4" || type == "numeric") && text.find_first_not_of("0123456789.") == text.npos)
    return text;
  return below(3) == 0 ? quoted : quoted + "::" + type;
}

std::string clause_maker::column(const std::string& type) {
  texts found;
  for (const auto& c : columns)
    if (c.type == type || c.type == type + "(4)")
      found.push_back(c.name);
  return found.empty() ? literal(type) : pick(found);
}

std::string clause_maker::expand(const std::string& pattern, int depth) {
  std::string out;
  for (std::size_t at = 0; at < pattern.size();) {
    const auto open = pattern.find('{', at);
    if (open == std::string::npos) {
      out += pattern.substr(at);
      break;
    }
    const auto close = pattern.find('}', open);
    out += pattern.substr(at, open - at);
    const auto type = pattern.substr(open + 1, close - open - 1);
    // Braces that hold no type belong to an array.
    out += values.contains(type) ? value(type, depth - 1) : "{" + type + "}";
    at = close + 1;
  }
  return out;
}

std::string clause_maker::value(const std::string& type, int depth) {
  const auto known = patterns.find(type);
  if (depth > 0 && known != patterns.end() && below(2) == 0)
    return expand(pick(known->second), depth);
  switch (below(10)) {
  case 0:
    return "NULL::" + type;
  case 1:
  case 2:
  case 3:
    return literal(type);
  default:
    return column(type);
  }
}

std::string clause_maker::leaf(int depth) {
  auto type = pick(types);
  auto other = type;
  for (const auto& family : families)
    if (std::find(family.begin(), family.end(), type) != family.end() && below(3) == 0)
      other = pick(family);
  const auto x = value(type, depth);
  const auto y = value(other, depth);
  const std::string negation = below(2) == 0 ? "" : "NOT ";
  switch (below(12)) {
  case 0:
    return "(" + x + " IS " + negation + "DISTINCT FROM " + y + ")";
  case 1:
    return "(" + x + " " + negation + "BETWEEN " + (below(2) == 0 ? "" : "SYMMETRIC ") + y +
           " AND " + value(type, depth) + ")";
  case 2:
    return "(" + x + " " + negation + "IN (" + y + ", " + literal(type) + ", " + literal(other) +
           "))";
  case 3:
    return expand("({text} " + negation + pick({"LIKE ", "ILIKE "}) +
                      pick({"{text}", "'a%'", "'_'", "'%\\%'", "'a_c'", "'A!%%' ESCAPE '!'"}) + ")",
                  depth);
  case 4:
    return "(" + x + " IS " + negation + "NULL)";
  case 5:
    return expand("(" + pick({"{int4[]}", "{text[]}", "{numeric[]}", "{mood[]}", "{date[]}"}) + " ",
                  depth) +
           pick({"@>", "<@", "&&", "=", "<", "<>"}) + " " +
           expand(pick({"{int4[]}", "{text[]}", "{numeric[]}", "{mood[]}", "{date[]}", "'{1,2}'",
                        "'{ok}'", "'{}'"}) +
                      ")",
                  depth);
  case 6: {
    const auto element = pick({"int4", "text", "numeric", "mood"});
    return "(" + value(element, depth) + " " + pick(comparisons) + " " + pick({"ANY", "ALL"}) +
           " (" + value(element + "[]", depth) + "))";
  }
  case 7:
    return expand(
        pick({"({jsonb} @> {jsonb})", "({jsonb} <@ {jsonb})", "({jsonb} ? {text})",
              "(({int4}, {text}) = ({int4}, {text}))", "(({int4}, {date}) < ({int8}, {date}))",
              "(({int4}, {int4}) IN ((1, 2), ({int4}, 5)))", "(({int4}, {text}) IS NULL)",
              "(({int4}, {text}) IS NOT NULL)", "({text} LIKE ANY ({text[]}))",
              "({text} NOT LIKE ALL ({text[]}))", "({bool})", "({text} ILIKE ANY ('{A%,_}'))"}),
        depth);
  default:
    return "(" + x + " " + pick(comparisons) + " " + y + ")";
  }
}

std::string clause_maker::condition(int depth) {
  switch (depth == 0 ? 6 : below(12)) {
  case 0:
    return "(" + condition(depth - 1) + " AND " + condition(depth - 1) + ")";
  case 1:
    return "(" + condition(depth - 1) + " OR " + condition(depth - 1) + ")";
  case 2:
    return "(NOT " + condition(depth - 1) + ")";
  case 3:
    return "(" + condition(depth - 1) + pick({" IS ", " IS NOT "}) +
           pick({"TRUE", "FALSE", "UNKNOWN", "NULL"}) + ")";
  case 4:
    return "(" + condition(depth - 1) + pick({" = ", " < ", " IS DISTINCT FROM "}) +
           condition(depth - 1) + ")";
  default:
    return leaf(depth);
  }
}

} // namespace busbar::testing
