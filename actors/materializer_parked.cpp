// Shapes that wait for rows that a move brings in: what is asked of the MOVE READERS, and what
// becomes of the answers. How it fits together is told in materializer_moves.cpp.
#include "actors/materializer_state.hpp"
#include "postgres/connection.hpp"
#include "shapes/tagged_rows.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <tuple>

namespace busbar {

namespace {

constexpr std::chrono::seconds task_patience{120};
constexpr std::chrono::milliseconds visibility_pause{20};
constexpr std::chrono::seconds failure_pause{1};
/// With more values, all rows that may be in the shape are read.
constexpr std::size_t values_max = 20'000;
/// Questions in a batch, and how long they may be together.
constexpr std::size_t batch_max = 500;
constexpr std::size_t batch_bytes_max = 4u << 20;

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
      all.append(position.negated ? "(NOT (" : "((").append(position.leaf->to_sql()).append("))");
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
  queue(owned);
}

void materializer_state::queue(owned_shape& owned) {
  owned.asks->task = 0;
  if (std::exchange(owned.asks->queued, true))
    return;
  owned.asks->queued_since = std::chrono::steady_clock::now();
  to_ask.push_back(owned.log.shape()->id());
}

move_task materializer_state::plan_task(owned_shape& owned) {
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
  std::string condition = values == 0 ? "false" : ""; // it only learns where it stands
  for (const auto& member : members)
    condition += (condition.empty() ? "((" : " OR (") + member + ")";
  if (!members.empty())
    condition += ")";
  if (const auto rest = values == 0 ? std::string{} : relaxed(*asks.plan, asked); !rest.empty())
    condition += (condition.empty() ? "(" : " AND (") + rest + ")";

  auto columns = definition.selected;
  const auto used = definition.filter->columns_used();
  columns.insert(columns.end(), used.begin(), used.end());
  std::sort(columns.begin(), columns.end());
  columns.erase(std::unique(columns.begin(), columns.end()), columns.end());

  return {.table = definition.table, .columns = std::move(columns), .condition = condition};
}

void materializer_state::start_tasks() {
  readers_busy.resize(others->move_readers.size());
  for (std::size_t i = 0; i < readers_busy.size() && !to_ask.empty(); ++i)
    if (const auto reader = (i + env.number) % readers_busy.size(); !readers_busy[reader])
      start_batch(reader);
}

void materializer_state::start_batch(std::size_t reader) {
  auto batch = std::make_shared<move_batch>(move_batch{.materializer = env.number, .tasks = {}});
  batch_members members{.number = ++last_task, .reader = reader, .of = {}};
  // Shapes that would read the same rows share them.
  std::map<std::tuple<const table_info*, std::vector<std::uint16_t>, std::string>, std::size_t>
      known;
  std::size_t bytes = 0;
  while (!to_ask.empty() && batch->tasks.size() < batch_max && bytes < batch_bytes_max) {
    const auto id = to_ask.front();
    to_ask.pop_front();
    const auto found = shapes.find(id);
    if (found == shapes.end() || !found->second->asks ||
        !std::exchange(found->second->asks->queued, false) || !found->second->asks->parked)
      continue;
    env.metrics->move_wait.Observe(std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                                                 found->second->asks->queued_since)
                                       .count());
    auto task = plan_task(*found->second);
    found->second->asks->task = members.number;
    const auto [place, is_new] =
        known.try_emplace({task.table.get(), task.columns, task.condition}, batch->tasks.size());
    if (is_new) {
      bytes += task.condition.size();
      batch->tasks.push_back(std::move(task));
      members.of.emplace_back();
    }
    members.of[place->second].push_back(id);
  }
  if (batch->tasks.empty())
    return;
  readers_busy[reader] = true;
  self->request(others->move_readers[reader], task_patience, move_atom_v, move_batch_ptr{batch})
      .then([this, batch, members](
                const move_outcomes_ptr& outcomes) { finish_batch(*batch, members, *outcomes); },
            [this, batch, members](const caf::error& why) {
              move_outcomes outcomes;
              outcomes.of.assign(
                  batch->tasks.size(),
                  {.is = move_outcome::state::failed, .rows = {}, .why = from_caf(why)});
              finish_batch(*batch, members, outcomes);
            });
}

void materializer_state::finish_batch(const move_batch& batch, const batch_members& members,
                                      const move_outcomes& outcomes) {
  using state = move_outcome::state;
  readers_busy[members.reader] = false;
  const auto view = view_of(outcomes.sees);
  const bool is_late = applied_front || last_commit < reached;
  bool again = false;
  bool slowly = applied_front;
  const std::string* told = nullptr; // of many failures that are one
  for (std::size_t i = 0; i < batch.tasks.size(); ++i) {
    const auto& outcome = outcomes.of[i];
    const bool failed = outcome.is == state::failed || outcome.is == state::refused;
    if (failed && (!told || *told != outcome.why.message)) {
      told = &outcome.why.message;
      spdlog::warn("rows that a subquery brings in could not be read: {}", *told);
    }
    for (const auto id : members.of[i]) {
      const auto found = shapes.find(id);
      if (found == shapes.end() || !found->second->asks)
        continue;
      auto& owned = *found->second;
      auto& asks = *owned.asks;
      if (!owned.log.accepting() || !asks.parked || asks.task != members.number)
        continue;
      // An outage is not the shape's fault, and reset() counts from its end.
      const bool too_long = env.status->streaming() &&
                            std::chrono::steady_clock::now() - asks.waits_since > env.parked_max;
      if (outcome.is == state::refused || (failed && too_long)) {
        give_up(owned.log, "the rows that its subquery brings in cannot be read");
      } else if (outcome.is == state::postponed) {
        queue(owned);
      } else if (!failed && !is_late && make_moves(owned, batch.tasks[i], outcome, view)) {
        continue;
      } else if (too_long && !is_late) {
        give_up(owned.log, "the rows that its subquery brings in were not visible in time");
      } else {
        asks.task = 0;
        again = true;
        slowly = slowly || failed;
      }
    }
  }
  if (again)
    self->delayed_send(self, slowly ? failure_pause : visibility_pause, move_atom_v);
  after_splice();
}

