#include "actors/table_fanout.hpp"

#include <algorithm>

namespace busbar {

namespace {

std::string clause_of(const shape_log_writer& log) {
  const auto& filter = log.shape()->definition().filter;
  return filter ? filter->canonical() : std::string{};
}

} // namespace

void table_fanout::add(shape_log_writer& log) {
  const auto& shape = log.shape()->definition();
  auto view = std::find_if(views_.begin(), views_.end(),
                           [&](const auto& v) { return *v->table == *shape.table; });
  if (view == views_.end()) {
    views_.push_back(std::make_unique<table_view>());
    view = std::prev(views_.end());
    (*view)->table = shape.table;
  }
  auto& encodings = (*view)->encodings;
  auto encoding = std::find_if(encodings.begin(), encodings.end(), [&](const auto& e) {
    return e->selected == shape.selected && e->replica_full == shape.replica_full;
  });
  if (encoding == encodings.end()) {
    encodings.push_back(std::make_unique<table_view::encoding>(
        table_view::encoding{.selected = shape.selected,
                             .replica_full = shape.replica_full,
                             .encoder = {*shape.table, shape.selected, shape.replica_full}}));
    encoding = std::prev(encodings.end());
  }
  ++(*encoding)->users;
  auto& group = (*view)->filters[clause_of(log)];
  group.filter = shape.filter;
  (*view)->maps.clear(); // the new shape's columns have to be looked at
  group.members.push_back({&log, static_cast<std::size_t>(encoding - encodings.begin())});
}

void table_fanout::remove(const shape_log_writer& log) {
  for (auto view = views_.begin(); view != views_.end(); ++view) {
    auto& filters = (*view)->filters;
    const auto filter = filters.find(clause_of(log));
    if (filter == filters.end())
      continue;
    auto& members = filter->second.members;
    const auto member =
        std::find_if(members.begin(), members.end(), [&](const auto& m) { return m.log == &log; });
    if (member == members.end())
      continue;
    --(*view)->encodings[member->encoding]->users;
    *member = members.back();
    members.pop_back();
    for (auto& [oid, map] : (*view)->maps)
      std::erase_if(map.misfits, [&](const auto& misfit) { return misfit.first == &log; });
    if (members.empty())
      filters.erase(filter);
    if (filters.empty())
      views_.erase(view);
    return;
  }
}

void table_fanout::describe(const stream_relation& relation) {
  sources_[relation.oid] = relation;
  for (auto& view : views_)
    view->maps.erase(relation.oid);
}

const shape_log_writer& table_fanout::any() const {
  return *views_.front()->filters.begin()->second.members.front().log;
}

void table_fanout::for_each(const std::function<void(shape_log_writer&)>& visit) {
  // A visit may remove shapes, so it goes over a copy.
  std::vector<shape_log_writer*> logs;
  for (const auto& view : views_)
    for (const auto& [clause, filter] : view->filters)
      for (const auto& member : filter.members)
        logs.push_back(member.log);
  for (auto* log : logs)
    visit(*log);
}

table_fanout::source_map table_fanout::make_map(const table_view& view,
                                                const stream_relation& relation) {
  source_map map;
  map.from_stream.assign(view.table->columns.size(), -1);
  for (std::size_t i = 0; i < view.table->columns.size(); ++i)
    for (std::size_t j = 0; j < relation.columns.size(); ++j)
      if (view.table->columns[i].name == relation.columns[j].name &&
          view.table->columns[i].type_oid == relation.columns[j].type_oid)
        map.from_stream[i] = static_cast<std::int32_t>(j);
  if (view.table->oid == relation.oid &&
      (view.table->schema != relation.schema || view.table->name != relation.name))
    map.mismatch = "the table was renamed";
  for (const auto& [clause, filter] : view.filters)
    for (const auto& member : filter.members)
      if (std::string why; !fits(view, map, relation, member.log->shape()->definition(), why))
        map.misfits.emplace_back(member.log, why);
  return map;
}

bool table_fanout::fits(const table_view& view, const source_map& map,
                        const stream_relation& relation, const shape_definition& shape,
                        std::string& why) {
  if (!map.mismatch.empty()) {
    why = map.mismatch;
    return false;
  }
  const auto missing = [&](std::uint16_t index) {
    if (map.from_stream[index] >= 0)
      return false;
    why = "column \"" + view.table->columns[index].name + "\" was dropped, renamed or retyped";
    return true;
  };
  if (std::any_of(shape.selected.begin(), shape.selected.end(), missing))
    return false;
  if (shape.filter) {
    const auto used = shape.filter->columns_used();
    if (std::any_of(used.begin(), used.end(), missing))
      return false;
  }
  if (shape.selects_all && shape.selected.size() == view.table->columns.size() &&
      shape.selected.size() != relation.columns.size()) {
    why = "a column was added to the table";
    return false;
  }
  return true;
}

bool table_fanout::parse(std::string_view image, const std::vector<std::int32_t>& from_stream,
                         std::vector<sql::cell>& stream_cells, std::vector<sql::cell>& cells) {
  row_image row{image};
  stream_cells.clear();
  bool is_null = false;
  std::string_view text;
  while (row.next(is_null, text)) {
    if (is_null)
      stream_cells.emplace_back(std::nullopt);
    else
      stream_cells.emplace_back(text);
  }
  if (stream_cells.size() != row.column_count())
    return false;
  cells.clear();
  for (const auto from : from_stream) {
    if (from < 0)
      cells.emplace_back(std::nullopt);
    else if (static_cast<std::size_t>(from) < stream_cells.size())
      cells.push_back(stream_cells[static_cast<std::size_t>(from)]);
    else
      return false;
  }
  return true;
}

void table_fanout::route(const schema::Frame::Reader& frame, const schema::Change::Reader& change,
                         const change_position& at, const sink& to) {
  const auto rows = frame.getRows();
  const auto image = [&](std::uint32_t from, std::uint32_t bytes) {
    return std::string_view{reinterpret_cast<const char*>(rows.begin()) + from, bytes};
  };
  const bool has_old = change.getOldBytes() > 0;
  const bool has_new = change.getNewBytes() > 0;
  const auto kind = change.getKind();
  const bool lacks_old = change.getKeyOnly() || (kind != schema::Change::Kind::INSERT && !has_old);

  const auto source = sources_.find(change.getRelation());

  // Giving a shape up takes it out of its view, and with the last shape the view goes.
  for (std::size_t v = 0; v < views_.size();) {
    auto* view = views_[v].get();
    std::string trouble;
    auto found = view->maps.find(change.getRelation());
    if (found == view->maps.end()) {
      if (source == sources_.end())
        trouble = "the stream has not described the table";
      else
        found = view->maps.emplace(source->first, make_map(*view, source->second)).first;
    }
    if (trouble.empty() && lacks_old)
      trouble = "the table has lost REPLICA IDENTITY FULL";
    if (trouble.empty() &&
        ((has_old && !parse(image(change.getOldAt(), change.getOldBytes()),
                            found->second.from_stream, stream_cells_, old_cells_)) ||
         (has_new && !parse(image(change.getNewAt(), change.getNewBytes()),
                            found->second.from_stream, stream_cells_, new_cells_))))
      trouble = "a row of the stream does not have the columns that the stream announced";
    std::vector<std::pair<shape_log_writer*, std::string>> lost;
    if (!trouble.empty()) {
      for (const auto& [clause, filter] : view->filters)
        for (const auto& member : filter.members)
          if (to.wanted(*member.log))
            lost.emplace_back(member.log, trouble);
    } else {
      for (const auto& [log, why] : found->second.misfits)
        if (to.wanted(*log))
          lost.emplace_back(log, why);
    }
    for (const auto& [log, why] : lost)
      to.broken(*log, why);
    if (v >= views_.size() || views_[v].get() != view)
      continue;
    if (trouble.empty())
      route_in(*view, has_old, has_new, at, to);
    if (v < views_.size() && views_[v].get() == view)
      ++v;
  }
}

void table_fanout::route_in(table_view& view, bool has_old, bool has_new, const change_position& at,
                            const sink& to) {
  for (auto& encoding : view.encodings)
    encoding->is_made.fill(false);
  std::vector<std::pair<shape_log_writer*, const char*>> lost;
  for (auto& [clause, group] : view.filters) {
    auto before = has_old ? sql::truth::yes : sql::truth::no;
    auto after = has_new ? sql::truth::yes : sql::truth::no;
    if (group.filter) {
      if (has_old)
        before = group.filter->evaluate(old_cells_);
      if (has_new)
        after = group.filter->evaluate(new_cells_);
    }
    if (before == sql::truth::failed || after == sql::truth::failed) {
      // PostgreSQL would fail the shape's query on this row, so there is no right answer.
      for (const auto& member : group.members)
        if (to.wanted(*member.log))
          lost.emplace_back(member.log,
                            "the where clause cannot be evaluated on a row of the table");
      continue;
    }
    const bool was_in = before == sql::truth::yes;
    const bool is_in = after == sql::truth::yes;
    const auto effect = was_in && is_in ? row_effect::update
                        : is_in         ? row_effect::insert
                        : was_in        ? row_effect::remove
                                        : row_effect::none;
    if (effect == row_effect::none)
      continue;
    for (const auto& member : group.members) {
      if (!to.wanted(*member.log))
        continue;
      auto& encoding = *view.encodings[member.encoding];
      const auto slot = static_cast<std::size_t>(effect);
      if (!encoding.is_made[slot]) {
        encoding.made[slot].clear();
        encoding.encoder.encode(effect, old_cells_, new_cells_, at, encoding.made[slot]);
        encoding.is_made[slot] = true;
      }
      if (encoding.made[slot].empty())
        continue;
      const bool may_take = encoding.users == 1;
      to.affected(*member.log, encoding.made[slot], may_take);
    }
  }
  for (const auto& [log, why] : lost)
    to.broken(*log, why);
}

} // namespace busbar
