// storage/keys.hpp: every key of the store. ON DISK: never change a layout; a new one gets a new
// column family and a migration. Integers are big-endian, so that RocksDB's bytewise order is log
// order and one shape is one contiguous range.
//
//   directory  'd' digest(16)                          Table (table.capnp), as shapes were defined
//              's' shape(u64)                          ShapeRecord (records.capnp); empty: begun
//              'p' shape(u64)                          lsn(u64): first commit past the snapshot
//              't' shape(u64)                          KnownFacts (table.capnp) of its table
//              'x' shape(u64)                          empty: removed, whatever else is stored
//   log        shape(u64) tx(u64) last op(u64)         entry block (shapes/entry_block.hpp)
//   chunks     shape(u64) 'p' chunk(u64) piece(u32)    entry block of snapshot rows
//              shape(u64) 'b' tx(u64) op(u64)          empty: a chunk of the log ends here
//   sets       shape(u64) 'v' digest(16)               count(u32): rows of the set with this value
//              shape(u64) 'p'                          tx(u64): transactions up to here are in it
//              shape(u64) 'l' subquery(u16) digest(16) a value (set_store.cpp) on which the shape,
//                                                      which may be a set, lags behind a set
//   frames     (none yet: a cluster keeps its recent frames here)
//   node       "identity"                              NodeRecord (records.capnp)
//              "control key"                           32 bytes, for signing control messages
//              "durable"                               lsn(u64): all up to here is synced
//              "newest xid"                            xid(u64): the database has used it
//              "open" writer(u32)                      tx(u64): a transaction written in part
//              "next shape"                            shape(u64)
#pragma once

#include "base/keyed_hash.hpp"
#include "base/result.hpp"
#include "shapes/offset.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace busbar::storage {

/// Names a shape inside this store; never reused.
enum class shape_id : std::uint64_t {};

constexpr std::uint64_t to_number(shape_id x) noexcept {
  return static_cast<std::uint64_t>(x);
}

/// In the order in which RocksDB hands back the handles.
enum class family : std::uint8_t { fallback, directory, log, chunks, frames, node, sets };
inline constexpr std::array<std::string_view, 7> family_names{
    "default", "directory", "log", "chunks",
    "frames",  "node",      "sets"}; // ON DISK, new ones at the end; "default" stays empty

inline constexpr std::uint32_t format_version = 1;

/// Log offsets are stored with op shifted by one, so that "before all" sorts first.
std::string log_key(shape_id shape, log_offset last);
result<log_offset> parse_log_key(std::string_view key); ///< errc::corrupt unless exactly one key.
std::string piece_key(shape_id shape, std::uint64_t chunk, std::uint32_t piece);
std::string boundary_key(shape_id shape, log_offset end);
result<log_offset> parse_boundary_key(std::string_view key);
/// The prefix of all of a shape's boundary keys; also of all its pieces with 'p'.
std::string chunk_prefix(shape_id shape, char kind);
std::string set_prefix(shape_id set, char kind);
std::string set_value_key(shape_id set, const digest& value);
std::string lag_key(shape_id shape, std::uint16_t subquery, const digest& value);
std::string shape_key(char kind, shape_id shape);
result<shape_id> parse_shape_key(std::string_view key);
/// First key of the shape in `log` and `chunks`; with the next id, the end of its range.
std::string shape_prefix(shape_id shape);

} // namespace busbar::storage
