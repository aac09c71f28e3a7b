#include "storage/damage.hpp"

#include "storage/copy_sound.hpp"
#include "storage/files.hpp"

#include <fcntl.h>
#include <rocksdb/env.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <vector>

namespace busbar::storage {

namespace fs = std::filesystem;

namespace {

constexpr char lock_name[] = "LOCK";
constexpr char rebuilt_name[] = "rebuilt";
constexpr std::string_view aside_prefix = "damaged-";

/// Of RocksDB's data, not of its notes.
bool is_data(const fs::path& file) {
  const auto name = file.filename().string();
  const auto kind = file.extension();
  return kind == ".sst" || kind == ".blob" || kind == ".log" || name.starts_with("MANIFEST-");
}

std::string utc_now() {
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts)};
}

/// Empty, and the only one of its kind.
result<fs::path> make_aside(const fs::path& directory) {
  std::error_code problem;
  std::vector<fs::path> older;
  for (const auto& entry : fs::directory_iterator{directory, problem})
    if (entry.path().filename().string().starts_with(aside_prefix))
      older.push_back(entry.path());
  for (const auto& path : older)
    fs::remove_all(path, problem);
  const auto path = directory / (std::string{aside_prefix} + utc_now());
  fs::create_directories(path, problem);
  if (problem)
    return fail(failed("cannot create", path, problem));
  return path;
}

} // namespace

result<std::unique_ptr<directory_lock>> directory_lock::take(const std::string& directory) {
  rocksdb::FileLock* lock = nullptr;
  const auto file = (fs::path{directory} / lock_name).string();
  if (const auto status = rocksdb::Env::Default()->LockFile(file, &lock); !status.ok())
    return fail(errc::misconfigured,
                "storage directory " + directory +
                    (is_locked(status) ? " is in use by another process"
                                       : " cannot be opened: " + status.ToString()));
  return std::unique_ptr<directory_lock>{new directory_lock{lock}};
}

directory_lock::~directory_lock() {
  rocksdb::Env::Default()->UnlockFile(lock_);
}

result<first_look> look_first(const std::string& directory) {
  const auto path = fs::path{directory};
  const auto files = files_of(path);
  if (std::ranges::none_of(files, is_data))
    return first_look::new_or_sound;
  // Nothing may be judged, let alone moved, that somebody else is writing.
  if (const auto lock = directory_lock::take(directory); !lock)
    return fail(error{lock.error()});

  if (files.front().filename() != current_name)
    return first_look::headless;
  std::vector<std::string> names;
  const auto status = rocksdb::DB::ListColumnFamilies({}, directory, &names);
  if (is_damage(status))
    return first_look::headless;
  if (!status.ok())
    return fail(errc::misconfigured,
                "storage directory " + directory + " cannot be opened: " + status.ToString());
  for (const auto& name : names)
    if (std::ranges::find(family_names, name) == family_names.end())
      return fail(errc::misconfigured, "storage directory " + directory +
                                           " was written by a newer build: it has a part '" + name +
                                           "'");
  std::error_code ignored;
  return fs::exists(path / damage_mark_name, ignored) ? first_look::damaged
                                                      : first_look::new_or_sound;
}

result<void> set_aside(const std::string& directory, std::string_view why) {
  auto aside = make_aside(directory);
  if (!aside)
    return fail(std::move(aside).error());
  if (auto moved = move_all(files_of(directory), *aside); !moved)
    return moved;
  drop_log_archive(directory); // its sequence numbers begin anew, too
  std::error_code ignored;
  fs::remove(fs::path{directory} / damage_mark_name, ignored);
  sync_directory(directory);
  spdlog::error("storage directory {} is damaged beyond what can be told apart ({}): all shapes "
                "begin anew; what was there is in {}",
                directory, why, aside->string());
  return {};
}

result<void> rebuild(const std::string& directory, std::string_view why) {
  const auto path = fs::path{directory};
  const auto target = path / rebuilt_name;
  std::error_code ignored;
  fs::remove_all(target, ignored);
  spdlog::error("storage directory {} is damaged ({}): what is sound is copied", directory, why);
  copied_shapes count;
  {
    auto lost = strike_lost_files(directory);
    if (!lost)
      return fail(std::move(lost).error());
    database from;
    if (const auto status = open_damaged(directory, from); !status.ok())
      return fail(errc::corrupt, status.ToString());
    database to;
    if (const auto status = open_database({.directory = target.string(),
                                           .cache_bytes = 1u << 20,
                                           .write_buffer_bytes = 32u << 20},
                                          to);
        !status.ok())
      return fail(errc::misconfigured,
                  "storage: cannot create " + target.string() + ": " + status.ToString());
    auto copied = copy_sound(from, to, *lost);
    if (!copied)
      return fail(std::move(copied).error());
    count = *copied;
  }
  auto aside = make_aside(path);
  if (!aside)
    return fail(std::move(aside).error());
  // From here on until the end there is no CURRENT: a crash in between leaves a headless directory,
  // not one in which old and new are mixed.
  if (auto moved = move_all(files_of(path), *aside); !moved)
    return moved;
  drop_log_archive(path);
  sync_directory(path);
  auto files = files_of(target);
  std::ranges::reverse(files); // CURRENT last
  if (auto moved = move_all(files, path); !moved)
    return moved;
  fs::remove_all(target, ignored);
  fs::remove(path / damage_mark_name, ignored);
  sync_directory(path);
  spdlog::error("storage directory {}: {} shapes were kept, {} were damaged and are gone; what was "
                "there is in {}",
                directory, count.kept, count.dropped, aside->string());
  return {};
}

void mark_as_damaged(const std::string& directory) noexcept {
  const auto path = directory + "/" + damage_mark_name;
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (file >= 0)
    ::close(file);
}

} // namespace busbar::storage
