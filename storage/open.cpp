// How a directory becomes a store: damage, the format, a full disk.
#include "base/bytes.hpp"
#include "storage/arrival.hpp"
#include "storage/damage.hpp"
#include "storage/format.hpp"
#include "storage/store_body.hpp"

#include <spdlog/spdlog.h>

#include <filesystem>
#include <system_error>

namespace busbar::storage {

namespace {

/// The families that say what there is are read once: where they are damaged, that must show before
/// anything is decided by them.
rocksdb::Status look_through(database& rocks) {
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  for (const auto f : {family::node, family::directory}) {
    const std::unique_ptr<rocksdb::Iterator> it{rocks.db->NewIterator(options, rocks.of(f))};
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
    }
    if (!it->status().ok())
      return it->status();
  }
  return rocksdb::Status::OK();
}

rocksdb::Status open_and_look(const database_settings& settings, space_guard& space,
                              database& rocks) {
  auto status = open_database(settings, rocks);
  if (status.IsNoSpace()) {
    space.drop_ballast(); // opening writes a little
    status = open_database(settings, rocks);
  }
  if (status.ok())
    status = look_through(rocks);
  if (!status.ok())
    rocks.close();
  return status;
}

/// Sound parts are kept if that can be done, or all begins anew. A hole in the log leaves no sound
/// parts: what was flushed later is there, and what was lost with it shows nowhere.
result<void> repair(const std::string& directory, const std::string& why) {
  if (why.find("ahead of WALs") != std::string::npos) // RocksDB's words for such a hole
    return set_aside(directory, why);
  auto rebuilt = rebuild(directory, why);
  if (!rebuilt && rebuilt.error().code == errc::corrupt)
    return set_aside(directory, why);
  return rebuilt;
}

/// Whoever writes on his own is equal to no member of a cluster any more.
rocksdb::Status leave_cluster(database& rocks) {
  std::string value;
  auto status = rocks.db->Get({}, rocks.of(family::node), lineage_name, &value);
  if (!status.ok())
    return status.IsNotFound() ? rocksdb::Status::OK() : status;
  rocksdb::WriteOptions synced;
  synced.sync = true;
  return rocks.db->Delete(synced, rocks.of(family::node), lineage_name);
}

} // namespace

result<std::unique_ptr<store>> store::open(const store_settings& settings) {
  const auto& directory = settings.directory;
  std::error_code problem;
  std::filesystem::create_directories(directory, problem);
  if (problem)
    return fail(errc::misconfigured,
                "storage directory " + directory + " cannot be created: " + problem.message());
  if (auto done = install_arrival(directory); !done)
    return fail(std::move(done).error());
  auto found = look_first(directory);
  if (!found)
    return fail(std::move(found).error());
  if (*found == first_look::headless)
    if (auto moved = set_aside(directory, "its MANIFEST or CURRENT is missing or broken"); !moved)
      return fail(std::move(moved).error());
  if (*found == first_look::damaged)
    if (auto done = repair(directory, "as was noticed before"); !done)
      return fail(std::move(done).error());

  auto b = std::make_unique<body>();
  b->space = std::make_shared<space_guard>(directory);
  b->must_refuse = settings.refuses;
  b->directory = directory;
  b->logs_all = settings.replicated_log_bytes > 0;
  b->follows = settings.follows;
  b->archive = std::make_shared<log_archive>(directory, settings.replicated_log_bytes);
  const auto on_fatal = [tell = settings.on_fatal](const error& why) {
    if (tell)
      tell(why);
  };
  const database_settings how{
      .directory = directory,
      .cache_bytes = settings.cache_bytes,
      .write_buffer_bytes = settings.write_buffer_bytes,
      .reports = {.log_refused = on_fatal,
                  .damaged =
                      [directory, on_fatal](const error& why) {
                        mark_as_damaged(directory);
                        on_fatal(why);
                      },
                  .no_space =
                      [space = b->space, archive = b->archive] {
                        space->drop_ballast();
                        archive->clear();
                      },
                  .stalled = [stalls = b->stalls] { stalls->fetch_add(1); }},
      .keeps_logs = b->logs_all,
      .flushed = [archive = b->archive] { archive->trim(); }};
  const auto logs = live_logs(directory);
  auto status = open_and_look(how, *b->space, b->rocks);
  for (const bool keep_sound : {true, false}) {
    if (status.ok() || is_locked(status) || !is_damage(status))
      break;
    auto done =
        keep_sound ? repair(directory, status.ToString()) : set_aside(directory, status.ToString());
    if (!done)
      return fail(std::move(done).error());
    status = open_and_look(how, *b->space, b->rocks);
  }
  if (is_locked(status))
    return fail(errc::misconfigured,
                "storage directory " + directory + " is in use by another process");
  if (!status.ok())
    return fail(is_damage(status) ? errc::corrupt : errc::misconfigured,
                "storage directory " + directory + " cannot be opened: " + status.ToString());
  if (auto done = bring_to_format(b->rocks, settings.follows); !done)
    return fail(std::move(done).error());
  clear_arrivals(directory);
  if (!b->logs_all && !settings.follows)
    if (const auto left = leave_cluster(b->rocks); !left.ok())
      return fail(to_error(left, "leave the cluster"));
  b->read_next_id();
  if (auto done = b->settle_logs(logs); !done)
    return fail(std::move(done).error());
  return std::unique_ptr<store>{new store{std::move(b)}};
}

} // namespace busbar::storage
