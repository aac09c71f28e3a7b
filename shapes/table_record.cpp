#include "shapes/table_record.hpp"

namespace busbar {

namespace {

std::string to_text(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

void fill(capnp::List<std::uint32_t>::Builder out, const std::vector<std::uint32_t>& from) {
  for (unsigned i = 0; i < out.size(); ++i)
    out.set(i, from[i]);
}

std::vector<std::uint32_t> to_vector(capnp::List<std::uint32_t>::Reader list) {
  std::vector<std::uint32_t> out;
  for (const auto item : list)
    out.push_back(item);
  return out;
}

} // namespace

void encode(schema::Table::Builder out, const table_info& table) {
  out.setOid(table.oid);
  out.setSchema(table.schema);
  out.setName(table.name);
  out.setPartitioned(table.partitioned);
  out.setDatabaseOrderedBytewise(table.database_ordered_bytewise);
  out.setDatabaseCtype(table.database_ctype);
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
    to.setCtype(from.ctype);
    if (!from.enum_name.empty()) {
      auto of = to.initEnumType();
      of.setSchema(from.enum_schema);
      of.setName(from.enum_name);
      auto labels = of.initLabels(static_cast<unsigned>(from.labels.size()));
      for (unsigned k = 0; k < labels.size(); ++k)
        labels.set(k, from.labels[k]);
    }
    if (!from.base.name.empty()) {
      auto base = to.initBase();
      base.setTypeName(from.base.name);
      base.setTypeClass(from.base.type_class);
      base.setDimensions(from.base.dimensions);
      base.setTypeModifier(from.base.type_modifier);
    }
  }
}

table_info decode(schema::Table::Reader in) {
  table_info table;
  table.oid = in.getOid();
  table.schema = to_text(in.getSchema());
  table.name = to_text(in.getName());
  table.partitioned = in.getPartitioned();
  table.database_ordered_bytewise = in.getDatabaseOrderedBytewise();
  table.database_ctype = to_text(in.getDatabaseCtype());
  for (const auto from : in.getColumns()) {
    auto& column = table.columns.emplace_back();
    column.name = to_text(from.getName());
    column.type_oid = from.getTypeOid();
    column.type_modifier = from.getTypeModifier();
    column.type_name = to_text(from.getTypeName());
    column.type_class = to_text(from.getTypeClass());
    column.dimensions = from.getDimensions();
    column.not_null = from.getNotNull();
    column.key_index = from.getKeyIndex();
    column.generated = from.getGenerated();
    column.ordered_bytewise = from.getOrderedBytewise();
    column.deterministic = from.getDeterministic();
    column.interval_fields = to_text(from.getIntervalFields());
    column.number = from.getNumber();
    column.ctype = to_text(from.getCtype());
    column.enum_schema = to_text(from.getEnumType().getSchema());
    column.enum_name = to_text(from.getEnumType().getName());
    for (const auto label : from.getEnumType().getLabels())
      column.labels.push_back(to_text(label));
    column.base = {.name = to_text(from.getBase().getTypeName()),
                   .type_class = to_text(from.getBase().getTypeClass()),
                   .dimensions = from.getBase().getDimensions(),
                   .type_modifier = from.getBase().getTypeModifier()};
  }
  return table;
}

void encode(schema::TableFacts::Builder out, const table_facts& facts, const table_info* given) {
  if (given == nullptr || *given != facts.table)
    encode(out.initTable(), facts.table);
  fill(out.initPublishedBy(static_cast<unsigned>(facts.published_by.size())), facts.published_by);
  fill(out.initPublishedAbove(static_cast<unsigned>(facts.published_above.size())),
       facts.published_above);
  fill(out.initPlacedBy(static_cast<unsigned>(facts.placed_by.size())), facts.placed_by);
  out.setPublicationXid(facts.publication_xid);
  auto partitions = out.initPartitions(static_cast<unsigned>(facts.partitions.size()));
  for (unsigned i = 0; i < partitions.size(); ++i) {
    partitions[i].setOid(facts.partitions[i].oid);
    partitions[i].setAttachedXid(facts.partitions[i].attached_xid);
    partitions[i].setHeapFile(facts.partitions[i].files.heap);
    partitions[i].setToastTable(facts.partitions[i].files.toast);
  }
  out.setHeapFile(facts.files.heap);
  out.setToastTable(facts.files.toast);
  fill(out.initColumnXids(static_cast<unsigned>(facts.column_xids.size())), facts.column_xids);
}

table_facts decode(schema::TableFacts::Reader in, const table_info* given) {
  table_facts facts;
  facts.table = given != nullptr && !in.hasTable() ? *given : decode(in.getTable());
  facts.published_by = to_vector(in.getPublishedBy());
  facts.published_above = to_vector(in.getPublishedAbove());
  facts.placed_by = to_vector(in.getPlacedBy());
  facts.publication_xid = in.getPublicationXid();
  for (const auto partition : in.getPartitions())
    facts.partitions.push_back({.oid = partition.getOid(),
                                .attached_xid = partition.getAttachedXid(),
                                .files = {partition.getHeapFile(), partition.getToastTable()}});
  facts.files = {in.getHeapFile(), in.getToastTable()};
  facts.column_xids = to_vector(in.getColumnXids());
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
