// actors/removal_reason.hpp: why shapes go, in a few words: the label of
// busbar_shapes_removed_total.
#pragma once

#include <array>
#include <string_view>

namespace busbar {

/// All there are; the last four are said by the DIRECTORY itself.
inline constexpr std::array<std::string_view, 14> removal_reasons{
    "truncated", "table",   "schema", "publication", "partition",       "snapshot", "storage",
    "clause",    "expired", "other",  "deleted",     "snapshot_failed", "unused",   "purged"};

/// Sums up the sentence that says why a shape is no longer right, as one of removal_reasons; names
/// in double quotes do not count, so that no client's table can choose the label.
std::string_view removal_reason(std::string_view sentence) noexcept;

} // namespace busbar
