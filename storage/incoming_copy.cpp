// The receiving end of a copy.
#include "base/bytes.hpp"
#include "storage/arrival.hpp"
#include "storage/damage.hpp"
#include "storage/files.hpp"
#include "storage/replication.hpp"
#include "storage/rocks.hpp"
#include "storage/space.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <system_error>

namespace busbar::storage {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t files_max = 1'000'000;
constexpr std::uint64_t bytes_max = std::uint64_t{1} << 60;

/// As RocksDB names what a checkpoint consists of: no other file may be put here by another node.
bool is_name_of_a_store(std::string_view name) {
  const auto numbered = [](std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  };
  for (const std::string_view begin : {"MANIFEST-", "OPTIONS-"})
    if (name.starts_with(begin))
      return numbered(name.substr(begin.size()));
  for (const std::string_view end : {".sst", ".blob", ".log"})
    if (name.ends_with(end))
      return numbered(name.substr(0, name.size() - end.size()));
  return name == current_name || name == "IDENTITY";
}

error system_error(std::string_view doing, const fs::path& what) {
  return {errc::unavailable, "storage: " + std::string{doing} + " " + what.string() + ": " +
                                 std::error_code{errno, std::generic_category()}.message()};
}

class open_file {
public:
  explicit open_file(const fs::path& path)
      : number_{::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)} {}
  ~open_file() {
    if (number_ >= 0)
      ::close(number_);
  }
  open_file(const open_file&) = delete;
  open_file& operator=(const open_file&) = delete;
  int number() const noexcept { return number_; }

private:
  const int number_;
};

bool write_all(int file, std::string_view bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const auto done = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR)
      continue;
    if (done < 0)
      return false;
    bytes.remove_prefix(static_cast<std::size_t>(done));
    offset += static_cast<std::uint64_t>(done);
  }
  return true;
}

/// The old store stays until the copy is whole.
result<void> find_room(const fs::path& directory, std::uint64_t bytes) {
  std::error_code problem;
  const auto disk = fs::space(directory, problem);
  const auto wanted = bytes + space_guard::marks_for(disk.capacity).high;
  if (problem || disk.available >= wanted)
    return {};
  return fail(errc::unavailable, "storage: a copy of the leader's needs " +
                                     std::to_string(wanted >> 20) + " MiB on the disk of " +
                                     directory.string() + ", which has " +
                                     std::to_string(disk.available >> 20) + " MiB");
}

/// A store that this build reads.
result<void> judge(const fs::path& directory) {
  database copy;
  if (const auto status = open_sound(directory, copy); !status.ok())
    return fail(errc::corrupt, "storage: the copy cannot be read: " + status.ToString());
  std::string format;
  const auto status = copy.db->Get({}, copy.of(family::node), format_name, &format);
  if (!status.ok() || format.size() != 4)
    return fail(errc::corrupt, "storage: the copy does not say which format it has");
  if (read_be32(format.data()) > format_version)
    return fail(errc::misconfigured,
                "storage: the copy has format " + std::to_string(read_be32(format.data())) +
                    "; this build reads up to " + std::to_string(format_version));
  return {};
}

} // namespace

struct incoming_copy::body {
  struct file {
    std::uint64_t size = 0;
    std::uint64_t has = 0; ///< Bytes that were written, if none was written twice.
  };
  fs::path directory;
  fs::path incoming;
  std::map<std::string, file, std::less<>> files;
  std::unique_ptr<directory_lock> lock;
  std::string open_name; ///< Of the file written last.
  std::unique_ptr<open_file> opened;

  ~body() {
    opened.reset();
    std::error_code ignored;
    if (lock)
      fs::remove_all(incoming, ignored);
  }
  result<void> sync_all() {
    opened.reset();
    for (const auto& [name, one] : files) {
      const open_file file{incoming / name};
      std::error_code problem;
      const auto size = fs::file_size(incoming / name, problem);
      if (file.number() < 0 || problem || ::fsync(file.number()) != 0)
        return fail(system_error("cannot write", incoming / name));
      if (one.has < one.size || size != one.size)
        return fail(errc::corrupt, "storage: of the copy's " + name + " only " +
                                       std::to_string(one.has) + " of " + std::to_string(one.size) +
                                       " bytes have come");
    }
    sync_directory(incoming);
    return {};
  }
};

incoming_copy::incoming_copy(std::unique_ptr<body> b) : body_{std::move(b)} {}
incoming_copy::~incoming_copy() = default;

result<std::unique_ptr<incoming_copy>> incoming_copy::begin(const std::string& directory,
                                                            const std::vector<copied_file>& files) {
  auto b = std::make_unique<body>();
  std::uint64_t bytes = 0;
  for (const auto& [name, size] : files) {
    if (size > bytes_max - bytes)
      return fail(errc::invalid_argument, "storage: no copy is as large as this one");
    bytes += size;
    if (!is_name_of_a_store(name) || !b->files.try_emplace(name, body::file{.size = size}).second)
      return fail(errc::invalid_argument, "storage: a copy has no file '" + name + "'");
  }
  if (!b->files.contains(current_name) || files.size() > files_max)
    return fail(errc::invalid_argument, "storage: these are not the files of a store");
  b->directory = directory;
  b->incoming = b->directory / incoming_name;
  std::error_code problem;
  fs::create_directories(b->directory, problem);
  if (problem)
    return fail(failed("cannot create", b->directory, problem));
  auto lock = directory_lock::take(directory);
  if (!lock)
    return fail(std::move(lock).error());
  b->lock = std::move(*lock);
  fs::remove_all(b->incoming, problem);
  if (auto room = find_room(b->directory, bytes); !room)
    return fail(std::move(room).error());
  fs::create_directory(b->incoming, problem);
  if (problem)
    return fail(failed("cannot create", b->incoming, problem));
  return std::unique_ptr<incoming_copy>{new incoming_copy{std::move(b)}};
}

result<void> incoming_copy::write(std::string_view name, std::uint64_t offset,
                                  std::string_view bytes) {
  auto& b = *body_;
  const auto file = b.files.find(name);
  if (file == b.files.end() || offset > file->second.size ||
      bytes.size() > file->second.size - offset)
    return fail(errc::invalid_argument,
                "storage: bytes that are not of the copy, for '" + std::string{name} + "'");
  if (!b.opened || b.open_name != name) {
    b.opened = std::make_unique<open_file>(b.incoming / name);
    b.open_name = name;
  }
  if (b.opened->number() < 0 || !write_all(b.opened->number(), bytes, offset))
    return fail(system_error("cannot write", b.incoming / name));
  file->second.has += bytes.size();
  return {};
}

result<void> incoming_copy::finish() {
  auto& b = *body_;
  if (auto synced = b.sync_all(); !synced)
    return synced;
  if (auto sound = judge(b.incoming); !sound)
    return sound;
  const auto arrived = b.directory / arrived_name;
  std::error_code problem;
  fs::remove_all(arrived, problem);
  fs::rename(b.incoming, arrived, problem);
  if (problem)
    return fail(failed("cannot rename", b.incoming, problem));
  sync_directory(b.directory);
  b.lock.reset();
  return {};
}

} // namespace busbar::storage
