#include "storage/shape_record.hpp"

#include "schema/records.capnp.h"
#include "shapes/table_record.hpp"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include <algorithm>
#include <cstring>

namespace busbar::storage {

namespace {

std::string to_text(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

std::string to_bytes(capnp::MessageBuilder& message) {
  const auto words = capnp::messageToFlatArray(message);
  const auto bytes = words.asBytes();
  return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
}

/// Calls `read` with the message's root; errc::corrupt if the bytes are not such a message.
template <class Root, class Read>
result<void> read_message(std::string_view bytes, const Read& read) {
  if (bytes.empty() || bytes.size() % sizeof(capnp::word) != 0)
    return fail(errc::corrupt, std::to_string(bytes.size()) + " bytes");
  auto problem = kj::runCatchingExceptions([&] {
    auto words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
    std::memcpy(words.begin(), bytes.data(), bytes.size());
    capnp::FlatArrayMessageReader reader{words.asPtr()};
    read(reader.getRoot<Root>());
  });
  KJ_IF_MAYBE (what, problem)
    return fail(errc::corrupt, what->getDescription().cStr());
  return {};
}

} // namespace

std::string encode(const table_info& table) {
  capnp::MallocMessageBuilder message;
  busbar::encode(message.initRoot<schema::Table>(), table);
  return to_bytes(message);
}

result<table_info> decode_table(std::string_view bytes) {
  table_info table;
  auto read =
      read_message<schema::Table>(bytes, [&](schema::Table::Reader in) { table = decode(in); });
  if (!read)
    return fail(std::move(read).error().with_context("table"));
  return table;
}

std::string encode(const shape_record& record, std::string_view table_digest) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<schema::ShapeRecord>();
  out.setHandle(record.handle);
  out.setCreatedLsn(record.created_lsn);
  if (table_digest.empty())
    busbar::encode(out.initTable(), *record.table);
  else
    out.setTableDigest(
        {reinterpret_cast<const kj::byte*>(table_digest.data()), table_digest.size()});
  auto selected = out.initSelected(static_cast<unsigned>(record.selected.size()));
  for (unsigned i = 0; i < selected.size(); ++i)
    selected.set(i, record.selected[i]);
  out.setSelectsAll(record.selects_all);
  out.setWhere(record.where);
  auto parameters = out.initParameters(static_cast<unsigned>(record.parameters.size()));
  for (unsigned i = 0; i < parameters.size(); ++i)
    parameters.set(i, record.parameters[i]);
  out.setReplicaFull(record.replica_full);
  out.setChangesOnly(record.changes_only);
  out.setSnapshotComplete(record.snapshot_complete);
  out.setSnapshotChunks(record.snapshot_chunks);
  out.setXmin(record.visibility.xmin);
  out.setXmax(record.visibility.xmax);
  auto xip = out.initXip(static_cast<unsigned>(record.visibility.xip.size()));
  for (unsigned i = 0; i < xip.size(); ++i)
    xip.set(i, record.visibility.xip[i]);
  auto inner = out.initInner(static_cast<unsigned>(record.inner.size()));
  for (unsigned i = 0; i < inner.size(); ++i)
    inner.set(i, record.inner[i]);
  auto values = out.initValues(static_cast<unsigned>(record.values.size()));
  for (unsigned i = 0; i < values.size(); ++i)
    values.set(i, record.values[i]);
  out.setWithoutNull(record.without_null);
  return to_bytes(message);
}

std::string encode(const table_facts& facts, const snapshot& seen, const table_info& defined) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<schema::KnownFacts>();
  busbar::encode(out.initFacts(), facts, &defined);
  busbar::encode(out.initSeen(), seen);
  return to_bytes(message);
}

result<known_facts> decode_known_facts(std::string_view bytes, const table_info& defined) {
  known_facts known;
  auto read = read_message<schema::KnownFacts>(bytes, [&](schema::KnownFacts::Reader in) {
    known.facts = std::make_shared<const table_facts>(decode(in.getFacts(), &defined));
    known.seen = decode(in.getSeen());
  });
  if (!read)
    return fail(std::move(read).error().with_context("known facts"));
  return known;
}

result<shape_record> decode_shape_record(std::string_view bytes, const table_finder& find) {
  shape_record record;
  auto read = read_message<schema::ShapeRecord>(bytes, [&](schema::ShapeRecord::Reader in) {
    record.handle = to_text(in.getHandle());
    record.created_lsn = in.getCreatedLsn();
    if (!in.hasTableDigest()) {
      record.table = std::make_shared<const table_info>(decode(in.getTable()));
    } else if (find) {
      const auto digest = in.getTableDigest();
      record.table = find({reinterpret_cast<const char*>(digest.begin()), digest.size()});
    }
    for (const auto index : in.getSelected())
      record.selected.push_back(index);
    record.selects_all = in.getSelectsAll();
    record.where = to_text(in.getWhere());
    for (const auto parameter : in.getParameters())
      record.parameters.push_back(to_text(parameter));
    record.replica_full = in.getReplicaFull();
    record.changes_only = in.getChangesOnly();
    record.snapshot_complete = in.getSnapshotComplete();
    record.snapshot_chunks = in.getSnapshotChunks();
    record.visibility.xmin = in.getXmin();
    record.visibility.xmax = in.getXmax();
    for (const auto xid : in.getXip())
      record.visibility.xip.push_back(xid);
    for (const auto id : in.getInner())
      record.inner.push_back(id);
    for (const auto index : in.getValues())
      record.values.push_back(index);
    record.without_null = in.getWithoutNull();
  });
  if (!read)
    return fail(std::move(read).error().with_context("shape record"));
  if (!record.table)
    return fail(errc::corrupt, "shape record: its table is not stored");
  const auto lacks = [&](std::uint16_t index) { return index >= record.table->columns.size(); };
  for (const auto& columns : {record.selected, record.values})
    if (std::any_of(columns.begin(), columns.end(), lacks))
      return fail(errc::corrupt, "shape record selects a column that its table lacks");
  return record;
}

} // namespace busbar::storage
