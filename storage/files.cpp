#include "storage/files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <string>

namespace busbar::storage {

namespace fs = std::filesystem;

std::vector<fs::path> files_of(const fs::path& directory) {
  std::vector<fs::path> files;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator{directory, ignored}) {
    const auto name = entry.path().filename();
    if (entry.is_regular_file(ignored) && name != "LOCK" && name != damage_mark_name &&
        name != "ballast")
      files.push_back(entry.path());
  }
  std::ranges::partition(files, [](const auto& file) { return file.filename() == current_name; });
  return files;
}

void drop_log_archive(const fs::path& directory) noexcept {
  std::error_code ignored;
  fs::remove_all(directory / "archive", ignored);
}

void sync_directory(const fs::path& directory) noexcept {
  const int opened = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (opened < 0)
    return;
  ::fsync(opened);
  ::close(opened);
}

result<void> move_all(const std::vector<fs::path>& files, const fs::path& into) {
  for (const auto& file : files) {
    std::error_code problem;
    fs::rename(file, into / file.filename(), problem);
    if (problem)
      return fail(failed("cannot move", file, problem));
  }
  sync_directory(into);
  return {};
}

error failed(std::string_view doing, const fs::path& what, const std::error_code& why) {
  return {errc::misconfigured,
          "storage: " + std::string{doing} + " " + what.string() + ": " + why.message()};
}

} // namespace busbar::storage
