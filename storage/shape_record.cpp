#include "storage/shape_record.hpp"

#include "schema/records.capnp.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include <cstring>

namespace busbar::storage {

namespace {

std::string to_text(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

void encode_table(schema::Table::Builder out, const table_info& table) {
  out.setOid(table.oid);
  out.setSchema(table.schema);
  out.setName(table.name);
  out.setPartitioned(table.partitioned);
  auto columns = out.initColumns(static_cast<unsigned>(table.columns.size()));
  for (unsigned i = 0; i < columns.size(); ++i) {
    const auto& from = table.columns[i];
    auto to = columns[i];
    to.setName(from.name);
    to.setTypeOid(from.type_oid);
    to.setTypeModifier(from.type_modifier);
    to.setTypeName(from.type_name);
    to.setTypeClass(from.type_class);
    to.setDimensions(from.dimensions);
    to.setNotNull(from.not_null);
    to.setKeyIndex(from.key_index);
    to.setGenerated(from.generated);
    to.setOrderedBytewise(from.ordered_bytewise);
    to.setDeterministic(from.deterministic);
    to.setIntervalFields(from.interval_fields);
  }
}

table_info decode_table(schema::Table::Reader in) {
  table_info table;
  table.oid = in.getOid();
  table.schema = to_text(in.getSchema());
  table.name = to_text(in.getName());
  table.partitioned = in.getPartitioned();
  for (const auto from : in.getColumns())
    table.columns.push_back({.name = to_text(from.getName()),
                             .type_oid = from.getTypeOid(),
                             .type_modifier = from.getTypeModifier(),
                             .type_name = to_text(from.getTypeName()),
                             .type_class = to_text(from.getTypeClass()),
                             .dimensions = from.getDimensions(),
                             .not_null = from.getNotNull(),
                             .key_index = from.getKeyIndex(),
                             .generated = from.getGenerated(),
                             .ordered_bytewise = from.getOrderedBytewise(),
                             .deterministic = from.getDeterministic(),
                             .interval_fields = to_text(from.getIntervalFields())});
  return table;
}

} // namespace

std::string encode(const shape_record& record) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<schema::ShapeRecord>();
  out.setHandle(record.handle);
  out.setCreatedLsn(record.created_lsn);
  encode_table(out.initTable(), record.table);
  auto selected = out.initSelected(static_cast<unsigned>(record.selected.size()));
  for (unsigned i = 0; i < selected.size(); ++i)
    selected.set(i, record.selected[i]);
  out.setSelectsAll(record.selects_all);
  out.setWhere(record.where);
  auto parameters = out.initParameters(static_cast<unsigned>(record.parameters.size()));
  for (unsigned i = 0; i < parameters.size(); ++i)
    parameters.set(i, record.parameters[i]);
  out.setCanonicalWhere(record.canonical_where);
  out.setReplicaFull(record.replica_full);
  out.setChangesOnly(record.changes_only);
  out.setSnapshotComplete(record.snapshot_complete);
  out.setSnapshotChunks(record.snapshot_chunks);
  out.setXmin(record.visibility.xmin);
  out.setXmax(record.visibility.xmax);
  auto xip = out.initXip(static_cast<unsigned>(record.visibility.xip.size()));
  for (unsigned i = 0; i < xip.size(); ++i)
    xip.set(i, record.visibility.xip[i]);
  const auto words = capnp::messageToFlatArray(message);
  const auto bytes = words.asBytes();
  return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
}

result<shape_record> decode_shape_record(std::string_view bytes) {
  if (bytes.empty() || bytes.size() % sizeof(capnp::word) != 0)
    return fail(errc::corrupt, "shape record of " + std::to_string(bytes.size()) + " bytes");
  shape_record record;
  auto problem = kj::runCatchingExceptions([&] {
    auto words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
    std::memcpy(words.begin(), bytes.data(), bytes.size());
    capnp::FlatArrayMessageReader reader{words.asPtr()};
    const auto in = reader.getRoot<schema::ShapeRecord>();
    record.handle = to_text(in.getHandle());
    record.created_lsn = in.getCreatedLsn();
    record.table = decode_table(in.getTable());
    for (const auto index : in.getSelected())
      record.selected.push_back(index);
    record.selects_all = in.getSelectsAll();
    record.where = to_text(in.getWhere());
    for (const auto parameter : in.getParameters())
      record.parameters.push_back(to_text(parameter));
    record.canonical_where = to_text(in.getCanonicalWhere());
    record.replica_full = in.getReplicaFull();
    record.changes_only = in.getChangesOnly();
    record.snapshot_complete = in.getSnapshotComplete();
    record.snapshot_chunks = in.getSnapshotChunks();
    record.visibility.xmin = in.getXmin();
    record.visibility.xmax = in.getXmax();
    for (const auto xid : in.getXip())
      record.visibility.xip.push_back(xid);
  });
  KJ_IF_MAYBE (what, problem)
    return fail(errc::corrupt, std::string{"shape record: "} + what->getDescription().cStr());
  for (const auto index : record.selected)
    if (index >= record.table.columns.size())
      return fail(errc::corrupt, "shape record selects a column that its table lacks");
  return record;
}

} // namespace busbar::storage
