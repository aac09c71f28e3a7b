#include "postgres/pgoutput_state.hpp"
#include "shapes/table_record.hpp"

#include <capnp/message.h>

#include <algorithm>
#include <cstring>
#include <optional>

namespace busbar::postgres {

namespace {

// Scratch memory beyond this is given back after an unusually large frame.
constexpr std::size_t kept_bytes_max = std::size_t{8} << 20;

std::string_view schema_name(std::string_view as_sent) {
  return as_sent.empty() ? "pg_catalog" : as_sent; // pgoutput's abbreviation
}

capnp::Text::Reader to_text(std::string_view text) {
  // `text` comes from cursor::text(), so a NUL byte follows it.
  return text.empty() ? capnp::Text::Reader{""} : capnp::Text::Reader{text.data(), text.size()};
}

void describe(schema::Relation::Builder out, const described_relation& from) {
  cursor in{from.message};
  in.u8();
  out.setOid(in.u32());
  out.setSchema(to_text(schema_name(in.text())));
  out.setName(to_text(in.text()));
  out.setIdentityFull(in.u8() == 'f');
  out.setBeforeChange(from.before_change);
  auto columns = out.initColumns(in.u16());
  for (auto column : columns) {
    in.u8();
    column.setName(to_text(in.text()));
    column.setTypeOid(in.u32());
    column.setTypeModifier(static_cast<std::int32_t>(in.u32()));
  }
  auto ancestors = out.initAncestors(static_cast<capnp::uint>(from.above.size()));
  for (std::size_t i = 0; i < from.above.size(); ++i) {
    auto ancestor = ancestors[static_cast<capnp::uint>(i)];
    ancestor.setOid(from.above[i].oid);
    ancestor.setAttachedXid(from.above[i].attached_xid);
  }
}

} // namespace

/// An upper bound of the finished frame: names and contents each end on a word of their own.
std::size_t pgoutput_decoder::state::words_needed() const {
  std::size_t words =
      64 + rows.size() / 8 + changes.size() * change_bytes / 8 + transactions.size() * 8;
  for (const auto& relation : relations)
    words += 20 + relation.message.size() + relation.above.size(); // 11 bytes' column: 5 words
  for (const auto& message : messages)
    words += 6 + message.content.size() / 8;
  words += 8 + facts.seen.xip.size();
  for (const auto& table : facts.tables)
    words += 32 + table->table.name.size() / 8 + 32 * table->table.columns.size() +
             table->published_by.size() + table->published_above.size() + table->placed_by.size() +
             table->column_xids.size() + 2 * table->partitions.size();
  return words;
}

void pgoutput_decoder::state::fill(schema::Frame::Builder root) const {
  root.setTerm(term);
  auto to_transactions = root.initTransactions(static_cast<capnp::uint>(transactions.size()));
  for (std::size_t i = 0; i < transactions.size(); ++i) {
    const auto& from = transactions[i];
    const auto next = i + 1 < transactions.size() ? transactions[i + 1].first_change : next_index();
    auto to = to_transactions[static_cast<capnp::uint>(i)];
    to.setCommitLsn(from.commit);
    to.setEndLsn(from.end);
    to.setCommitMicros(from.micros);
    to.setXid(from.xid);
    to.setFirstChange(from.first_change);
    to.setChangeCount(next - from.first_change);
    to.setBegins(from.begins);
    to.setEnds(from.end != 0);
    to.setFirstPosition(from.first_position);
  }
  auto to_changes = root.initChanges(next_index());
  for (std::uint32_t i = 0; i < next_index(); ++i) {
    const auto& from = changes[i];
    auto to = to_changes[i];
    to.setKind(from.kind);
    to.setRelation(from.relation);
    to.setOldAt(from.old_at);
    to.setOldBytes(from.old_bytes);
    to.setNewAt(from.new_at);
    to.setNewBytes(from.new_bytes);
    to.setKeyOnly(from.key_only);
  }
  const auto told =
      std::count_if(relations.begin(), relations.end(), [](const auto& r) { return r.news; });
  auto to_relations = root.initRelations(static_cast<capnp::uint>(told));
  capnp::uint next_relation = 0;
  for (const auto& relation : relations)
    if (relation.news)
      describe(to_relations[next_relation++], relation);
  auto to_messages = root.initMessages(static_cast<capnp::uint>(messages.size()));
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const auto& from = messages[i];
    auto to = to_messages[static_cast<capnp::uint>(i)];
    to.setContent({reinterpret_cast<const capnp::byte*>(from.content.data()), from.content.size()});
    to.setBeforeChange(from.before_change);
    to.setTransaction(from.transaction);
  }
  auto to_tables = root.initTables(static_cast<capnp::uint>(facts.tables.size()));
  for (std::size_t i = 0; i < facts.tables.size(); ++i)
    encode(to_tables[static_cast<capnp::uint>(i)], *facts.tables[i]);
  encode(root.initTablesSeen(), facts.seen);
  root.setRows({reinterpret_cast<const capnp::byte*>(rows.data()), rows.size()});
}

/// Forgets what was taken; the rest of an open transaction goes on at change 0 of the next frame.
void pgoutput_decoder::state::clear() {
  std::optional<transaction> rest;
  if (open) {
    rest = transactions.back();
    rest->first_change = 0;
    rest->first_position = next_position;
    rest->begins = false;
  }
  rows.clear();
  changes.clear();
  transactions.clear();
  relations.clear();
  messages.clear();
  facts = {};
  other_bytes = 0;
  if (rows.capacity() > kept_bytes_max)
    std::string{}.swap(rows);
  if (rest)
    transactions.push_back(*rest);
  news = false;
}

frame pgoutput_decoder::take() {
  auto& s = *state_;
  if (!s.news)
    return {};
  // One first segment that is large enough, so that nothing moves before build() flattens it.
  const auto words = s.words_needed();
  frame taken;
  if (words * sizeof(capnp::word) > kept_bytes_max) {
    capnp::MallocMessageBuilder builder{static_cast<capnp::uint>(words)};
    s.fill(builder.initRoot<schema::Frame>());
    taken = frame::build(builder);
  } else {
    if (s.scratch.size() < words) {
      s.scratch = kj::heapArray<capnp::word>(2 * words);
      std::memset(s.scratch.begin(), 0, s.scratch.size() * sizeof(capnp::word));
    }
    capnp::MallocMessageBuilder builder{s.scratch}; // leaves it zeroed again
    s.fill(builder.initRoot<schema::Frame>());
    taken = frame::build(builder);
  }
  s.clear();
  return taken;
}

} // namespace busbar::postgres
