// storage/keys.hpp: every key of the store. ON DISK: who changes a layout, or adds a key that an
// older build must not overlook, counts format_version up and writes a migration (format.cpp). The
// bytes are held fast by tests/unit/storage/keys_test.cpp. Integers are big-endian, so that
// RocksDB's bytewise order is log order and one shape is one contiguous range.
//
//   directory  'd' digest(16)                          Table (table.capnp), as shapes were defined
//              's' shape(u64)                          ShapeRecord (records.capnp); empty: begun
//              'p' shape(u64)                          lsn(u64): first commit past the snapshot
//              't' shape(u64)                          KnownFacts (table.capnp) of its table
//              'u' shape(u64)                          last read, microseconds since 1970 (u64);
//                                                      bytes written for it (u64)
//              'x' shape(u64)                          empty: removed, whatever else is stored
//   log        shape(u64) tx(u64) last op(u64)         entry block (shapes/entry_block.hpp)
//   chunks     shape(u64) 'p' chunk(u64) piece(u32)    entry block of snapshot rows
//              shape(u64) 'b' tx(u64) op(u64)          empty: a chunk of the log ends here
//              shape(u64) 'c'                          what compaction has done to the log: times
//                                                      (u64), then up to where, and where the last
//                                                      chunk of that begins, both tx(u64) op(u64),
//                                                      and the bytes of that chunk (u64)
//   sets       shape(u64) 'v' digest(16)               count(u32): rows of the set with this value
//              shape(u64) 'p'                          tx(u64): transactions up to here are in it
//              shape(u64) 'l' subquery(u16) digest(16) a value (set_store.cpp) on which the shape,
//                                                      which may be a set, lags behind a set
//   frames     'n' writer(u32)                         the writer's last note to the other members
//                                                      of the cluster (actors)
//   node       "format"                                format_version(u32); the first key to be
//   read
//              "identity"                              NodeRecord (records.capnp)
//              "control key"                           32 bytes, for signing control messages
//              "durable"                               lsn(u64): all up to here is synced
//              "newest xid"                            xid(u64): the database has used it
//              "open" writer(u32)                      tx(u64): a transaction written in part
//              "next shape"                            shape(u64)
//              "lineage"                               (term(u64) first(u64))*: lineage.hpp
//              "table" oid(u32)                        oid(u32) of the row in pg_publication_rel by
//                                                      which we have added it to the publication
//              "full" oid(u32)                         empty: we have given the table REPLICA
//              IDENTITY
//                                                      FULL, and it had the default
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

/// 1: the version stood in the identity only, and every record had its table in full.
/// 2: a key of its own; tables by digest; when shapes were last read.
/// 3: who wrote what in a cluster, which an older build would make untrue by writing.
inline constexpr std::uint32_t format_version = 3;
/// A follower leaves storage of this format, or a later one, as its leader wrote it.
inline constexpr std::uint32_t format_oldest = 1;

// In family "node".
inline constexpr char format_name[] = "format";
inline constexpr char identity_name[] = "identity";
inline constexpr char control_key_name[] = "control key";
inline constexpr char durable_name[] = "durable";
inline constexpr char newest_xid_name[] = "newest xid";
inline constexpr char next_shape_name[] = "next shape";
inline constexpr char lineage_name[] = "lineage";
/// The keys of marks of open transactions lie between these.
inline constexpr char open_prefix[] = "open";
inline constexpr char open_prefix_end[] = "opeo";
std::string open_key(std::uint32_t writer);
inline constexpr char added_prefix[] = "table";
std::string added_key(std::uint32_t table);
inline constexpr char full_prefix[] = "full";
std::string full_key(std::uint32_t table);

// In family "directory".
inline constexpr char table_prefix[] = "d";
inline constexpr std::size_t table_digest_bytes = 16;

// In family "frames".
inline constexpr char note_prefix = 'n';
std::string note_key(std::uint32_t writer);
result<std::uint32_t> parse_note_key(std::string_view key);

/// Log offsets are stored with op shifted by one, so that "before all" sorts first.
std::string log_key(shape_id shape, log_offset last);
result<log_offset> parse_log_key(std::string_view key); ///< errc::corrupt unless exactly one key.
std::string piece_key(shape_id shape, std::uint64_t chunk, std::uint32_t piece);
std::string boundary_key(shape_id shape, log_offset end);
result<log_offset> parse_boundary_key(std::string_view key);
/// The prefix of all of a shape's boundary keys; also of all its pieces with 'p'.
std::string chunk_prefix(shape_id shape, char kind);
std::string compaction_key(shape_id shape);
std::string set_prefix(shape_id set, char kind);
std::string set_value_key(shape_id set, const digest& value);
std::string lag_key(shape_id shape, std::uint16_t subquery, const digest& value);
std::string shape_key(char kind, shape_id shape);
result<shape_id> parse_shape_key(std::string_view key);
/// First key of the shape in `log` and `chunks`; with the next id, the end of its range.
std::string shape_prefix(shape_id shape);

} // namespace busbar::storage
