#include "base/coding.hpp"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <limits>

namespace busbar {

namespace {

// JSON of rows repeats itself so much that the fastest levels find most of it.
constexpr int gzip_level = 1;
constexpr int zstd_level = 1;
constexpr std::size_t stored_bytes_max = 65'535;   // of a deflate block
constexpr std::size_t raw_bytes_max = 128 * 1'024; // of a zstd block
constexpr std::uint32_t zstd_magic = 0xfd2fb528;

void append_le(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i, value >>= 8)
    out.push_back(static_cast<char>(value & 0xff));
}

std::uint32_t crc_of(std::string_view text) noexcept {
  return static_cast<std::uint32_t>(
      ::crc32_z(0, reinterpret_cast<const Bytef*>(text.data()), text.size()));
}

std::string stored_blocks(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto bytes = std::min(text.size(), stored_bytes_max);
    out.push_back('\0'); // stored, not the last
    append_le(out, bytes, 2);
    append_le(out, ~bytes & 0xffff, 2);
    out += text.substr(0, bytes);
    text.remove_prefix(bytes);
  }
  return out;
}

std::string raw_frame(std::string_view text) {
  if (text.empty())
    return {};
  std::string out;
  append_le(out, zstd_magic, 4);
  out.push_back('\xa0'); // single segment, a content size of four bytes, no checksum
  append_le(out, text.size(), 4);
  while (!text.empty()) {
    const auto bytes = std::min(text.size(), raw_bytes_max);
    append_le(out, (bytes << 3) | (bytes == text.size() ? 1 : 0), 3);
    out += text.substr(0, bytes);
    text.remove_prefix(bytes);
  }
  return out;
}

/// Empty if zlib cannot (it wants memory).
std::string deflated(std::string_view text) {
  z_stream stream{};
  // A window larger than the text is memory for nothing.
  int window = 9;
  while (window < MAX_WBITS && (std::size_t{1} << window) < text.size())
    ++window;
  if (text.size() > std::numeric_limits<uInt>::max() ||
      ::deflateInit2(&stream, gzip_level, Z_DEFLATED, -window, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return {};
  std::string out;
  out.resize(::deflateBound(&stream, static_cast<uLong>(text.size())) + 16);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data())); // only read
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const bool done =
      ::deflate(&stream, Z_SYNC_FLUSH) == Z_OK && stream.avail_in == 0 && stream.avail_out > 0;
  out.resize(done ? stream.total_out : 0);
  out.shrink_to_fit();
  ::deflateEnd(&stream);
  return out;
}

/// Empty if zstd cannot (it wants memory).
std::string zstd_frame(std::string_view text) {
  std::string out;
  out.resize(::ZSTD_compressBound(text.size()));
  const auto size = ::ZSTD_compress(out.data(), out.size(), text.data(), text.size(), zstd_level);
  out.resize(::ZSTD_isError(size) != 0 ? 0 : size);
  out.shrink_to_fit();
  return out;
}

} // namespace

std::string_view name_of(coding c) noexcept {
  switch (c) {
  case coding::gzip:
    return "gzip";
  case coding::zstd:
    return "zstd";
  case coding::identity:
    break;
  }
  return "identity";
}

coded_part compress(coding c, std::string_view text) {
  coded_part part{{}, {text.size(), c == coding::gzip ? crc_of(text) : 0}};
  part.bytes = c == coding::gzip ? deflated(text) : zstd_frame(text);
  if (part.bytes.empty()) // a larger body is better than none
    part.bytes = c == coding::gzip ? stored_blocks(text) : raw_frame(text);
  return part;
}

std::string coded_body::begin() const {
  using namespace std::string_literals;
  // No name, no time, from an unknown system.
  return coding_ == coding::gzip ? "\x1f\x8b\x08\0\0\0\0\0\0\xff"s : std::string{};
}

void coded_body::add(const part_sum& part) noexcept {
  if (coding_ != coding::gzip)
    return;
  sum_.crc = static_cast<std::uint32_t>(
      ::crc32_combine(sum_.crc, part.crc, static_cast<z_off_t>(part.text_bytes)));
  sum_.text_bytes += part.text_bytes;
}

std::string coded_body::plain(std::string_view text) {
  switch (coding_) {
  case coding::gzip:
    add({text.size(), crc_of(text)});
    return stored_blocks(text);
  case coding::zstd:
    return raw_frame(text);
  case coding::identity:
    break;
  }
  return std::string{text};
}

std::string coded_body::end() const {
  std::string out;
  if (coding_ != coding::gzip)
    return out;
  append_le(out, 0xffff000001, 5); // an empty stored block, the last
  append_le(out, sum_.crc, 4);
  append_le(out, sum_.text_bytes & 0xffffffff, 4);
  return out;
}

std::string compress_whole(coding c, std::string_view text) {
  coded_body body{c};
  const auto part = compress(c, text);
  body.add(part.sum);
  return body.begin() + part.bytes + body.end();
}

} // namespace busbar
