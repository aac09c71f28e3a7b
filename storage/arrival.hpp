// storage/arrival.hpp: how a copy that has arrived (incoming_copy) takes the place of the store
// that was there. Private to storage/.
//
//   incoming/      is being written; worth nothing
//   arrived/       the whole copy, on disk: from this rename on it is the store
//   installing/    the same, once all of the old store is gone; its files move out, CURRENT last
#pragma once

#include "base/result.hpp"

#include <string>

namespace busbar::storage {

inline constexpr char incoming_name[] = "incoming";
inline constexpr char arrived_name[] = "arrived";
inline constexpr char installing_name[] = "installing";
inline constexpr char checkpoint_prefix[] = "copy-"; ///< Directories of class checkpoint.

/// Goes on with an installation wherever it was; does nothing if no copy has arrived.
/// errc::misconfigured if another process holds the directory.
result<void> install_arrival(const std::string& directory);

/// Removes what is worth nothing. The caller holds the directory.
void clear_arrivals(const std::string& directory) noexcept;

} // namespace busbar::storage
