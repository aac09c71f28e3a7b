// The sending end of a copy.
#include "storage/arrival.hpp"
#include "storage/replication.hpp"
#include "storage/store_body.hpp"

#include <fcntl.h>
#include <rocksdb/utilities/checkpoint.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

namespace busbar::storage {

namespace fs = std::filesystem;

namespace {

std::vector<copied_file> list_files(const fs::path& directory) {
  std::vector<copied_file> files;
  std::error_code problem;
  for (const auto& entry : fs::directory_iterator{directory, problem})
    if (const auto size = entry.file_size(problem); !problem)
      files.push_back({.name = entry.path().filename().string(), .size = size});
  std::ranges::sort(files, {}, &copied_file::name);
  return files;
}

} // namespace

struct checkpoint::body {
  body(fs::path in, std::shared_ptr<log_archive> kept)
      : directory{std::move(in)}, archive{std::move(kept)} {
    archive->hold();
  }
  ~body() {
    close();
    std::error_code ignored;
    fs::remove_all(directory, ignored);
    archive->release();
  }
  body(const body&) = delete;
  body& operator=(const body&) = delete;
  void close() {
    if (opened >= 0)
      ::close(opened);
    opened = -1;
  }

  const fs::path directory;
  const std::shared_ptr<log_archive> archive;
  std::uint64_t sequence = 0;
  std::vector<copied_file> files;
  std::string open_name; ///< Of the file read last.
  int opened = -1;
};

checkpoint::checkpoint(std::unique_ptr<body> b) : body_{std::move(b)} {}
checkpoint::~checkpoint() = default;

std::uint64_t checkpoint::sequence() const noexcept {
  return body_->sequence;
}
const std::vector<copied_file>& checkpoint::files() const noexcept {
  return body_->files;
}

result<std::string> checkpoint::read(std::string_view file, std::uint64_t offset,
                                     std::size_t max) const {
  auto& b = *body_;
  const auto found = std::ranges::find(b.files, file, &copied_file::name);
  if (found == b.files.end())
    return fail(errc::not_found, "storage: the copy has no file '" + std::string{file} + "'");
  if (b.open_name != file || b.opened < 0) {
    b.close();
    b.opened = ::open((b.directory / file).c_str(), O_RDONLY | O_CLOEXEC);
    b.open_name = file;
  }
  std::string bytes(static_cast<std::size_t>(
                        std::min<std::uint64_t>(max, found->size - std::min(offset, found->size))),
                    '\0');
  for (std::size_t has = 0; has < bytes.size();) {
    const auto got =
        ::pread(b.opened, bytes.data() + has, bytes.size() - has, static_cast<off_t>(offset + has));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return fail(errc::unavailable, "storage: cannot read " + (b.directory / file).string());
    has += static_cast<std::size_t>(got);
  }
  return bytes;
}

result<std::unique_ptr<checkpoint>> store::checkpoint() {
  using copy = storage::checkpoint;
  if (auto room = body_->room_for(0); !room) // it writes what is in memory
    return fail(std::move(room).error());
  std::error_code problem;
  const auto place = fs::absolute(body_->directory, problem) /
                     (checkpoint_prefix + std::to_string(++body_->checkpoints));
  auto made = std::make_unique<copy::body>(place, body_->archive);
  rocksdb::Checkpoint* maker = nullptr;
  auto status = rocksdb::Checkpoint::Create(&body_->db(), &maker);
  const std::unique_ptr<rocksdb::Checkpoint> owned{maker};
  if (status.ok())
    status = owned->CreateCheckpoint(place.string(), 0, &made->sequence);
  if (!status.ok())
    return fail(to_error(status, "make a copy"));
  made->files = list_files(place);
  return std::unique_ptr<copy>{new copy{std::move(made)}};
}

} // namespace busbar::storage
