// http/json_body.hpp: parameters that come as JSON: the body of a POST, and subset__params (spec
// shape-protocol 5.4 and 15.2).
#pragma once

#include "http/query.hpp"

#include <tl/expected.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace busbar::http {

inline constexpr std::size_t body_bytes_max = 8'000'000;

/// Adds what `body` says to the parameters of the query string, over which it wins. Members that
/// belong to a subset become the subset__… parameters that they are in a query. An empty body says
/// nothing. The error is a sentence for the client: no JSON, or not an object.
tl::expected<void, std::string> merge_json_body(std::string_view body, query& parameters);

/// The members of a JSON object with their values as texts: numbers and booleans as JSON writes
/// them, null the empty text. The error is a sentence for the client.
using json_members = std::vector<std::pair<std::string, std::optional<std::string>>>;
tl::expected<json_members, std::string> parse_json_members(std::string_view text);

} // namespace busbar::http
