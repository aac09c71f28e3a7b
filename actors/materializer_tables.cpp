#include "actors/materializer_state.hpp"
#include "shapes/table_record.hpp"
#include "shapes/upkeep.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <utility>

namespace busbar {

std::uint32_t materializer_state::take_relations(const schema::Frame::Reader& root,
                                                 std::uint32_t next, std::uint32_t before_change) {
  const auto relations = root.getRelations();
  for (; next < relations.size() && relations[next].getBeforeChange() <= before_change; ++next) {
    const auto from = relations[next];
    stream_relation relation{.oid = from.getOid(),
                             .schema = from.getSchema().cStr(),
                             .name = from.getName().cStr(),
                             .columns = {},
                             .identity_full = from.getIdentityFull()};
    for (const auto column : from.getColumns())
      relation.columns.push_back({column.getName().cStr(), column.getTypeOid()});
    for (const auto ancestor : from.getAncestors())
      relation.ancestors.push_back({ancestor.getOid(), ancestor.getAttachedXid()});
    if (const auto before = relations_seen.find(relation.oid);
        before != relations_seen.end() &&
        (!relation.continues(before->second) || before->second.ancestors != relation.ancestors)) {
      give_up_awaiting(before->second);
      give_up_awaiting(relation);
      leave(before->second, relation);
    }
    const auto& seen = relations_seen[relation.oid] = std::move(relation);
    routed_oid = 0;
    for (auto* table : fanouts_of(seen.oid)) {
      table->describe(seen);
      if (!seen.ancestors.empty())
        table->for_each([&](shape_log_writer& log) { check_attached(log, seen); });
      if (!table->empty() && !seen.identity_full && !seen.ancestors.empty())
        self->send(others->directory, mend_atom_v, table->any().shape());
    }
  }
  return next;
}

const std::vector<table_fanout*>& materializer_state::fanouts_of(std::uint32_t oid) {
  if (routed_oid == oid)
    return routed;
  routed.clear();
  routed_oid = oid;
  const auto add = [&](std::uint32_t table) {
    if (const auto found = tables.find(table); found != tables.end())
      routed.push_back(&found->second);
  };
  add(oid);
  if (const auto seen = relations_seen.find(oid); seen != relations_seen.end())
    for (const auto& ancestor : seen->second.ancestors)
      add(ancestor.oid);
  return routed;
}

void materializer_state::check_attached(shape_log_writer& log, const stream_relation& relation) {
  const auto table = log.shape()->definition().table->oid;
  if (relation.oid == table)
    return;
  for (const auto& ancestor : relation.ancestors) {
    if (ancestor.attached_xid > 0 && log.misses(ancestor.attached_xid)) {
      give_up(log, "a table was attached to it as a partition");
      return;
    }
    if (ancestor.oid == table)
      return;
  }
}

void materializer_state::leave(const stream_relation& before, const stream_relation& now) {
  for (const auto& ancestor : before.ancestors) {
    const auto table = tables.find(ancestor.oid);
    if (table == tables.end() || now.feeds(ancestor.oid))
      continue;
    table->second.for_each([&](shape_log_writer& log) {
      const auto& known = shapes.at(log.shape()->id())->known;
      if (known && std::any_of(known->facts->partitions.begin(), known->facts->partitions.end(),
                               [&](const auto& p) { return p.oid == before.oid; }))
        give_up(log, "a partition was detached");
    });
  }
}

void materializer_state::take_tables(const schema::Frame::Reader& root, const late_shapes* only) {
  if (root.getTables().size() == 0)
    return;
  const auto seen = decode(root.getTablesSeen());
  for (const auto facts : root.getTables())
    if (tables.contains(facts.getTable().getOid()))
      compare(std::make_shared<const table_facts>(decode(facts)), seen, only);
}

void materializer_state::note(const catalog_facts& found) {
  for (const auto& facts : found.tables)
    compare(facts, found.seen, nullptr);
  if (!disk_refuses)
    (void)write_out();
}

void materializer_state::compare(const facts_ptr& facts, const snapshot& seen,
                                 const late_shapes* only) {
  const auto table = tables.find(facts->table.oid);
  if (table == tables.end())
    return;
  facts_ptr equal; // most shapes of a table know the same, so one look is enough
  const auto now = std::make_shared<const storage::known_facts>(storage::known_facts{facts, seen});
  table->second.for_each([&](shape_log_writer& log) {
    auto& owned = *shapes.at(log.shape()->id());
    auto& known = owned.known;
    // A frame may have been read before the shape's snapshot was taken, or before the catalog that
    // the reconciler has told of meanwhile.
    if ((only && !only->has(log)) || !log.accepting() || (known && !seen.covers(known->seen)))
      return;
    if (known && (known->facts == equal || *known->facts == *facts)) {
      equal = std::exchange(known, now)->facts;
      return;
    }
    const auto& shape = log.shape()->definition();
    const auto fault =
        known ? fault_of(shape, *known->facts, known->seen, *facts) : fault_of(shape, facts->table);
    if (fault.empty())
      keep_facts(std::array{&owned}, facts, seen);
    else
      give_up(log, fault);
  });
}

void materializer_state::keep_facts(std::span<owned_shape* const> known_by, const facts_ptr& facts,
                                    const snapshot& seen) {
  auto& shared = facts_kept[facts->table.oid]; // each snapshot reads its own
  if (!shared || *shared != *facts)
    shared = facts;
  const auto& defined = *known_by.front()->log.shape()->definition().table;
  const bool as_defined = facts->table == defined;
  std::vector<shape_id> ids;
  ids.reserve(known_by.size());
  const auto known =
      std::make_shared<const storage::known_facts>(storage::known_facts{shared, seen});
  for (auto* owned : known_by) {
    const bool is_new = !owned->known;
    owned->known = known;
    if (!is_new || !as_defined)
      owned->log.shape()->follow(facts->table);
    ids.push_back(owned->log.shape()->id());
  }
  writes.put_facts(ids, *facts, seen, defined);
}

} // namespace busbar
