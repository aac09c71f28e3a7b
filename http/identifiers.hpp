// http/identifiers.hpp: names of tables and columns as requests spell them (spec
// shape-protocol 5.6).
#pragma once

#include <tl/expected.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace busbar::http {

/// The error is a sentence for the client.
template <class T>
using identified = tl::expected<T, std::string>;

/// `"Quoted""Name"` or Unquoted, which is folded to lower case (ASCII only).
identified<std::string> parse_identifier(std::string_view text);

struct table_name {
  std::string schema = "public";
  std::string table;
};

/// `table` or `schema.table`.
identified<table_name> parse_table_name(std::string_view text);

/// `a,"B",c`: commas outside double quotes separate. No trimming.
identified<std::vector<std::string>> parse_identifier_list(std::string_view text);

} // namespace busbar::http
