// sql/time_zone.hpp: the zones of the IANA database, read from the system's files as PostgreSQL
// reads them.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace busbar::sql {

/// Immutable. Seconds count from 1970; offsets are east of Greenwich.
class time_zone {
public:
  /// nullptr if there is no such zone, or PostgreSQL might understand the name differently: an
  /// abbreviation in capitals is looked up elsewhere by it.
  static std::shared_ptr<const time_zone> find(std::string_view name);

  std::int64_t offset_at(std::int64_t instant) const noexcept;

  /// What the clocks there show, understood as PostgreSQL does: in a gap as before it, and of two
  /// meanings the later one.
  std::int64_t offset_of_local(std::int64_t local) const noexcept;

private:
  struct change {
    std::int64_t instant;
    std::int64_t offset;
  };

  bool load(std::string_view bytes);
  bool extend(std::string_view rule);
  std::int64_t within_table(std::int64_t instant) const noexcept;

  std::int64_t first_offset_ = 0;
  std::vector<change> changes_; ///< In order; up to the year 2437 or so if a rule goes on.
  bool repeats_ = false;        ///< Behind them the last 400 years come again.
};

} // namespace busbar::sql
