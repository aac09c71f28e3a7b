// sql/enum_type.hpp: what the catalog knows of an enum.
#pragma once

#include <string>
#include <vector>

namespace busbar::sql {

struct enum_type {
  std::string schema;
  std::string name;
  std::vector<std::string> labels; ///< In the enum's order, which is not that of their letters.

  friend bool operator==(const enum_type&, const enum_type&) = default;
};

} // namespace busbar::sql
