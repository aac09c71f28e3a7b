// What we have changed of PostgreSQL's tables, so that no more than that is taken back: which ones
// we have added to the publication, and which ones we have given REPLICA IDENTITY FULL.
#include "base/bytes.hpp"
#include "storage/store_body.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace busbar::storage {

result<void> store::note_added_table(const added_table& table) {
  if (auto room = body_->room_for(0); !room)
    return room;
  std::string text;
  append_be32(text, table.membership);
  const auto status = body_->put({}, family::node, added_key(table.oid), text);
  if (!status.ok())
    return fail(to_error(status, "note a table that was added"));
  return {};
}

result<void> store::note_full_tables(std::span<const std::uint32_t> oids) {
  rocksdb::WriteBatch writes;
  for (const auto oid : oids)
    writes.Put(body_->of(family::node), full_key(oid), {});
  if (auto room = body_->room_for(0); !room)
    return room;
  const auto status = body_->put_through({}, writes);
  if (!status.ok())
    return fail(to_error(status, "note the replica identity of tables"));
  return {};
}

result<void> store::forget_added_table(std::uint32_t oid) {
  rocksdb::WriteBatch writes;
  writes.Delete(body_->of(family::node), added_key(oid));
  const auto status = body_->put_through({}, writes);
  if (!status.ok())
    return fail(to_error(status, "forget a table that was added"));
  return {};
}

result<std::vector<added_table>> store::added_tables() const {
  std::vector<added_table> found;
  const auto it = body_->look_over(family::node);
  constexpr std::string_view prefix = added_prefix;
  for (it->Seek(slice(prefix)); it->Valid() && it->key().starts_with(slice(prefix)); it->Next())
    if (it->key().size() == prefix.size() + 4 && it->value().size() == 4)
      found.push_back({read_be32(it->key().data() + prefix.size()), read_be32(it->value().data())});
  if (!it->status().ok())
    return fail(to_error(it->status(), "find tables that were added"));
  return found;
}

} // namespace busbar::storage
