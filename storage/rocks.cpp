#include "storage/rocks.hpp"

#include <rocksdb/cache.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/ldb_cmd.h>

#include <atomic>
#include <utility>
#include <vector>

namespace busbar::storage {

namespace {

/// RocksDB tries to go on by itself when there is room again. It can do so after a refused table
/// file, but not after a refused piece of its log: Debian's build then fails an assertion.
class trouble_listener final : public rocksdb::EventListener {
public:
  explicit trouble_listener(trouble_reports reports) : reports_{std::move(reports)} {}

  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* status) override {
    const bool in_log = reason == rocksdb::BackgroundErrorReason::kWriteCallback ||
                        reason == rocksdb::BackgroundErrorReason::kMemTable;
    if (in_log) {
      if (!log_broken_.exchange(true) && reports_.log_refused)
        reports_.log_refused(
            to_error(*status, "the disk refuses to write the log, so this process cannot go on; "
                              "it starts again from what is stored"));
    } else if (is_damage(*status)) {
      if (!is_damaged_.exchange(true) && reports_.damaged)
        reports_.damaged(to_error(*status, "stored data is damaged, so this process cannot go on; "
                                           "it starts again from what is sound"));
    } else if (status->IsNoSpace() && reports_.no_space) {
      reports_.no_space();
    }
  }
  void OnStallConditionsChanged(const rocksdb::WriteStallInfo& info) override {
    if (info.condition.cur != rocksdb::WriteStallCondition::kNormal && reports_.stalled)
      reports_.stalled();
  }
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status,
                            bool* auto_recovery) override {
    if (log_broken_)
      *auto_recovery = false;
  }

private:
  const trouble_reports reports_;
  std::atomic<bool> log_broken_{false};
  std::atomic<bool> is_damaged_{false};
};

class flush_listener final : public rocksdb::EventListener {
public:
  explicit flush_listener(std::function<void()> flushed) : flushed_{std::move(flushed)} {}
  void OnFlushCompleted(rocksdb::DB*, const rocksdb::FlushJobInfo&) override { flushed_(); }

private:
  const std::function<void()> flushed_;
};

std::vector<rocksdb::ColumnFamilyDescriptor> describe(std::size_t cache_bytes,
                                                      std::size_t write_buffer_bytes) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(cache_bytes);
  table.cache_index_and_filter_blocks = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.format_version = 5;
  rocksdb::ColumnFamilyOptions common;
  common.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  common.write_buffer_size = write_buffer_bytes / 2;
  common.compression = rocksdb::kNoCompression;
  rocksdb::ColumnFamilyOptions large = common;
  large.enable_blob_files = true; // entry blocks are large: compaction then moves keys only
  large.min_blob_size = 8 * 1024;
  large.enable_blob_garbage_collection = true;

  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (std::size_t i = 0; i < family_names.size(); ++i) {
    const auto f = static_cast<family>(i);
    const bool bulky = f == family::log || f == family::chunks || f == family::frames;
    descriptors.emplace_back(std::string{family_names[i]}, bulky ? large : common);
  }
  return descriptors;
}

rocksdb::Status take(rocksdb::DB* opened, const std::vector<rocksdb::ColumnFamilyHandle*>& handles,
                     database& into) {
  into.close();
  into.db.reset(opened);
  bool in_order = true;
  for (std::size_t i = 0; i < handles.size(); ++i) {
    into.families[i].reset(handles[i]);
    in_order &= handles[i]->GetID() == i;
  }
  return in_order ? rocksdb::Status::OK()
                  : rocksdb::Status::Corruption("the column families are in another order");
}

rocksdb::Status open_to_read(const std::string& directory, bool paranoid, database& into) {
  rocksdb::DBOptions options;
  options.paranoid_checks = paranoid;
  options.max_open_files = 512;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* opened = nullptr;
  const auto status = rocksdb::DB::OpenForReadOnly(
      options, directory, describe(8u << 20, 64u << 20), &handles, &opened);
  return status.ok() ? take(opened, handles, into) : status;
}

} // namespace

rocksdb::Status open_database(const database_settings& settings, database& into) {
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.max_background_jobs = 2;
  options.db_write_buffer_size = settings.write_buffer_bytes;
  options.max_total_wal_size = 256u << 20;
  options.bytes_per_sync = 1u << 20; // spreads write-back instead of one burst at the sync
  options.wal_bytes_per_sync = 1u << 20;
  options.keep_log_file_num = 3;
  options.max_log_file_size = 4u << 20;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.max_open_files = 512;
#ifdef __SANITIZE_THREAD__
  // No thread writes another's batch then: it may, but ThreadSanitizer does not see what allows it.
  options.max_write_batch_group_size_bytes = 1;
#endif
  options.listeners.push_back(std::make_shared<trouble_listener>(settings.reports));
  if (settings.flushed)
    options.listeners.push_back(std::make_shared<flush_listener>(settings.flushed));
  if (settings.keeps_logs)
    options.WAL_size_limit_MB = std::uint64_t{1} << 40; // any number makes RocksDB archive them
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* opened = nullptr;
  const auto status = rocksdb::DB::Open(options, settings.directory,
                                        describe(settings.cache_bytes, settings.write_buffer_bytes),
                                        &handles, &opened);
  return status.ok() ? take(opened, handles, into) : status;
}

rocksdb::Status open_damaged(const std::string& directory, database& into) {
  return open_to_read(directory, false, into);
}

rocksdb::Status open_sound(const std::string& directory, database& into) {
  return open_to_read(directory, true, into);
}

rocksdb::Status strike_file(const std::string& directory, std::string_view family,
                            std::uint64_t number) {
  // RocksDB can do this, but offers it only as a command of its tool.
  const std::array<std::string, 5> words{"ldb", "--db=" + directory,
                                         "--column_family=" + std::string{family},
                                         "unsafe_remove_sst_file", std::to_string(number)};
  std::array<const char*, words.size()> arguments{};
  for (std::size_t i = 0; i < words.size(); ++i)
    arguments[i] = words[i].c_str();
  rocksdb::Options options;
  options.paranoid_checks = false;
  const auto families = describe(1u << 20, 1u << 20);
  const int outcome = rocksdb::LDBCommandRunner::RunCommand(
      static_cast<int>(arguments.size()), arguments.data(), options, {}, &families);
  return outcome == 0 ? rocksdb::Status::OK()
                      : rocksdb::Status::Corruption("a lost file cannot be taken off the list");
}

} // namespace busbar::storage
