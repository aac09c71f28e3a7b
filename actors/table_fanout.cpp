#include "actors/table_fanout.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace busbar {

namespace {

/// A shape without a clause has every row.
const std::array<sql::conjunction, 1> every_row{sql::conjunction{.atoms = {}, .complete = true}};

constexpr const char* unanswerable = "the where clause cannot be evaluated on a row of the table";

row_effect effect_of(bool was_in, bool is_in) {
  return was_in && is_in ? row_effect::update
         : is_in         ? row_effect::insert
         : was_in        ? row_effect::remove
                         : row_effect::none;
}

} // namespace

// -- shapes come and go ---------------------------------------------------------------------------

void table_fanout::add(shape_log_writer& log) {
  const auto& shape = log.shape()->definition();
  auto& view = view_of(shape.table);
  auto& bytes = encoding_of(view, shape);
  auto& demand = demand_of(view, shape);
  const auto filter = filter_of(view, *log.shape());
  ++bytes.users;
  ++view.members;
  if (free_seats_.empty()) {
    log.seat = static_cast<std::uint32_t>(members_.size());
    members_.emplace_back();
  } else {
    log.seat = free_seats_.back();
    free_seats_.pop_back();
  }
  members_[log.seat] = {.log = &log,
                        .bytes = &bytes,
                        .demand = &demand,
                        .filter = filter,
                        .judges = shape.is_set() || !shape.inner.empty()};
  link(view.filters[filter].first, log.seat, &member::in_filter);
  link(demand.first, log.seat, &member::in_demand);
}

void table_fanout::remove(shape_log_writer& log) {
  if (log.seat == shape_log_writer::no_seat)
    return;
  const auto seat = std::exchange(log.seat, shape_log_writer::no_seat);
  auto& gone = members_[seat];
  auto& demand = *gone.demand;
  auto& bytes = *gone.bytes;
  auto& view = *demand.view;
  const auto filter = gone.filter;
  unlink(view.filters[filter].first, seat, &member::in_filter);
  unlink(demand.first, seat, &member::in_demand);
  gone = {};
  free_seats_.push_back(seat);
  if (--view.members == 0) {
    std::erase_if(views_, [&](const auto& v) { return v.get() == &view; });
    return;
  }
  if (view.filters[filter].first == none)
    drop(view, filter);
  if (demand.first == none)
    drop(view, demand);
  if (--bytes.users == 0) {
    const auto& shape = log.shape()->definition();
    view.encodings.erase({shape.selected, shape.replica_full});
  }
}

void table_fanout::link(std::uint32_t& first, std::uint32_t seat, member::links member::*where) {
  members_[seat].*where = {.before = none, .after = first};
  if (first != none)
    (members_[first].*where).before = seat;
  first = seat;
}

void table_fanout::unlink(std::uint32_t& first, std::uint32_t seat, member::links member::*where) {
  const auto [before, after] = members_[seat].*where;
  (before != none ? (members_[before].*where).after : first) = after;
  if (after != none)
    (members_[after].*where).before = before;
}

const shape_log_writer& table_fanout::any() const {
  return *std::find_if(members_.begin(), members_.end(), [](const member& m) {
            return m.log != nullptr;
          })->log;
}

table_fanout::table_view& table_fanout::view_of(const std::shared_ptr<const table_info>& table) {
  const auto view = std::find_if(views_.begin(), views_.end(), [&](const auto& v) {
    return v->table == table || *v->table == *table;
  });
  if (view != views_.end())
    return **view;
  auto& made = *views_.emplace_back(std::make_unique<table_view>());
  made.table = table;
  return made;
}

