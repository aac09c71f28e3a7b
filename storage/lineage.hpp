// storage/lineage.hpp: which leaders wrote a store, and up to where each did. Two stores of a
// cluster are equal up to where the same leader wrote them: that is all that decides whether one
// may go on from the other's log.
#pragma once

#include "base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace busbar::storage {

/// A leader's time in office.
struct term_start {
  std::uint64_t term = 0;  ///< Above all terms before; no two leaders ever have the same.
  std::uint64_t first = 0; ///< The store's sequence number when it began: its writes come after.
  friend bool operator==(const term_start&, const term_start&) = default;
};

/// The oldest first. Empty: the store was never in a cluster, or what it holds is not what the
/// members of its cluster hold.
using lineage = std::vector<term_start>;

/// Older terms are forgotten: who has seen none of so many must copy.
inline constexpr std::size_t lineage_terms_max = 256;

/// True if a store with this lineage and this last sequence number holds nothing that the leader's
/// does not: the leader's log from there on then makes it equal.
bool may_follow(const lineage& mine, std::uint64_t my_sequence, const lineage& leaders,
                std::uint64_t leaders_sequence);

std::string encode(const lineage& terms);
/// errc::corrupt unless these are whole entries in order.
result<lineage> decode_lineage(std::string_view bytes);

} // namespace busbar::storage
