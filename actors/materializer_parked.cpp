// Shapes that wait for rows that a move brings in: what is asked of the MOVE READERS, and what
// becomes of the answers. How it fits together is told in materializer_moves.cpp.
#include "actors/materializer_state.hpp"
#include "postgres/connection.hpp"
#include "shapes/tagged_rows.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace busbar {

namespace {

constexpr std::chrono::seconds task_patience{120};
/// PostgreSQL keeps its WAL for a shape that is parked.
constexpr std::chrono::minutes parked_patience{5};
constexpr std::chrono::milliseconds visibility_pause{20};
constexpr std::chrono::seconds failure_pause{1};
/// With more values, all rows that may be in the shape are read.
constexpr std::size_t values_max = 20'000;

/// What became of a value after a transaction.
struct turned_value {
  bool odd = false;               ///< It came or went, in the end.
  const set_move* last = nullptr; ///< In the journal.
};

std::string literal(const std::vector<std::string>& texts) {
  std::string text;
  for (const auto& part : texts) {
    text += text.empty() ? "" : ", ";
    text += postgres::quote_literal(part);
  }
  return texts.size() == 1 ? text : "(" + text + ")";
}

/// What must hold of a row, whatever the sets are: the disjuncts that ask one of the subqueries, as
/// if all memberships held. Empty if that is nothing.
std::string relaxed(const sql::subquery_plan& plan, const std::vector<bool>& asked) {
  std::string text;
  std::size_t begin = 0;
  for (const auto end : plan.disjunct_ends) {
    bool concerned = false;
    std::string all;
    for (auto i = begin; i < end; ++i) {
      const auto& position = plan.positions[i];
      if (!position.leaf) {
        concerned = concerned || asked[position.subquery];
        continue;
      }
      all += all.empty() ? "" : " AND ";
      all += (position.negated ? "(NOT (" : "((") + position.leaf->to_sql() + "))";
    }
    begin = end;
    if (!concerned)
      continue;
    if (all.empty())
      return {};
    text += (text.empty() ? "(" : " OR (") + all + ")";
  }
  return text;
}

} // namespace

void materializer_state::park(owned_shape& owned, std::uint64_t tx) {
  auto& asks = *owned.asks;
  asks.parked = true;
  asks.position = tx;
  asks.waits_since = std::chrono::steady_clock::now();
  writes.put_set_position(owned.log.shape()->id(), tx);
  owned.log.park(true);
  parked.insert(owned.log.shape()->id());
  plan_task(owned);
}

void materializer_state::plan_task(owned_shape& owned) {
  auto& asks = *owned.asks;
  const auto& definition = owned.log.shape()->definition();
  std::vector<bool> asked(asks.lag.size());
  std::size_t values = 0;
  for (std::size_t i = 0; i < asks.lag.size(); ++i) {
    asked[i] = !asks.lag[i].empty();
    values += asks.lag[i].size();
    asks.asked[i].clear();
    for (const auto& [value, late] : asks.lag[i])
      asks.asked[i].push_back(value);
  }
  std::set<std::string> members;
  if (values <= values_max)
    for (const auto& position : asks.plan->positions) {
      if (position.leaf || !asked[position.subquery])
        continue;
      std::vector<std::string> literals;
      for (const auto& [value, late] : asks.lag[position.subquery])
        literals.push_back(literal(late.texts));
      std::sort(literals.begin(), literals.end());
      std::string text = left_side(*definition.table, position) + " IN (";
      for (std::size_t i = 0; i < literals.size(); ++i)
        text += (i == 0 ? "" : ", ") + literals[i];
      members.insert(text + ")");
    }
  std::string condition;
  for (const auto& member : members)
    condition += (condition.empty() ? "((" : " OR (") + member + ")";
  if (!condition.empty())
    condition += ")";
  if (const auto rest = relaxed(*asks.plan, asked); !rest.empty())
    condition += (condition.empty() ? "(" : " AND (") + rest + ")";

  auto columns = definition.selected;
  const auto used = definition.filter->columns_used();
  columns.insert(columns.end(), used.begin(), used.end());
  std::sort(columns.begin(), columns.end());
  columns.erase(std::unique(columns.begin(), columns.end()), columns.end());

  for (auto& [what, members] : planned) // what it was to ask before
    std::erase(members, owned.log.shape()->id());
  // Shapes that would read the same rows share them.
  auto& task = planned[{definition.table.get(), columns, condition}];
  task.push_back(owned.log.shape()->id());
  asks.task = 0;
}