routing_index::target table_fanout::filter_of(table_view& view, const shape_state& state) {
  const auto& shape = state.definition();
  std::unique_ptr<const std::string> with_sets;
  std::vector<set_number> sets;
  if (!state.inner().empty()) {
    std::string name;
    for (const auto id : state.inner()) {
      // Another set, although the subquery is the same: one of the two is about to go.
      sets.push_back(set_number_of(id));
      name += std::to_string(storage::to_number(id)) + ' ';
    }
    with_sets = std::make_unique<const std::string>(name.append(shape.filter->canonical()));
  }
  const auto clause = with_sets      ? std::string_view{*with_sets}
                      : shape.filter ? shape.filter->canonical()
                                     : std::string_view{};
  const auto hash = std::hash<std::string_view>{}(clause);
  if (const auto known = view.by_clause.find(
          hash, [&](std::uint32_t number) { return view.filters[number].clause() == clause; });
      known != number_table::none)
    return known;
  routing_index::target made = 0;
  if (view.free_numbers.empty()) {
    made = static_cast<routing_index::target>(view.filters.size());
    view.filters.emplace_back();
  } else {
    made = view.free_numbers.back();
    view.free_numbers.pop_back();
  }
  view.filters[made].filter = shape.filter;
  view.filters[made].with_sets = std::move(with_sets);
  view.by_clause.insert(hash, made);
  if (!sets.empty()) {
    const auto entries = entries_of(*shape.filter);
    view.index.add(made, entries.plain);
    view.memberships.add(made, entries.memberships, sets);
  } else if (shape.filter) {
    view.index.add(made, shape.filter->conjunctions());
  } else {
    view.index.add(made, every_row);
  }
  return made;
}

void table_fanout::drop(table_view& view, routing_index::target filter) {
  view.index.remove(filter);
  view.memberships.remove(filter);
  view.by_clause.erase(std::hash<std::string_view>{}(view.filters[filter].clause()), filter);
  view.filters[filter] = {};
  view.free_numbers.push_back(filter);
}

table_fanout::encoding& table_fanout::encoding_of(table_view& view, const shape_definition& shape) {
  encoding_key key{shape.selected, shape.replica_full};
  if (const auto found = view.encodings.find(key); found != view.encodings.end())
    return found->second;
  encoding made{.encoder = {*shape.table, shape.selected, shape.replica_full}};
  return view.encodings.emplace(std::move(key), std::move(made)).first->second;
}

table_fanout::demand_group& table_fanout::demand_of(table_view& view,
                                                    const shape_definition& shape) {
  demand_key needs{shape.selected,
                   shape.selects_all && shape.selected.size() == view.table->columns.size()};
  if (shape.filter) {
    const auto used = shape.filter->columns_used();
    std::vector<std::uint16_t> both;
    std::set_union(shape.selected.begin(), shape.selected.end(), used.begin(), used.end(),
                   std::back_inserter(both));
    needs.first = std::move(both);
  }
  const auto [place, is_new] = view.demands.try_emplace(std::move(needs));
  auto& demand = place->second;
  if (is_new) {
    demand.view = &view;
    demand.needs = &place->first;
    for (auto& [oid, map] : view.maps)
      if (std::string why; !meets(view, map, sources_.at(oid), *demand.needs, why))
        map.misfits.emplace_back(&demand, why);
  }
  return demand;
}

void table_fanout::drop(table_view& view, demand_group& demand) {
  for (auto& [oid, map] : view.maps)
    std::erase_if(map.misfits, [&](const auto& misfit) { return misfit.first == &demand; });
  view.demands.erase(view.demands.find(*demand.needs));
}

void table_fanout::for_each(const std::function<void(shape_log_writer&)>& visit) {
  // A visit may remove shapes, so it goes over a copy.
  std::vector<shape_log_writer*> logs;
  logs.reserve(members_.size());
  for (const auto& member : members_)
    if (member.log)
      logs.push_back(member.log);
  for (auto* log : logs)
    visit(*log);
}

// -- what the stream says of the table ------------------------------------------------------------

void table_fanout::describe(const stream_relation& relation) {
  sources_[relation.oid] = relation;
  for (auto& view : views_)
    view->maps.erase(relation.oid);
}

