// tests/unit/sql/vectors.hpp: reads the conformance vectors of tests/data/where-vectors.json.
#pragma once

#include "tests/unit/sql/clause.hpp"

#include <nlohmann/json.hpp>

#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace busbar::sql::test::vectors {

using nlohmann::json;

inline json all() {
  std::ifstream file{BUSBAR_TEST_DATA "/where-vectors.json"};
  return json::parse(file);
}

inline column column_of(const std::string& name, std::string type) {
  column out;
  out.name = name;
  out.cases = type == "name" ? case_rule::ascii : case_rule::unicode; // a name's collation is C
  if (type.ends_with("[]")) {
    out.dimensions = 1;
    type.resize(type.size() - 2);
  }
  if (const auto modifier = type.find('('); modifier != std::string::npos)
    type.resize(modifier);
  if (type == "mood") {
    out.type_class = "e";
    out.labels = std::make_shared<enum_type>(enum_type{"public", "mood", {"sad", "ok", "happy"}});
  }
  if (type == "posint")
    type = "int4";
  if (type == "email")
    type = "text";
  if (type == "int4range")
    out.type_class = "r";
  out.type_name = type;
  return out;
}

struct prepared {
  std::string id;
  std::string where;
  test::columns columns;
  std::vector<std::string> parameters;
  test::row row;
  json expected;
};

inline prepared prepare(const json& vector) {
  prepared out;
  out.id = vector.at("id");
  out.where = vector.at("where");
  out.expected = vector.at("expect");
  for (const auto& [name, type] : vector.at("columns").items()) {
    out.columns.push_back(column_of(name, type));
    const auto& text = vector.at("row").at(name);
    out.row.push_back(text.is_null() ? std::nullopt : std::optional{text.get<std::string>()});
  }
  if (vector.contains("params"))
    for (std::size_t n = 1; vector["params"].contains(std::to_string(n)); ++n)
      out.parameters.push_back(vector["params"][std::to_string(n)]);
  return out;
}

/// The database of the vectors is in C.UTF-8.
inline result<std::shared_ptr<const predicate>> compile(std::string_view where, const prepared& v) {
  return predicate::compile(where, v.parameters, v.columns, {true, true, case_rule::unicode});
}
inline result<std::shared_ptr<const predicate>> compile(const prepared& v) {
  return compile(v.where, v);
}

inline truth answer_of(const json& expected) {
  return expected.is_null() ? truth::unknown : expected.get<bool>() ? truth::yes : truth::no;
}

} // namespace busbar::sql::test::vectors
