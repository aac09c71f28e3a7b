#include "app/disk.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

namespace busbar::app {

namespace {

using clock = std::chrono::steady_clock;

struct known_file_system {
  unsigned long magic;
  const char* name;
  bool is_network = false;
  bool is_memory = false;
};

constexpr std::array file_systems{
    known_file_system{EXT4_SUPER_MAGIC, "ext4"},
    known_file_system{XFS_SUPER_MAGIC, "xfs"},
    known_file_system{BTRFS_SUPER_MAGIC, "btrfs"},
    known_file_system{F2FS_SUPER_MAGIC, "f2fs"},
    known_file_system{0x2fc12fc1, "zfs"},
    known_file_system{OVERLAYFS_SUPER_MAGIC, "overlay"},
    known_file_system{TMPFS_MAGIC, "tmpfs", false, true},
    known_file_system{RAMFS_MAGIC, "ramfs", false, true},
    known_file_system{NFS_SUPER_MAGIC, "nfs", true},
    known_file_system{0xff534d42, "cifs", true},
    known_file_system{0xfe534d42, "smb2", true},
    known_file_system{SMB_SUPER_MAGIC, "smb", true},
    known_file_system{CEPH_SUPER_MAGIC, "ceph", true},
    known_file_system{V9FS_MAGIC, "9p", true},
    known_file_system{0x65735546, "fuse", true},
};

std::string hexadecimal(unsigned long number) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%lx", number);
  return text.data();
}

/// The directory itself, or the nearest one above it that is there.
std::string existing(const std::string& directory) {
  std::error_code problem;
  auto path = std::filesystem::absolute(directory, problem);
  while (!std::filesystem::is_directory(path, problem) && path.has_relative_path())
    path = path.parent_path();
  return (path / "").lexically_normal().parent_path().string();
}

/// A file without a name, or one whose name is taken away at once where that cannot be had.
int scratch_file(const std::string& directory) {
  const int unnamed = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (unnamed >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
    return unnamed;
  auto name = directory + "/busbar-doctor-XXXXXX";
  const int named = ::mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0)
    ::unlink(name.c_str());
  return named;
}

std::optional<std::chrono::microseconds> time_of_sync(int file) {
  constexpr std::size_t tries = 11;
  const std::array<char, 4096> page{};
  std::array<std::chrono::microseconds, tries> times{};
  for (std::size_t i = 0; i < tries; ++i) {
    // Each page is a new one, as in a log that grows.
    const auto begun = clock::now();
    if (::pwrite(file, page.data(), page.size(), static_cast<off_t>(i * page.size())) !=
            static_cast<ssize_t>(page.size()) ||
        ::fdatasync(file) != 0)
      return std::nullopt;
    times[i] = std::chrono::duration_cast<std::chrono::microseconds>(clock::now() - begun);
  }
  std::ranges::sort(times);
  return times[tries / 2];
}

} // namespace

disk_inspection inspect_disk(const std::string& storage_directory) {
  disk_inspection out;
  out.directory = existing(storage_directory);
  struct statvfs space {};
  struct statfs kind {};
  if (::statvfs(out.directory.c_str(), &space) != 0 ||
      ::statfs(out.directory.c_str(), &kind) != 0) {
    out.problem = std::generic_category().message(errno);
    return out;
  }
  out.total_bytes = std::uint64_t{space.f_blocks} * space.f_frsize;
  out.free_bytes = std::uint64_t{space.f_bavail} * space.f_frsize;
  const auto magic = static_cast<unsigned long>(kind.f_type) & 0xffffffffUL;
  const auto known =
      std::ranges::find_if(file_systems, [&](const auto& f) { return f.magic == magic; });
  if (known != file_systems.end()) {
    out.file_system = known->name;
    out.is_network = known->is_network;
    out.is_memory = known->is_memory;
  } else {
    out.file_system = hexadecimal(magic);
  }
  if (const int file = scratch_file(out.directory); file >= 0) {
    out.is_writable = true;
    out.sync_time = time_of_sync(file);
    ::close(file);
  }
  return out;
}

} // namespace busbar::app
