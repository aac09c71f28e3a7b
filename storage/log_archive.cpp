#include "storage/log_archive.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <span>
#include <system_error>

namespace busbar::storage {

namespace fs = std::filesystem;

namespace {

struct log_file {
  std::uint64_t number = 0;
  fs::path path;
  std::uint64_t size = 0;
};

std::vector<log_file> logs_in(const fs::path& directory) {
  std::vector<log_file> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator{directory, ignored}) {
    const auto name = entry.path().stem().string();
    std::uint64_t number = 0;
    const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (entry.path().extension() != ".log" || problem != std::errc{} ||
        end != name.data() + name.size())
      continue;
    const auto size = entry.file_size(ignored);
    found.push_back({number, entry.path(), ignored ? 0 : size});
  }
  std::ranges::sort(found, {}, &log_file::number);
  return found;
}

fs::path archive_of(const std::string& directory) {
  return fs::path{directory} / "archive";
}

std::uint64_t little_endian(std::span<const char> bytes) {
  std::uint64_t x = 0;
  for (std::size_t i = bytes.size(); i-- > 0;)
    x = x << 8 | static_cast<unsigned char>(bytes[i]);
  return x;
}

/// Puts the pieces of which a log consists together, as far as the head of each record is needed:
/// its first sequence number and how many changes it has.
class record_heads {
public:
  enum piece : unsigned char { full = 1, first = 2, middle = 3, last = 4 };

  /// The record's last sequence number, if this piece ends it.
  std::optional<std::uint64_t> add(unsigned char kind, std::span<const char> bytes) {
    if (kind == full || kind == first) {
      has_ = 0;
      begun_ = true;
    }
    const auto taken = std::min(bytes.size(), head_.size() - has_);
    std::copy_n(bytes.begin(), taken, head_.begin() + static_cast<std::ptrdiff_t>(has_));
    has_ += taken;
    if ((kind != full && kind != last) || !std::exchange(begun_, false) || has_ < head_.size())
      return std::nullopt;
    const std::span<const char> head{head_};
    return little_endian(head.first(8)) + little_endian(head.last(4)) - 1;
  }

private:
  std::array<char, 12> head_{};
  std::size_t has_ = 0;
  bool begun_ = false;
};

} // namespace

log_archive::log_archive(const std::string& directory, std::uint64_t bytes_max)
    : directory_{archive_of(directory)}, bytes_max_{bytes_max} {}

void log_archive::release() noexcept {
  if (holders_.fetch_sub(1) == 1)
    trim();
}

void log_archive::trim_to(std::uint64_t bytes) noexcept {
  const std::lock_guard guard{trimming_};
  if (holders_.load() > 0)
    return;
  auto logs = logs_in(directory_);
  std::uint64_t kept = 0;
  for (auto log = logs.rbegin(); log != logs.rend(); ++log) {
    kept += log->size;
    std::error_code ignored;
    if (kept > bytes)
      fs::remove(log->path, ignored);
  }
}

std::vector<std::uint64_t> live_logs(const std::string& directory) {
  std::vector<std::uint64_t> numbers;
  for (const auto& log : logs_in(directory))
    numbers.push_back(log.number);
  return numbers;
}

std::uint64_t last_sequence_in(const std::string& file) {
  constexpr std::size_t block_bytes = 32 * 1024;
  constexpr std::size_t head_bytes = 7; // checksum (4), size (2), kind (1)
  std::ifstream in{file, std::ios::binary};
  std::vector<char> block(block_bytes);
  record_heads records;
  std::uint64_t highest = 0;
  while (in) {
    in.read(block.data(), static_cast<std::streamsize>(block.size()));
    std::span<const char> rest{block.data(), static_cast<std::size_t>(in.gcount())};
    while (rest.size() >= head_bytes) {
      const auto size = static_cast<std::size_t>(little_endian(rest.subspan(4, 2)));
      const auto kind = static_cast<unsigned char>(rest[6]);
      if (kind < record_heads::full || kind > record_heads::last || head_bytes + size > rest.size())
        break; // nothing, or what a crash has left: what follows in this block cannot be told apart
      if (const auto end = records.add(kind, rest.subspan(head_bytes, size)))
        highest = std::max(highest, *end);
      rest = rest.subspan(head_bytes + size);
    }
  }
  return highest;
}

void drop_dead_logs(const std::string& directory, const std::vector<std::uint64_t>& logs,
                    std::uint64_t sequence) noexcept {
  for (const auto& place : {fs::path{directory}, archive_of(directory)})
    for (const auto& log : logs_in(place)) {
      if (std::ranges::find(logs, log.number) == logs.end() ||
          last_sequence_in(log.path) <= sequence)
        continue;
      spdlog::warn("storage: {} holds writes that were lost with the power, so it is not kept for "
                   "followers",
                   log.path.string());
      std::error_code ignored;
      fs::remove(log.path, ignored);
    }
}

} // namespace busbar::storage
