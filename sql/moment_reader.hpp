// sql/moment_reader.hpp: the many ways to write a moment. The usual one has a way of its own, in
// datetime.cpp.
#pragma once

#include "sql/calendar.hpp"
#include "sql/value.hpp"

#include <cstdint>
#include <string_view>

namespace busbar::sql {

/// What a text means: a special value, or a day and a time of day.
struct moment {
  enum class kind_type : std::uint8_t { fields, infinity, minus_infinity, epoch };
  kind_type kind = kind_type::fields;
  bool has_time = false;
  std::int64_t days = 0;
  std::int64_t time_micros = 0;  ///< Up to a day and a second: 24:00:00 and leap seconds roll over.
  std::int64_t zone_seconds = 0; ///< East of Greenwich.
};

/// Without `needs_day`, a time of day alone is enough.
reading read_moment(std::string_view text, bool needs_day, moment& out) noexcept;

} // namespace busbar::sql
