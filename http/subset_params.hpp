// http/subset_params.hpp: the parameters of a subset query (spec shape-protocol 5.4).
#pragma once

#include "http/query.hpp"
#include "http/shape_params.hpp"
#include "shapes/subset.hpp"

#include <tl/expected.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace busbar::http {

/// True if a subset is asked for: by any key subset__… or by subset[…].
bool asks_for_subset(const query& parameters) noexcept;

/// Errors have the fields subset.where, subset.params and so on. What SQL and catalogue say is the
/// session's to check.
tl::expected<subset_request, field_errors> parse_subset(const query& parameters);

/// The values of $1, $2, … from members `1`, `2`, …; the error is a sentence for the client.
tl::expected<std::vector<std::string>, std::string>
number_parameters(const std::vector<std::pair<std::string, std::optional<std::string>>>& members);

} // namespace busbar::http