void materializer_state::plan_again() {
  if (disk_refuses || applied_front) {
    self->delayed_send(self, failure_pause, move_atom_v);
    return;
  }
  for (const auto id : parked)
    if (auto& owned = *shapes.at(id); owned.asks->task == 0)
      queue(owned);
  start_tasks();
}

void materializer_state::after_splice() {
  trim_used_journals();
  trim_aside();
  if (disk_refuses || applied_front || !write_out())
    return; // reported when they are written
  report();
}

materializer_state::streamed_view materializer_state::view_of(const snapshot& sees) const {
  streamed_view view{.sees = &sees};
  for (const auto& [xid, tx] : recent_commits)
    if (sees.sees(xid))
      view.last_seen = std::max(view.last_seen, tx);
    else
      view.first_missed = std::min(view.first_missed, tx);
  return view;
}

std::optional<std::uint64_t> materializer_state::boundary(const streamed_view& view,
                                                          std::uint64_t from) const {
  // What has been forgotten must be older than what the snapshot begins with.
  if (recent_commits.size() >= recent_commits_max && recent_commits.front().second > from &&
      !view.sees->sees(recent_commits.front().first))
    return std::nullopt;
  const auto upto = std::max(from, view.last_seen);
  if (view.first_missed <= upto)
    return std::nullopt;
  return upto;
}

bool materializer_state::make_moves(owned_shape& owned, const move_task& task,
                                    const move_outcome& outcome, const streamed_view& view) {
  auto& asks = *owned.asks;
  const auto upto = boundary(view, asks.position);
  if (!upto || *upto < asks.floor)
    return false;
  owned.log.park(false);
  if (!replay(owned, asks.position, *upto))
    return true; // it was given up
  value_list shown;
  value_list hidden;
  // What became of the values that it asked about after `upto`.
  std::vector<by_digest<turned_value>> turned(asks.asked.size());
  for (std::size_t i = 0; i < asks.asked.size(); ++i) {
    for (const auto& value : asks.asked[i])
      turned[i].emplace(value, turned_value{});
    if (turned[i].empty())
      continue;
    const auto& set = *asks.views[i];
    for (auto move = set.moves_after(*upto); move != set.journal.end(); ++move)
      if (const auto value = turned[i].find(move->value); value != turned[i].end()) {
        value->second.odd = !value->second.odd;
        value->second.last = &*move;
      }
  }
  const auto turned_of = [&](std::uint16_t i, const digest& value) { return turned[i].at(value); };
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
    if (!correct_subsets(owned, *upto, true))
      return true;
    before_view = asks.lag;
    tell_moves(owned, *upto, "move-in", shown);
    asks.told_upto = *upto;
  }
  for (std::size_t i = 0; i < asks.turned.size(); ++i) {
    asks.turned[i].clear();
    for (auto move = asks.views[i]->moves_after(*upto); move != asks.views[i]->journal.end();
         ++move)
      asks.turned[i].try_emplace(move->value, move->xid);
  }
  turn(shown);
  if (!take_rows(owned, task, outcome, *view.sees, before_view, *upto)) {
    give_up(owned.log, "the where clause cannot be evaluated on a row of the table");
    return true;
  }
  commit_open(owned, *upto);
  go_on(owned, *upto);
  return true;
}

bool materializer_state::take_rows(owned_shape& owned, const move_task& task,
                                   const move_outcome& outcome, const snapshot& sees,
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
      row[task.columns[i]] = read[i];
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
    append_move(owned, tx, snapshot_end_json(sees.xmin, sees.xmax, sees.xip));
  return true;
}

void materializer_state::commit_open(owned_shape& owned, std::uint64_t tx) {
  if (touched.erase(&owned.log) > 0)
    commit_log(owned.log, tx);
}

void materializer_state::go_on(owned_shape& owned, std::uint64_t from) {
  const auto now = std::max(last_commit, from);
  const bool by_frames = !owned.asks || !owned.asks->parked || owned.asks->passed_too_much;
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
    used_journals.insert(owned.asks->sets.begin(), owned.asks->sets.end());
  }
  // The part of the open transaction that has come by.
  if (by_frames) {
    if (owned.asks)
      forget_passed(*owned.asks);
    replay_aside(owned, now, ~std::uint64_t{0}); // if it is parked again, only notes what there is
  } else if (!owned.asks->parked) {
    replay_passed(owned, ~std::uint64_t{0});
    forget_passed(*owned.asks);
  }
}

} // namespace busbar
