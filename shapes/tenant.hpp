// shapes/tenant.hpp: whose a shape is, as its where clause says.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace busbar {

/// The value that every row of the shape has in `column`: of `column = value`, alone or as a part
/// of an AND at the top of the clause. The value is the text of the literal or parameter; nullopt
/// if the clause does not say one.
std::optional<std::string> tenant_of(std::string_view where,
                                     const std::vector<std::string>& parameters,
                                     std::string_view column);

} // namespace busbar
