#include "storage/inspection.hpp"

#include "schema/records.capnp.h"
#include "storage/rocks.hpp"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <fcntl.h>
#include <kj/exception.h>
#include <rocksdb/db.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

namespace busbar::storage {

namespace {

/// RocksDB locks the file LOCK for as long as a store is open. Asking for the lock's holder takes
/// nothing from him.
bool is_held(const std::string& directory, int& holder) {
  const int file = ::open((directory + "/LOCK").c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0)
    return false;
  struct flock wanted {};
  wanted.l_type = F_WRLCK;
  wanted.l_whence = SEEK_SET;
  const bool held = ::fcntl(file, F_GETLK, &wanted) == 0 && wanted.l_type != F_UNLCK;
  ::close(file);
  holder = held ? wanted.l_pid : 0;
  return held;
}

/// The families by name, in whatever order they are stored.
struct reading {
  std::unique_ptr<rocksdb::DB> db;
  std::vector<std::unique_ptr<rocksdb::ColumnFamilyHandle>> families;
  ~reading() { families.clear(); } // before the database
};

rocksdb::Status open(const std::string& directory, reading& into) {
  const rocksdb::DBOptions options;
  std::vector<std::string> names;
  if (auto listed = rocksdb::DB::ListColumnFamilies(options, directory, &names); !listed.ok())
    return listed;
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (const auto& name : names)
    descriptors.emplace_back(name, rocksdb::ColumnFamilyOptions{});
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* opened = nullptr;
  const auto status =
      rocksdb::DB::OpenForReadOnly(options, directory, descriptors, &handles, &opened);
  if (!status.ok())
    return status;
  into.db.reset(opened);
  for (auto* handle : handles)
    into.families.emplace_back(handle);
  return status;
}

bool read_identity(const std::string& bytes, directory_inspection& into) {
  const auto problem = kj::runCatchingExceptions([&] {
    auto words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
    std::memcpy(words.begin(), bytes.data(), words.size() * sizeof(capnp::word));
    capnp::FlatArrayMessageReader reader{words.asPtr()};
    const auto in = reader.getRoot<schema::NodeRecord>();
    into.format = in.getFormatVersion();
    into.identity = {in.getSystemId().cStr(), in.getTimeline(), in.getDatabase().cStr(),
                     in.getStreamId().cStr()};
  });
  return problem == nullptr;
}

} // namespace

directory_inspection inspect(const std::string& directory) {
  directory_inspection out;
  std::error_code problem;
  if (!std::filesystem::exists(directory, problem))
    return out;
  const auto unreadable = [&](std::string why) {
    out.state = directory_state::unreadable;
    out.problem = std::move(why);
    return out;
  };
  if (!std::filesystem::is_directory(directory, problem))
    return unreadable("it is not a directory");
  if (is_held(directory, out.holder)) {
    out.state = directory_state::in_use;
    return out;
  }
  out.state = directory_state::empty;
  if (!std::filesystem::exists(directory + "/CURRENT", problem))
    return problem ? unreadable(problem.message()) : out;
  reading store;
  if (const auto opened = open(directory, store); !opened.ok())
    return unreadable(opened.ToString());
  out.state = directory_state::readable;
  for (const auto& family : store.families) {
    if (family->GetName() != family_names[static_cast<std::size_t>(family::node)])
      continue;
    std::string bytes;
    const auto found = store.db->Get({}, family.get(), identity_name, &bytes);
    if (!found.ok() && !found.IsNotFound())
      return unreadable(found.ToString());
    if (found.ok() && !read_identity(bytes, out))
      return unreadable("what it says of itself is damaged");
    const auto format = store.db->Get({}, family.get(), format_name, &bytes);
    if (format.ok() && bytes.size() == 4)
      out.format = read_be32(bytes.data());
    const auto durable = store.db->Get({}, family.get(), durable_name, &bytes);
    if (durable.ok() && bytes.size() == 8)
      out.durable = lsn{read_be64(bytes.data())};
    const std::unique_ptr<rocksdb::Iterator> it{store.db->NewIterator({}, family.get())};
    constexpr std::string_view prefix = full_prefix;
    for (it->Seek(slice(prefix)); it->Valid() && it->key().starts_with(slice(prefix)); it->Next())
      if (it->key().size() == prefix.size() + 4)
        out.full_tables.push_back(read_be32(it->key().data() + prefix.size()));
  }
  if (out.format > format_version)
    return unreadable("it has format " + std::to_string(out.format) +
                      ", which is newer than this build's, " + std::to_string(format_version));
  return out;
}

} // namespace busbar::storage
