#include "storage/copy_sound.hpp"

#include "base/bytes.hpp"
#include "storage/shape_record.hpp"

#include <rocksdb/metadata.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace busbar::storage {

namespace {

constexpr std::size_t batch_bytes = 4u << 20;

std::unique_ptr<rocksdb::Iterator> look_over(database& rocks, family f) {
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  return std::unique_ptr<rocksdb::Iterator>{rocks.db->NewIterator(options, rocks.of(f))};
}

class copying {
public:
  copying(database& from, database& to, const std::vector<lost_stretch>& lost)
      : from_{from}, to_{to}, lost_{lost} {
    unlogged_.disableWAL = true;
  }

  result<void> copy_node() {
    const auto it = look_over(from_, family::node);
    rocksdb::WriteBatch writes;
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
      if (view(it->key()) == next_shape_name && it->value().size() == 8)
        next_shape_ = read_be64(it->value().data());
      if (view(it->key()) == lineage_name)
        continue; // what becomes of it is equal to no other member's
      writes.Put(to_.of(family::node), it->key(), it->value());
    }
    if (!it->status().ok())
      return fail(errc::corrupt, it->status().ToString());
    return write(writes);
  }

  /// The shapes that were ever begun and are not known to be gone. If the list of them has a hole,
  /// all ids that were given out.
  std::vector<shape_id> candidates() {
    std::vector<shape_id> ids;
    const auto it = look_over(from_, family::directory);
    for (it->Seek("s"); it->Valid() && it->key().starts_with("s"); it->Next())
      if (const auto id = parse_shape_key(view(it->key())))
        ids.push_back(*id);
    if (it->status().ok())
      return ids;
    ids.clear();
    for (std::uint64_t id = 1; id < next_shape_; ++id)
      ids.push_back(shape_id{id});
    return ids;
  }

  enum class outcome { kept, none, damaged };
  result<outcome> copy_shape(shape_id id) {
    rocksdb::WriteBatch words; // what makes it a shape, written last
    for (const char kind : {'x', 's', 'p', 't', 'u'}) {
      const auto key = shape_key(kind, id);
      std::string value;
      const auto status = from_.db->Get({}, from_.of(family::directory), key, &value);
      if (status.IsNotFound() && kind == 's')
        return outcome::none;
      if (status.IsNotFound())
        continue;
      if (!status.ok())
        return outcome::damaged;
      if (kind == 'x' || (kind == 's' && value.empty()))
        return outcome::none;
      if (kind == 's' && !find_table(value))
        return outcome::damaged;
      words.Put(to_.of(family::directory), key, value);
    }
    if (std::ranges::any_of(lost_, [n = to_number(id)](const auto& one) {
          return one.first <= n && n <= one.last;
        }))
      return outcome::damaged;
    for (const auto f : {family::log, family::chunks, family::sets}) {
      auto sound = copy_range(id, f);
      if (!sound)
        return fail(std::move(sound).error());
      if (!*sound)
        return outcome::damaged; // what was copied of it has no owner, and is swept away later
    }
    if (auto written = write(words); !written)
      return fail(std::move(written).error());
    return outcome::kept;
  }

  result<void> finish() {
    for (std::size_t i = 0; i < family_names.size(); ++i)
      if (const auto status = to_.db->Flush({}, to_.of(static_cast<family>(i))); !status.ok())
        return fail(to_error(status, "write a sound copy"));
    return {};
  }

private:
  result<void> write(rocksdb::WriteBatch& writes) {
    if (const auto status = to_.db->Write(unlogged_, &writes); !status.ok())
      return fail(errc::misconfigured,
                  "storage: what is sound cannot be copied: " + status.ToString());
    writes.Clear();
    return {};
  }

  /// Copies the table that the record names. False if it cannot be read.
  bool find_table(std::string_view record) {
    bool found = true;
    const auto decoded = decode_shape_record(record, [&](std::string_view digest) {
      const auto key = table_prefix + std::string{digest};
      std::string value;
      found = from_.db->Get({}, from_.of(family::directory), key, &value).ok();
      auto table = found ? decode_table(value) : result<table_info>{fail(errc::corrupt, "")};
      if (!table)
        return std::shared_ptr<const table_info>{};
      if (tables_.insert(key).second)
        found = to_.db->Put(unlogged_, to_.of(family::directory), key, value).ok();
      return std::make_shared<const table_info>(std::move(*table));
    });
    return decoded && found;
  }

  result<bool> copy_range(shape_id id, family f) {
    const auto it = look_over(from_, f);
    const auto prefix = shape_prefix(id);
    rocksdb::WriteBatch writes;
    for (it->Seek(prefix); it->Valid() && view(it->key()).starts_with(prefix); it->Next()) {
      writes.Put(to_.of(f), it->key(), it->value());
      if (writes.GetDataSize() >= batch_bytes)
        if (auto written = write(writes); !written)
          return fail(std::move(written).error());
    }
    if (!it->status().ok())
      return false;
    return write(writes).map([] { return true; });
  }

  database& from_;
  database& to_;
  const std::vector<lost_stretch>& lost_;
  rocksdb::WriteOptions unlogged_;
  std::uint64_t next_shape_ = 1;
  std::set<std::string> tables_;
};

} // namespace

result<std::vector<lost_stretch>> strike_lost_files(const std::string& directory) {
  std::vector<rocksdb::LiveFileMetaData> files;
  {
    database rocks;
    if (const auto status = open_damaged(directory, rocks); !status.ok())
      return fail(errc::corrupt, status.ToString());
    rocks.db->GetLiveFilesMetaData(&files);
  }
  std::vector<lost_stretch> lost;
  for (const auto& file : files) {
    if (rocksdb::SstFileReader{{}}.Open(file.db_path + file.name).ok())
      continue;
    const auto& name = file.column_family_name;
    if (name == family_names[static_cast<std::size_t>(family::directory)] ||
        name == family_names[static_cast<std::size_t>(family::node)] ||
        file.smallestkey.size() < 8 || file.largestkey.size() < 8)
      return fail(errc::corrupt, "a table of family '" + name + "' is lost");
    lost.push_back({read_be64(file.smallestkey.data()), read_be64(file.largestkey.data())});
    if (const auto status = strike_file(directory, name, file.file_number); !status.ok())
      return fail(errc::corrupt, status.ToString());
  }
  return lost;
}

result<copied_shapes> copy_sound(database& from, database& to,
                                 const std::vector<lost_stretch>& lost) {
  copying work{from, to, lost};
  if (auto node = work.copy_node(); !node)
    return fail(std::move(node).error());
  copied_shapes count;
  for (const auto id : work.candidates()) {
    const auto done = work.copy_shape(id);
    if (!done)
      return fail(error{done.error()});
    count.kept += *done == copying::outcome::kept ? 1 : 0;
    count.dropped += *done == copying::outcome::damaged ? 1 : 0;
  }
  if (auto finished = work.finish(); !finished)
    return fail(std::move(finished).error());
  return count;
}

} // namespace busbar::storage
