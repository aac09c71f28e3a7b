// postgres/known_faults.hpp: releases of PostgreSQL whose logical decoding is known to be faulty.
#pragma once

#include <array>
#include <string_view>

namespace busbar::postgres {

/// What is wrong with a server of `version` (as PQserverVersion() has it), or "" if nothing is
/// known. Both faults concern tables that are published while transactions are open on them.
constexpr std::string_view decoding_fault(int version) noexcept {
  // Of each major version the first release that hands cache invalidations to transactions in
  // flight (May 2025). It lets them gather without bound; the next one (August 2025) does not.
  constexpr std::array<int, 4> first_sound{140018, 150013, 160009, 170005};
  for (const int sound : first_sound)
    if (version / 10'000 == sound / 10'000)
      return version < sound ? "a change that is under way while a table is published can be lost"
             : version == sound
                 ? "decoding can use up the memory when tables are altered beside open transactions"
                 : "";
  return "";
}

} // namespace busbar::postgres
