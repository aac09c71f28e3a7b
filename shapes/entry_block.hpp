// shapes/entry_block.hpp: a run of entries of one shape, as it is stored and handed around.
//
//   count (u32) | chunk bytes after (u64) | count × ( op (u64) | end (u32) ) | entries, comma between
//
// Integers are big-endian. `end` is where the entry ends in the bytes after the table. `chunk bytes
// after` is the running size of the open chunk once this block is appended: 0 if it closed one.
#pragma once

#include "base/result.hpp"
#include "shapes/offset.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace busbar {

/// Gathers entries for one block. Reusable after clear().
class block_builder {
public:
  /// `json` is one complete entry.
  void add(std::int64_t op, std::string_view json);
  bool empty() const noexcept { return ops_.empty(); }
  std::size_t size_bytes() const noexcept { return entries_.size(); }
  std::size_t count() const noexcept { return ops_.size(); }
  std::int64_t last_op() const noexcept { return ops_.back(); }
  const std::string& entries() const noexcept { return entries_; } ///< Comma between, none around.
  std::string finish(std::uint64_t chunk_bytes_after) const;
  void clear();

private:
  std::string entries_;
  std::vector<std::int64_t> ops_;
  std::vector<std::uint32_t> ends_;
};

/// Reads a stored block in place.
class block_view {
public:
  /// errc::corrupt unless the bytes are one well-formed block.
  static result<block_view> open(std::string_view stored);

  std::uint32_t count() const noexcept { return count_; }
  std::uint64_t chunk_bytes_after() const noexcept { return chunk_bytes_after_; }
  std::int64_t op(std::uint32_t i) const noexcept;
  std::string_view entry(std::uint32_t i) const noexcept;
  /// The index of the first entry after `op`.
  std::uint32_t first_after(std::int64_t op) const noexcept;
  /// Entries i … count-1, comma between.
  std::string_view tail(std::uint32_t i) const noexcept;

private:
  std::uint32_t end_of(std::uint32_t i) const noexcept;
  std::uint32_t count_ = 0;
  std::uint64_t chunk_bytes_after_ = 0;
  std::string_view table_;
  std::string_view entries_;
};

} // namespace busbar
