#include "storage/format.hpp"

#include "base/bytes.hpp"
#include "storage/node_record.hpp"

#include <rocksdb/write_batch.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>

namespace busbar::storage {

namespace {

/// A step from one format to the next. It only adds to `writes`, which then also hold the new
/// version: a crash leaves all of it or nothing. A step too large for one batch may write on its
/// own, if it can be repeated.
struct migration {
  std::uint32_t from;
  result<void> (*run)(database& rocks, rocksdb::WriteBatch& writes);
};

/// 1 to 2: what was written before is still read as it is; but older builds, which compare the
/// version in the identity, must not take what is written from now on for damage.
result<void> mark_identity(database& rocks, rocksdb::WriteBatch& writes) {
  std::string value;
  const auto status = rocks.db->Get({}, rocks.of(family::node), identity_name, &value);
  if (status.IsNotFound())
    return {};
  if (!status.ok())
    return fail(to_error(status, "read identity"));
  const auto who = decode_identity(value);
  if (!who)
    return fail(error{who.error()});
  writes.Put(rocks.of(family::node), identity_name, encode(*who));
  return {};
}

/// 2 to 3: adds a key, in its own time.
result<void> keep_all(database&, rocksdb::WriteBatch&) {
  return {};
}

constexpr std::array migrations{migration{1, mark_identity}, migration{2, keep_all}};

std::string version_text(std::uint32_t version) {
  std::string text;
  append_be32(text, version);
  return text;
}

/// nullopt if the store is new.
result<std::optional<std::uint32_t>> version_of(database& rocks) {
  std::string value;
  const auto status = rocks.db->Get({}, rocks.of(family::node), format_name, &value);
  if (status.ok() && value.size() == 4)
    return std::optional{read_be32(value.data())};
  if (status.ok())
    return fail(errc::corrupt, "storage: format of " + std::to_string(value.size()) + " bytes");
  if (!status.IsNotFound())
    return fail(to_error(status, "read format"));
  for (const auto f : {family::node, family::directory}) {
    const std::unique_ptr<rocksdb::Iterator> it{rocks.db->NewIterator({}, rocks.of(f))};
    it->SeekToFirst();
    if (it->Valid())
      return std::optional{std::uint32_t{1}};
    if (!it->status().ok())
      return fail(to_error(it->status(), "read format"));
  }
  return std::optional<std::uint32_t>{};
}

} // namespace

result<void> bring_to_format(database& rocks, bool follows) {
  const auto found = version_of(rocks);
  if (!found)
    return fail(error{found.error()});
  auto version = found->value_or(format_version);
  if (version > format_version)
    return fail(errc::misconfigured, "storage has format " + std::to_string(version) +
                                         ", written by a newer build; this one reads up to " +
                                         std::to_string(format_version));
  rocksdb::WriteOptions synced;
  synced.sync = true;
  if (!*found) {
    const auto status =
        rocks.db->Put(synced, rocks.of(family::node), format_name, version_text(version));
    return status.ok() ? result<void>{} : fail(to_error(status, "write format"));
  }
  while (version < format_version && !follows) {
    const auto step =
        std::ranges::find_if(migrations, [&](const auto& one) { return one.from == version; });
    if (step == migrations.end())
      return fail(errc::misconfigured,
                  "storage has format " + std::to_string(version) + ", which is too old");
    rocksdb::WriteBatch writes;
    if (auto done = step->run(rocks, writes); !done)
      return done;
    ++version;
    writes.Put(rocks.of(family::node), format_name, version_text(version));
    if (const auto status = rocks.db->Write(synced, &writes); !status.ok())
      return fail(to_error(status, "write format"));
    spdlog::info("storage was brought from format {} to {}", version - 1, version);
  }
  return {};
}

} // namespace busbar::storage