void materializer_state::start_tasks() {
  for (auto& [what, members] : std::exchange(planned, {})) {
    const auto number = ++last_task;
    const auto& [table, columns, condition] = what;
    std::shared_ptr<const table_info> shared;
    for (const auto id : members)
      if (const auto found = shapes.find(id); found != shapes.end() && found->second->asks) {
        found->second->asks->task = number;
        shared = found->second->log.shape()->definition().table;
      }
    if (!shared)
      continue;
    const auto task = std::make_shared<const move_task>(move_task{.number = number,
                                                                  .materializer = env.number,
                                                                  .table = shared,
                                                                  .columns = columns,
                                                                  .condition = condition});
    const auto& reader = others->move_readers[number % others->move_readers.size()];
    self->request(reader, task_patience, move_atom_v, task)
        .then([this, members,
               number](const move_outcome_ptr& outcome) { finish_task(members, number, *outcome); },
              [this, members, number](const caf::error& why) {
                move_outcome outcome;
                outcome.why = from_caf(why);
                outcome.failed = true;
                finish_task(members, number, outcome);
              });
  }
}

void materializer_state::finish_task(const std::vector<shape_id>& members, std::uint64_t number,
                                     const move_outcome& outcome) {
  if (outcome.failed)
    spdlog::warn("rows that a subquery brings in could not be read: {}", outcome.why.message);
  bool again = false;
  for (const auto id : members) {
    const auto found = shapes.find(id);
    if (found == shapes.end() || !found->second->asks)
      continue;
    auto& owned = *found->second;
    if (!owned.log.accepting() || !owned.asks->parked || owned.asks->task != number)
      continue;
    // An outage is not the shape's fault, and reset() counts from its end.
    const bool too_long =
        env.status->streaming() &&
        std::chrono::steady_clock::now() - owned.asks->waits_since > parked_patience;
    if (outcome.failed && (outcome.lasting || too_long))
      give_up(owned.log, "the rows that its subquery brings in cannot be read");
    else if (outcome.failed || applied_front || last_commit < reached ||
             !make_moves(owned, outcome))
      owned.asks->task = 0, again = true;
  }
  if (again)
    self->delayed_send(self, outcome.failed || applied_front ? failure_pause : visibility_pause,
                       move_atom_v);
  after_splice();
}

void materializer_state::plan_again() {
  if (disk_refuses || applied_front) {
    self->delayed_send(self, failure_pause, move_atom_v);
    return;
  }
  for (const auto id : parked)
    if (auto& owned = *shapes.at(id); owned.asks->task == 0)
      plan_task(owned);
  start_tasks();
}

void materializer_state::after_splice() {
  trim_aside();
  if (disk_refuses || applied_front || !write_out())
    return; // reported when they are written
  report();
}

std::optional<std::uint64_t> materializer_state::boundary(const snapshot& sees,
                                                          std::uint64_t from) const {
  // What has been forgotten must be older than what the snapshot begins with.
  if (recent_commits.size() >= recent_commits_max && recent_commits.front().second > from &&
      !sees.sees(recent_commits.front().first))
    return std::nullopt;
  auto upto = from;
  for (const auto& [xid, tx] : recent_commits)
    if (sees.sees(xid))
      upto = std::max(upto, tx);
  if (!sees_commits(sees, upto))
    return std::nullopt;
  return upto;
}

bool materializer_state::replay(owned_shape& owned, std::uint64_t after, std::uint64_t upto) {
  const late_shapes alone{{&owned}, {&owned.log}};
  for (const auto& kept : aside)
    if (owned.log.accepting())
      apply(kept.whole, &alone, kept.void_tx, after, upto);
  return owned.log.accepting();
}

