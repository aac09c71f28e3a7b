#include "shapes/table_record.hpp"

namespace busbar {

namespace {

std::string to_text(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

} // namespace

void encode(schema::Table::Builder out, const table_info& table) {
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
    to.setNumber(from.number);
  }
}

table_info decode(schema::Table::Reader in) {
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
                             .interval_fields = to_text(from.getIntervalFields()),
                             .number = from.getNumber()});
  return table;
}

void encode(schema::TableFacts::Builder out, const table_facts& facts) {
  encode(out.initTable(), facts.table);
  auto published_by = out.initPublishedBy(static_cast<unsigned>(facts.published_by.size()));
  for (unsigned i = 0; i < published_by.size(); ++i)
    published_by.set(i, facts.published_by[i]);
  out.setPublicationXid(facts.publication_xid);
  auto partitions = out.initPartitions(static_cast<unsigned>(facts.partitions.size()));
  for (unsigned i = 0; i < partitions.size(); ++i) {
    partitions[i].setOid(facts.partitions[i].oid);
    partitions[i].setAttachedXid(facts.partitions[i].attached_xid);
  }
}

table_facts decode(schema::TableFacts::Reader in) {
  table_facts facts;
  facts.table = decode(in.getTable());
  for (const auto row : in.getPublishedBy())
    facts.published_by.push_back(row);
  facts.publication_xid = in.getPublicationXid();
  for (const auto partition : in.getPartitions())
    facts.partitions.push_back({partition.getOid(), partition.getAttachedXid()});
  return facts;
}

void encode(schema::Visibility::Builder out, const snapshot& seen) {
  out.setXmin(seen.xmin);
  out.setXmax(seen.xmax);
  auto xip = out.initXip(static_cast<unsigned>(seen.xip.size()));
  for (unsigned i = 0; i < xip.size(); ++i)
    xip.set(i, seen.xip[i]);
}

snapshot decode(schema::Visibility::Reader in) {
  snapshot seen{.xmin = in.getXmin(), .xmax = in.getXmax(), .xip = {}};
  for (const auto xid : in.getXip())
    seen.xip.push_back(xid);
  return seen;
}

} // namespace busbar