table_fanout::source_map table_fanout::make_map(table_view& view, const stream_relation& relation) {
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
  for (auto& [needs, demand] : view.demands)
    if (std::string why; !meets(view, map, relation, needs, why))
      map.misfits.emplace_back(&demand, why);
  return map;
}

bool table_fanout::meets(const table_view& view, const source_map& map,
                         const stream_relation& relation, const demand_key& needs,
                         std::string& why) {
  if (!map.mismatch.empty()) {
    why = map.mismatch;
    return false;
  }
  const auto missing = std::find_if(needs.first.begin(), needs.first.end(),
                                    [&](auto index) { return map.from_stream[index] < 0; });
  if (missing != needs.first.end()) {
    why = "column \"" + view.table->columns[*missing].name + "\" was dropped, renamed or retyped";
    return false;
  }
  if (needs.second && view.table->columns.size() != relation.columns.size()) {
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

std::string table_fanout::read_rows(table_view& view, const schema::Frame::Reader& frame,
                                    const schema::Change::Reader& change) {
  auto map = view.maps.find(change.getRelation());
  if (map == view.maps.end()) {
    const auto source = sources_.find(change.getRelation());
    if (source == sources_.end())
      return "the stream has not described the table";
    map = view.maps.emplace(source->first, make_map(view, source->second)).first;
  }
  const bool has_old = change.getOldBytes() > 0;
  const bool has_new = change.getNewBytes() > 0;
  if (change.getKeyOnly() || (change.getKind() != schema::Change::Kind::INSERT && !has_old))
    return "the table has lost REPLICA IDENTITY FULL";
  const auto rows = frame.getRows();
  const auto image = [&](std::uint32_t from, std::uint32_t bytes) {
    return std::string_view{reinterpret_cast<const char*>(rows.begin()) + from, bytes};
  };
  const auto& order = map->second.from_stream;
  if ((has_old &&
       !parse(image(change.getOldAt(), change.getOldBytes()), order, stream_cells_, old_cells_)) ||
      (has_new &&
       !parse(image(change.getNewAt(), change.getNewBytes()), order, stream_cells_, new_cells_)))
    return "a row of the stream does not have the columns that the stream announced";
  return {};
}

// -- a change -------------------------------------------------------------------------------------

void table_fanout::route(const schema::Frame::Reader& frame, const schema::Change::Reader& change,
                         const change_position& at, const sink& to) {
  ++change_;
  losses lost;
  const auto lose = [&](const demand_group& demand, const std::string& why) {
    for_each_of(demand.first, &member::in_demand, [&](const member& one) {
      if (to.wanted(*one.log))
        lost.emplace_back(one.log, why);
      else if (one.judges && to.passed)
        to.passed(*one.log, true, true);
    });
  };
  const auto give_up_lost = [&] {
    for (const auto& [log, why] : lost)
      to.broken(*log, why);
    lost.clear();
  };
  // Giving a shape up takes it out of its view, and with the last shape the view goes.
  for (std::size_t v = 0; v < views_.size();) {
    auto* view = views_[v].get();
    const auto is_there = [&] { return v < views_.size() && views_[v].get() == view; };
    const auto trouble = read_rows(*view, frame, change);
    if (trouble.empty())
      for (const auto& [demand, why] : view->maps.at(change.getRelation()).misfits)
        lose(*demand, why);
    else
      for (const auto& [needs, demand] : view->demands)
        lose(demand, trouble);
    give_up_lost();
    if (trouble.empty() && is_there()) {
      find_candidates(*view, change.getOldBytes() > 0, change.getNewBytes() > 0, to);
      route_in(*view, at, to, lost);
      give_up_lost();
    }
    if (is_there())
      ++v;
  }
}

void table_fanout::route_one(shape_log_writer& log, const schema::Frame::Reader& frame,
                             const schema::Change::Reader& change, bool old_row, bool new_row,
                             const sink& to) {
  if (log.seat == shape_log_writer::no_seat)
    return;
  const auto one = members_[log.seat];
  auto& view = *one.demand->view;
  auto trouble = read_rows(view, frame, change);
  if (trouble.empty())
    for (const auto& [demand, why] : view.maps.at(change.getRelation()).misfits)
      if (demand == one.demand)
        trouble = why;
  if (trouble.empty() &&
      !to.judge(log, old_row && change.getOldBytes() > 0 ? row_cells{old_cells_} : row_cells{},
                new_row && change.getNewBytes() > 0 ? row_cells{new_cells_} : row_cells{},
                one.bytes->encoder))
    trouble = unanswerable;
  if (!trouble.empty())
    to.broken(log, trouble);
}

void table_fanout::find_candidates(table_view& view, bool has_old, bool has_new, const sink& to) {
  candidates_.clear();
  if (to.hasher)
    to.hasher->forget(); // other views have read the cells into the same place
  if (has_old)
    ask(view, old_cells_, &filter_group::before, to);
  if (has_new)
    ask(view, new_cells_, &filter_group::after, to);
}

void table_fanout::ask(table_view& view, row_cells row, sql::truth filter_group::*answer,
                       const sink& to) {
  view.index.find(row, found_);
  const auto add = [&](routing_target who) { found_.push_back({.who = who, .certain = false}); };
  if (to.hasher && to.sets)
    view.memberships.find(row, *to.hasher, *to.sets, add);
  else
    view.memberships.for_each(add);
  for (const auto& [number, certain] : found_) {
    auto& filter = view.filters[number];
    if (!filter.is_candidate) {
      filter.is_candidate = true;
      filter.before = filter.after = sql::truth::no;
      candidates_.push_back(number);
    }
    // Only the sink knows what subqueries select.
    const bool is_open = !filter.filter || filter.filter->subqueries() != nullptr;
    filter.*answer = certain || is_open ? sql::truth::yes : filter.judge(row);
  }
}

void table_fanout::route_in(table_view& view, const change_position& at, const sink& to,
                            losses& lost) {
  for (const auto number : candidates_) {
    auto& filter = view.filters[number];
    filter.is_candidate = false;
    if (filter.before == sql::truth::failed || filter.after == sql::truth::failed) {
      // PostgreSQL would fail the shape's query on this row, so there is no right answer.
      for_each_of(filter.first, &member::in_filter, [&](const member& one) {
        if (to.wanted(*one.log))
          lost.emplace_back(one.log, unanswerable);
      });
      continue;
    }
    const auto effect =
        effect_of(filter.before == sql::truth::yes, filter.after == sql::truth::yes);
    if (effect != row_effect::none)
      deliver(filter, effect, at, to, lost);
  }
}

void table_fanout::deliver(const filter_group& filter, row_effect effect, const change_position& at,
                           const sink& to, losses& lost) {
  const auto slot = static_cast<std::size_t>(effect);
  for_each_of(filter.first, &member::in_filter, [&](const member& one) {
    if (!to.wanted(*one.log)) {
      if (one.judges && to.passed)
        to.passed(*one.log, filter.before == sql::truth::yes, filter.after == sql::truth::yes);
      return;
    }
    auto& bytes = *one.bytes;
    if (one.judges) {
      const auto image = [](sql::truth holds, const std::vector<sql::cell>& cells) {
        return holds == sql::truth::yes ? row_cells{cells} : row_cells{};
      };
      if (!to.judge(*one.log, image(filter.before, old_cells_), image(filter.after, new_cells_),
                    bytes.encoder))
        lost.emplace_back(one.log, unanswerable);
      return;
    }
    if (bytes.change != change_) {
      bytes.change = change_;
      bytes.is_made.fill(false);
    }
    if (!bytes.is_made[slot]) {
      bytes.made[slot].clear();
      bytes.encoder.encode(effect, old_cells_, new_cells_, at, bytes.made[slot]);
      bytes.is_made[slot] = true;
    }
    if (!bytes.made[slot].empty())
      to.affected(*one.log, bytes.made[slot], bytes.users == 1);
  });
}

} // namespace busbar
