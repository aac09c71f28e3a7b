// The inner sets of subqueries: their values and how far they are, and where shapes lag behind
// them.
#include "base/bytes.hpp"
#include "storage/store_body.hpp"

#include <cstring>

namespace busbar::storage {

namespace {

std::string encode_count(std::uint32_t count) {
  std::string text;
  append_be32(text, count);
  return text;
}

std::string encode(const set_lag& late) {
  std::string text;
  append_be32(text, late.xid);
  append_be64(text, late.since);
  for (const auto& part : late.texts) {
    append_be32(text, static_cast<std::uint32_t>(part.size()));
    text += part;
  }
  return text;
}

digest read_digest(const char* from) {
  digest d;
  std::memcpy(d.data(), from, d.size());
  return d;
}

/// `key` is what follows the kind.
result<set_lag> decode_lag(std::string_view key, std::string_view text) {
  const auto broken = [] { return fail(errc::corrupt, "a stored lag of a shape"); };
  constexpr std::size_t head_bytes = 4 + 8;
  if (key.size() != 2 + sizeof(digest) || text.size() < head_bytes)
    return broken();
  set_lag late{.subquery = read_be16(key.data()),
               .value = read_digest(key.data() + 2),
               .xid = read_be32(text.data()),
               .since = read_be64(text.data() + 4)};
  for (text.remove_prefix(head_bytes); !text.empty();) {
    if (text.size() < 4)
      return broken();
    const auto bytes = read_be32(text.data());
    text.remove_prefix(4);
    if (text.size() < bytes)
      return broken();
    late.texts.emplace_back(text.substr(0, bytes));
    text.remove_prefix(bytes);
  }
  return late;
}

} // namespace

void batch::put_set_value(shape_id set, const digest& value, std::uint32_t count) {
  numbered_family sets{family::sets};
  if (count > 0)
    body_->writes.Put(&sets, set_value_key(set, value), encode_count(count));
  else
    body_->writes.Delete(&sets, set_value_key(set, value));
}

void batch::put_set_position(shape_id set, std::uint64_t tx) {
  numbered_family sets{family::sets};
  std::string text;
  append_be64(text, tx);
  body_->writes.Put(&sets, set_prefix(set, 'p'), text);
}

void batch::put_lag(shape_id shape, const set_lag& late) {
  numbered_family sets{family::sets};
  body_->writes.Put(&sets, lag_key(shape, late.subquery, late.value), encode(late));
}

void batch::drop_lag(shape_id shape, std::uint16_t subquery, const digest& value) {
  numbered_family sets{family::sets};
  body_->writes.Delete(&sets, lag_key(shape, subquery, value));
}

result<void> store::put_set_values(shape_id set,
                                   std::span<const std::pair<digest, std::uint32_t>> values) {
  if (auto room = body_->room_for(values.size() * sizeof(digest)); !room)
    return room;
  rocksdb::WriteBatch writes;
  for (const auto& [value, count] : values)
    writes.Put(body_->of(family::sets), set_value_key(set, value), encode_count(count));
  if (const auto status = body_->put_through({}, writes); !status.ok())
    return fail(to_error(status, "write values of a set"));
  return {};
}

result<void> store::clear_set(shape_id set) {
  rocksdb::WriteBatch writes;
  writes.DeleteRange(body_->of(family::sets), shape_prefix(set),
                     shape_prefix(shape_id{to_number(set) + 1}));
  if (const auto status = body_->put_through({}, writes); !status.ok())
    return fail(to_error(status, "clear a set"));
  return {};
}

result<stored_set> store::read_set(shape_id shape) const {
  stored_set found;
  const auto prefix = shape_prefix(shape);
  const std::unique_ptr<rocksdb::Iterator> it{body_->db().NewIterator({}, body_->of(family::sets))};
  for (it->Seek(prefix); it->Valid() && view(it->key()).starts_with(prefix); it->Next()) {
    const auto key = view(it->key()).substr(prefix.size());
    const auto value = view(it->value());
    if (key.size() == 1 + sizeof(digest) && key[0] == 'v' && value.size() == 4) {
      found.values.emplace_back(read_digest(key.data() + 1), read_be32(value.data()));
    } else if (key == "p" && value.size() == 8) {
      found.position = read_be64(value.data());
    } else if (key.starts_with('l')) {
      auto late = decode_lag(key.substr(1), value);
      if (!late)
        return fail(std::move(late).error());
      found.lag.push_back(std::move(*late));
    } else {
      return fail(errc::corrupt, "a stored value of a set");
    }
  }
  if (!it->status().ok())
    return fail(to_error(it->status(), "read a set"));
  return found;
}

} // namespace busbar::storage
