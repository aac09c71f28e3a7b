#include "storage/arrival.hpp"

#include "storage/damage.hpp"
#include "storage/files.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

namespace busbar::storage {

namespace fs = std::filesystem;

namespace {

result<void> remove_store(const fs::path& directory) {
  for (const auto& file : files_of(directory)) {
    std::error_code problem;
    fs::remove(file, problem);
    if (problem)
      return fail(failed("cannot remove", file, problem));
  }
  drop_log_archive(directory);
  std::error_code ignored;
  fs::remove(directory / damage_mark_name, ignored);
  return {};
}

result<void> rename_durably(const fs::path& from, const fs::path& to) {
  std::error_code problem;
  fs::rename(from, to, problem);
  if (problem)
    return fail(failed("cannot rename", from, problem));
  sync_directory(to.parent_path());
  return {};
}

} // namespace

result<void> install_arrival(const std::string& directory) {
  const fs::path path{directory};
  const auto arrived = path / arrived_name;
  const auto installing = path / installing_name;
  std::error_code ignored;
  const bool is_new = fs::exists(arrived, ignored);
  if (!is_new && !fs::exists(installing, ignored))
    return {};
  const auto lock = directory_lock::take(directory);
  if (!lock)
    return fail(error{lock.error()});
  if (is_new) {
    fs::remove_all(installing, ignored); // of a copy that this one has overtaken
    if (auto removed = remove_store(path); !removed)
      return removed;
    sync_directory(path);
    if (auto renamed = rename_durably(arrived, installing); !renamed)
      return renamed;
  }
  auto files = files_of(installing);
  const auto current = std::ranges::stable_partition(
      files, [](const auto& file) { return file.filename() != current_name; });
  const std::vector<fs::path> last{current.begin(), current.end()};
  files.erase(current.begin(), current.end());
  for (const auto& some : {files, last})
    if (auto moved = move_all(some, path); !moved)
      return moved;
  fs::remove_all(installing, ignored);
  sync_directory(path);
  spdlog::info("storage directory {}: the copy that has arrived takes its place", directory);
  return {};
}

void clear_arrivals(const std::string& directory) noexcept {
  std::error_code ignored;
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator{directory, ignored}) {
    const auto name = entry.path().filename().string();
    if (name == incoming_name || name.starts_with(checkpoint_prefix))
      leftovers.push_back(entry.path());
  }
  for (const auto& one : leftovers)
    fs::remove_all(one, ignored);
}

} // namespace busbar::storage
