#include "storage/space.hpp"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

namespace busbar::storage {

namespace {

std::optional<space_guard::room> look_at(const std::string& directory) noexcept {
  struct statvfs disk {};
  if (::statvfs(directory.c_str(), &disk) != 0 || disk.f_blocks == 0)
    return std::nullopt;
  return space_guard::room{std::uint64_t{disk.f_blocks} * disk.f_frsize,
                           std::uint64_t{disk.f_bavail} * disk.f_frsize};
}

/// A batch goes into the log, and later once more into a table file.
constexpr std::uint64_t copies = 2;

} // namespace

space_guard::marks space_guard::marks_for(std::uint64_t disk_bytes) noexcept {
  const auto part = std::clamp<std::uint64_t>(disk_bytes / 50, 1u << 20, 128u << 20);
  return {.low = part, .high = 2 * part, .ballast = std::min<std::uint64_t>(part / 2, 16u << 20)};
}

space_guard::space_guard(std::string directory)
    : directory_{std::move(directory)}, ballast_file_{directory_ + "/ballast"} {
  const auto disk = look_at(directory_);
  marks_ = marks_for(disk ? disk->size : 0);
  has_ballast_ = ::access(ballast_file_.c_str(), F_OK) == 0;
}

std::optional<space_guard::room> space_guard::look() const noexcept {
  return look_at(directory_);
}

bool space_guard::admits(std::size_t bytes) noexcept {
  const auto disk = look_at(directory_);
  if (!disk)
    return true;
  const bool was_low = low_.load(std::memory_order_relaxed);
  // The disk may have been made larger, or smaller, meanwhile.
  const auto marks = marks_for(disk->size);
  const auto wanted = (was_low ? marks.high : marks.low) + copies * bytes;
  const bool is_low = disk->free < wanted;
  if (is_low != was_low && low_.exchange(is_low) != is_low) {
    if (is_low)
      spdlog::error("the disk of {} is full ({} KiB left): the stream waits until there is room",
                    directory_, disk->free >> 10);
    else
      spdlog::info("the disk of {} has room again: the stream goes on", directory_);
  }
  if (!is_low && !has_ballast_.load(std::memory_order_relaxed))
    hold_ballast(disk->free);
  return !is_low;
}

bool space_guard::can_spare(std::size_t bytes) const noexcept {
  const auto disk = look_at(directory_);
  return disk && disk->free >= 2 * marks_for(disk->size).high + bytes;
}

void space_guard::hold_ballast(std::uint64_t free) noexcept {
  if (free < 2 * marks_.high + marks_.ballast)
    return;
  const std::lock_guard guard{ballast_};
  if (has_ballast_.exchange(true))
    return;
  const int file = ::open(ballast_file_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0)
    return; // without it a full disk is only noticed a little later
  if (::fallocate(file, 0, 0, static_cast<off_t>(marks_.ballast)) != 0)
    ::unlink(ballast_file_.c_str());
  ::close(file);
}

void space_guard::drop_ballast() noexcept {
  const std::lock_guard guard{ballast_};
  if (has_ballast_.exchange(false))
    ::unlink(ballast_file_.c_str());
}

} // namespace busbar::storage
