// actors/removal_reason.hpp: why shapes go, in a few words: the label of
// busbar_shapes_removed_total.
#pragma once

#include <string_view>

namespace busbar {

/// Sums up the sentence that says why a shape is no longer right. One of truncated, table, schema,
/// publication, partition, snapshot, storage, clause and other; names in double quotes do not
/// count, so that no client's table can choose the label.
std::string_view removal_reason(std::string_view sentence) noexcept;

} // namespace busbar
