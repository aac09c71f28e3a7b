// storage/batch_bytes.hpp: the bytes of a write, as RocksDB's WriteBatch serializes them. A head of
// 12 bytes (the sequence number of the first change, u64, and how many there are, u32, both
// little-endian) is followed by the changes: a kind, the number of a family, one string or two.
// Numbers are varints. Private to storage/.
#pragma once

#include "storage/replication.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace busbar::storage {

inline constexpr std::size_t batch_head_bytes = 12;

/// One change; the views are into what it was read from.
struct batch_change {
  enum kind : char { deletion = 0x4, value = 0x5, range_deletion = 0xE };
  kind what = deletion;
  std::uint32_t family = 0;
  std::string_view key;
  std::string_view second; ///< The value, or the end of the range.
};

/// Takes the first change off `rest`; nullopt if that begins with none of a kind the store writes.
std::optional<batch_change> take_change(std::string_view& rest);

/// With the numbers in the head; nullopt if there is no head.
std::optional<replicated_batch> read_batch(std::string_view bytes);

/// What is left of a batch without its first changes, of which it has more than so many; nullopt if
/// it cannot be read.
std::optional<replicated_batch> without_first(const replicated_batch& batch, std::uint32_t changes);

} // namespace busbar::storage
