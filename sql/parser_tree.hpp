// sql/parser_tree.hpp: what the decoders of libpg_query's trees share. Private to sql/.
#pragma once

#include "sql/wire_reader.hpp"

#include <pg_query.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace busbar::sql {

/// Field numbers of message Node in libpg_query's pg_query.proto, for grammar version 15.
namespace parser_node {
enum : std::uint32_t {
  range_var = 2,
  bool_expr = 16,
  sub_link = 17,
  case_expr = 27,
  case_when = 28,
  row_expr = 31,
  coalesce_expr = 33,
  min_max_expr = 34,
  null_test = 37,
  boolean_test = 38,
  select_stmt = 58,
  a_expr = 171,
  column_ref = 172,
  param_ref = 173,
  func_call = 174,
  a_indices = 176,
  a_indirection = 177,
  a_array_expr = 178,
  res_target = 179,
  type_cast = 181,
  sort_by = 183,
  string = 233,
  list = 235,
  a_const = 238,
};
}

/// Owns what pg_query_parse_protobuf() returned.
struct parser_result {
  PgQueryProtobufParseResult result;
  explicit parser_result(const char* statement) : result{pg_query_parse_protobuf(statement)} {}
  ~parser_result() { pg_query_free_protobuf_parse_result(result); }
  parser_result(const parser_result&) = delete;
  parser_result& operator=(const parser_result&) = delete;
};

/// A Node is a message with exactly one field, whose number says what it is.
struct node_view {
  std::uint32_t field = 0;
  std::string_view body = {};
};
inline node_view open_node(std::string_view bytes) {
  wire_reader reader{bytes};
  return reader.next() ? node_view{reader.field(), reader.bytes()} : node_view{};
}

/// The text of a Node that is a String; nullopt for any other node.
inline std::optional<std::string> string_node(std::string_view bytes) {
  const auto node = open_node(bytes);
  if (node.field != parser_node::string)
    return std::nullopt;
  wire_reader reader{node.body};
  return reader.next() ? std::string{reader.bytes()} : std::string{};
}

} // namespace busbar::sql
