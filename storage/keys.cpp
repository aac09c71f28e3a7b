#include "storage/keys.hpp"

#include "base/bytes.hpp"

namespace busbar::storage {

namespace {

void append_offset(std::string& key, log_offset x) {
  append_be64(key, x.tx);
  append_be64(key, static_cast<std::uint64_t>(x.op) + 1); // -1 becomes 0
}

log_offset read_offset(const char* p) {
  return {read_be64(p), static_cast<std::int64_t>(read_be64(p + 8) - 1)};
}

} // namespace

std::string open_key(std::uint32_t writer) {
  std::string key = open_prefix;
  append_be32(key, writer);
  return key;
}

std::string note_key(std::uint32_t writer) {
  std::string key(1, note_prefix);
  append_be32(key, writer);
  return key;
}

result<std::uint32_t> parse_note_key(std::string_view key) {
  if (key.size() != 5 || key[0] != note_prefix)
    return fail(errc::corrupt, "key of a note of " + std::to_string(key.size()) + " bytes");
  return read_be32(key.data() + 1);
}

std::string added_key(std::uint32_t table) {
  std::string key = added_prefix;
  append_be32(key, table);
  return key;
}

std::string full_key(std::uint32_t table) {
  std::string key = full_prefix;
  append_be32(key, table);
  return key;
}

std::string shape_prefix(shape_id shape) {
  std::string key;
  append_be64(key, to_number(shape));
  return key;
}

std::string log_key(shape_id shape, log_offset last) {
  auto key = shape_prefix(shape);
  append_offset(key, last);
  return key;
}

result<log_offset> parse_log_key(std::string_view key) {
  if (key.size() != 24)
    return fail(errc::corrupt, "log key of " + std::to_string(key.size()) + " bytes");
  return read_offset(key.data() + 8);
}

std::string chunk_prefix(shape_id shape, char kind) {
  auto key = shape_prefix(shape);
  key += kind;
  return key;
}

std::string piece_key(shape_id shape, std::uint64_t chunk, std::uint32_t piece) {
  auto key = chunk_prefix(shape, 'p');
  append_be64(key, chunk);
  append_be32(key, piece);
  return key;
}

std::string boundary_key(shape_id shape, log_offset end) {
  auto key = chunk_prefix(shape, 'b');
  append_offset(key, end);
  return key;
}

result<log_offset> parse_boundary_key(std::string_view key) {
  if (key.size() != 25 || key[8] != 'b')
    return fail(errc::corrupt, "chunk boundary key of " + std::to_string(key.size()) + " bytes");
  return read_offset(key.data() + 9);
}

std::string compaction_key(shape_id shape) {
  return chunk_prefix(shape, 'c');
}

std::string set_prefix(shape_id set, char kind) {
  return chunk_prefix(set, kind);
}

std::string set_value_key(shape_id set, const digest& value) {
  auto key = set_prefix(set, 'v');
  key += bytes_of(value);
  return key;
}

std::string lag_key(shape_id shape, std::uint16_t subquery, const digest& value) {
  auto key = set_prefix(shape, 'l');
  append_be16(key, subquery);
  key += bytes_of(value);
  return key;
}

std::string shape_key(char kind, shape_id shape) {
  std::string key(1, kind);
  append_be64(key, to_number(shape));
  return key;
}

result<shape_id> parse_shape_key(std::string_view key) {
  if (key.size() != 9)
    return fail(errc::corrupt, "directory key of " + std::to_string(key.size()) + " bytes");
  return shape_id{read_be64(key.data() + 1)};
}

} // namespace busbar::storage