bool materializer_state::make_moves(owned_shape& owned, const move_outcome& outcome) {
  auto& asks = *owned.asks;
  const auto upto = boundary(outcome.sees, asks.position);
  if (!upto || *upto < asks.floor)
    return false;
  owned.log.park(false);
  if (!replay(owned, asks.position, *upto))
    return true; // it was given up
  value_list shown;
  value_list hidden;
  std::unordered_map<const inner_set*, by_digest<turned_value>> turned; // after `upto`
  for (const auto* set : asks.views)
    if (auto& values = turned[set]; values.empty())
      for (const auto& move : set->journal)
        if (move.tx > *upto) {
          auto& value = values[move.value];
          value.odd = !value.odd;
          value.last = &move;
        }
  const auto turned_of = [&](std::uint16_t i, const digest& value) {
    const auto& values = turned[asks.views[i]];
    const auto found = values.find(value);
    return found == values.end() ? turned_value{} : found->second;
  };
  for (std::uint16_t i = 0; i < asks.asked.size(); ++i)
    for (const auto& value : asks.asked[i]) {
      const bool target = asks.views[i]->counts.contains(value) != turned_of(i, value).odd;
      if (asks.sees(i, value) != target)
        (target == asks.negated[i] ? hidden : shown).emplace_back(i, value);
    }
  auto before_view = asks.lag;
  const auto turn = [&](const value_list& values) {
    for (const auto& [i, value] : values)
      if (asks.lag[i].erase(value) == 0)
        if (const auto* move = turned_of(i, value).last)
          asks.lag[i].emplace(value, asker::late{move->xid, move->since, move->texts});
  };
  if (owned.set) {
    turn(hidden);
  } else {
    tell_moves(owned, *upto, "move-out", hidden);
    turn(hidden);
    before_view = asks.lag;
    tell_moves(owned, *upto, "move-in", shown);
  }
  turn(shown);
  if (!take_rows(owned, outcome, before_view, *upto)) {
    give_up(owned.log, "the where clause cannot be evaluated on a row of the table");
    return true;
  }
  commit_open(owned, *upto);
  go_on(owned, *upto);
  return true;
}

bool materializer_state::take_rows(owned_shape& owned, const move_outcome& outcome,
                                   const std::vector<by_digest<asker::late>>& before_view,
                                   std::uint64_t tx) {
  auto& asks = *owned.asks;
  const auto& definition = owned.log.shape()->definition();
  const auto now = [&](std::uint16_t i, const digest& value) { return asks.sees(i, value); };
  const auto then = [&](std::uint16_t i, const digest& value) {
    return asks.views[i]->counts.contains(value) != before_view[i].contains(value);
  };
  entry_encoder encoder{*definition.table, definition.selected, definition.replica_full};
  auto& [before, after] = judged;
  std::vector<sql::cell> read;
  std::vector<sql::cell> row(definition.table->columns.size());
  std::vector<sql::cell> selected;
  std::uint32_t xid = 0; // of one of the moves
  for (const auto& lag : before_view)
    for (const auto& [value, late] : lag)
      xid = late.xid;
  bool any = false;
  for (std::size_t r = 0; r < outcome.rows.count(); ++r) {
    outcome.rows.read(r, read);
    hasher->forget();
    for (std::size_t i = 0; i < read.size(); ++i)
      row[outcome.columns[i]] = read[i];
    if (!judge(*asks.plan, row, *hasher, then, before) ||
        !judge(*asks.plan, row, *hasher, now, after))
      return false;
    if (before.visible == after.visible)
      continue;
    if (owned.set) {
      if (!count(owned, row, after.visible ? +1 : -1, xid))
        return false;
      continue;
    }
    if (!after.visible)
      continue; // clients have been told by the move
    selected.clear();
    for (const auto index : definition.selected)
      selected.push_back(row[index]);
    std::string headers = ",\"is_move_in\":true";
    asks.tagger.append_headers(headers, after);
    std::string json;
    encoder.append_snapshot_row(json, selected, headers);
    append_move(owned, tx, std::move(json));
    any = true;
  }
  if (any)
    append_move(owned, tx,
                snapshot_end_json(outcome.sees.xmin, outcome.sees.xmax, outcome.sees.xip));
  return true;
}

void materializer_state::commit_open(owned_shape& owned, std::uint64_t tx) {
  if (touched.erase(&owned.log) > 0)
    commit_log(owned.log, tx);
}

void materializer_state::go_on(owned_shape& owned, std::uint64_t from) {
  const auto now = std::max(last_commit, from);
  if (!replay(owned, from, now))
    return;
  if (owned.asks) {
    owned.asks->parked = false;
    owned.asks->steady_since = now;
    owned.asks->task = 0;
    parked.erase(owned.log.shape()->id());
  }
  if (owned.set)
    end_set(owned, now);
  if (owned.asks) {
    settle(owned, now);
    commit_open(owned, now);
    trim_journals(*owned.asks);
  }
  if (!owned.asks || !owned.asks->parked)
    replay(owned, now, ~std::uint64_t{0}); // the part of the open transaction that has come by
}

} // namespace busbar
