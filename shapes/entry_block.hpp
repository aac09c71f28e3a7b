// shapes/entry_block.hpp: a run of entries of one shape, as it is stored and handed around.
//
//   entries, comma between | count × ( op (u64) | end (u32) ) | chunk bytes after (u64) | count
//   (u32)
//
// Integers are big-endian; the table stands behind the entries, so that writing a block copies
// nothing. `end` is where the entry ends. `chunk bytes after` is the running size of the open chunk
// once this block is appended: 0 if it closed one.
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
  /// The same in two steps, for who writes the entry in place: append exactly one entry to what
  /// begin_entry() returns, then call end_entry(), which answers with its size.
  std::string& begin_entry();
  std::size_t end_entry(std::int64_t op);
  bool empty() const noexcept { return ops_.empty(); }
  std::size_t size_bytes() const noexcept { return entries_.size(); }
  std::size_t count() const noexcept { return ops_.size(); }
  std::int64_t last_op() const noexcept { return ops_.back(); }
  /// Completes the block's bytes, valid until clear(); nothing can be added any more.
  const std::string& finish(std::uint64_t chunk_bytes_after);
  void clear();

private:
  std::string entries_;
  std::size_t entry_begin_ = 0;
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
