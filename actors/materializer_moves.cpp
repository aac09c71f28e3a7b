// Shapes with subqueries (spec where-and-matching 4).
//
// What a subquery selects is a set: an internal shape of this materializer, which holds how many
// rows have each value. Rows of a shape are judged by the sets as they are, so most shapes keep
// nothing of their own. At the end of each transaction:
//   1. Its changes were judged by the sets as they were before; now the sets take what it did to
//      them, and the values that came or went are moves.
//   2. Each shape that asks the set now lags: its view is the set as it was. Moves that hide rows
//      are told at once, because clients know by the rows' tags which these are.
//   3. For moves that show rows somebody has to read them. The shape parks: the stream goes by, its
//      frames are kept aside. A MOVE READER takes a snapshot, and a fence behind it tells when
//      everything in the snapshot has been streamed. So the snapshot is the state right after one
//      known transaction, B. Up to B the shape takes what was kept aside by its old view, then come
//      the moves and the rows that they show, then the rest.
//   4. A subset that is read meanwhile shows the rows as they are: those that a move is about to
//      show, and none that it is about to hide. What becomes of these until the move is made no log
//      tells. So before its rows come, or when it has been undone, a value that a subset may have
//      seen is hidden (see correct_subsets()).
// A set with subqueries of its own does the same, but reads rows for both kinds of moves, as it
// keeps no rows. A parked shape holds back what PostgreSQL is told, and the moves since are stored,
// so that a restart finds it where it was.
#include "actors/materializer_state.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace busbar {

namespace {

/// Moves of one transaction, times the shapes that have to make them: beyond that new snapshots are
/// cheaper.
constexpr std::size_t moves_max = 1'000'000;
/// In one message to clients.
constexpr std::size_t patterns_max = 1'000;

} // namespace

// -- judging a change -----------------------------------------------------------------------------

bool materializer_state::judge_change(shape_log_writer& log, row_cells old_row, row_cells new_row,
                                      const change_position& at, entry_encoder& encoder) {
  auto& owned = *shapes.at(log.shape()->id());
  if (!owned.set && !owned.asks)
    return true; // a set of its is gone, and so will it be
  // Of another description of the table, the cells may be those of other columns.
  if (const auto* table = log.shape()->definition().table.get(); table != judged_table) {
    hasher->forget();
    judged_table = table;
  }
  auto& [before, after] = judged;
  if (owned.asks) {
    const auto contains = [&](std::uint16_t subquery, const digest& value) {
      return owned.asks->sees(subquery, value);
    };
    const auto& plan = *owned.asks->plan;
    if (!old_row.empty() && !judge(plan, old_row, *hasher, contains, before))
      return false;
    if (!new_row.empty() && !judge(plan, new_row, *hasher, contains, after))
      return false;
  }
  const bool was_in = !old_row.empty() && (!owned.asks || before.visible);
  const bool is_in = !new_row.empty() && (!owned.asks || after.visible);
  if (owned.set)
    return (!was_in || count(owned, old_row, -1, at.xid)) &&
           (!is_in || count(owned, new_row, +1, at.xid));
  const auto effect = was_in && is_in ? row_effect::update
                      : is_in         ? row_effect::insert
                      : was_in        ? row_effect::remove
                                      : row_effect::none;
  if (effect == row_effect::none)
    return true;
  extra_headers extra;
  const auto& tagger = owned.asks->tagger;
  if (was_in)
    tagger.append_headers(extra.before, before);
  if (is_in)
    tagger.append_headers(extra.after, after);
  if (was_in && is_in) {
    tagger.append_update_headers(extra.update, before, after);
    extra.matters = row_tagger::differs(before, after);
    extra.in_two_steps = tagger.shares_value(before, after);
  }
  made.clear();
  encoder.encode(effect, old_row, new_row, at, made, extra);
  for (auto& entry : made) {
    ++entries_made;
    bytes_made += entry.json.size();
    if (log.append(at.commit_lsn, std::move(entry), writes))
      touched.insert(&log);
  }
  return true;
}

bool materializer_state::count(owned_shape& owned, row_cells row, int by, std::uint32_t xid) {
  const auto& forms = owned.log.shape()->definition().values;
  digest value;
  switch (hasher->read(forms, row, value)) {
  case value_hasher::reading::unreadable:
    return false;
  case value_hasher::reading::null:
    return true; // IN never finds it, and NOT IN is refused where there could be one
  case value_hasher::reading::value:
    break;
  }
  auto& delta = owned.set->open[value];
  delta.rows += by;
  delta.xid = xid;
  if (delta.texts.empty())
    for (const auto& form : forms)
      delta.texts.emplace_back(*row[form.column]);
  open_sets.insert(&owned);
  return true;
}

// -- the end of a transaction ---------------------------------------------------------------------

void materializer_state::end_sets(std::uint64_t tx) {
  if (open_sets.empty() && unsettled.empty())
    return;
  const auto settled = std::exchange(unsettled, {});
  auto late = settled;
  std::vector<std::pair<owned_shape*, std::vector<set_move>>> folded;
  for (auto* owned : std::exchange(open_sets, {}))
    folded.emplace_back(owned, fold(*owned, tx));
  for (const auto& [owned, moves] : folded)
    if (!moves.empty())
      late.insert(owned->set->dependents.begin(), owned->set->dependents.end());
  for (const auto id : late)
    if (const auto found = shapes.find(id); found != shapes.end())
      settle(*found->second, tx);
  for (auto& [owned, moves] : folded)
    keep_journal(*owned, std::move(moves));
  for (const auto id : settled)
    if (const auto found = shapes.find(id); found != shapes.end() && found->second->asks)
      trim_journals(*found->second->asks);
}

void materializer_state::end_set(owned_shape& owned, std::uint64_t tx) {
  open_sets.erase(&owned);
  auto moves = fold(owned, tx);
  if (!moves.empty())
    for (const auto id : owned.set->dependents) {
      const auto found = shapes.find(id);
      if (found == shapes.end() || !found->second->asks || !found->second->log.accepting())
        continue;
      // What it has of the open transaction is already there, so its moves come after that.
      if (open_tx > 0) {
        unsettled.insert(id);
        store_lag(*found->second);
        refresh_behind(*found->second);
      } else {
        settle(*found->second, tx);
        commit_open(*found->second, tx);
      }
    }
  keep_journal(owned, std::move(moves));
}

std::vector<set_move> materializer_state::fold(owned_shape& owned, std::uint64_t tx) {
  auto& set = *owned.set;
  const auto id = owned.log.shape()->id();
  const auto since = owned.asks ? std::min(tx, owned.asks->behind) : tx;
  std::vector<set_move> moves;
  for (auto& [value, delta] : set.open) {
    if (delta.rows == 0)
      continue;
    const std::int64_t before = set.counts.of(value);
    const auto after = before + delta.rows;
    if (after < 0) {
      give_up(owned.log, "a row has left the set of a subquery that was not in it");
      break;
    }
    writes.put_set_value(id, value, static_cast<std::uint32_t>(after));
    set_count(owned, value, static_cast<std::uint32_t>(after));
    if ((before == 0) != (after == 0))
      moves.push_back({.tx = tx,
                       .xid = delta.xid,
                       .since = since,
                       .enters = after > 0,
                       .value = value,
                       .texts = std::move(delta.texts)});
  }
  set.open.clear();
  owned.log.skip_to(tx);
  writes.put_set_position(id, tx);
  if (moves.empty())
    return moves;
  if (moves.size() * set.dependents.size() > moves_max) {
    give_up(owned.log, "too many values that a subquery selects came or went at once");
    return {};
  }
  for (const auto dependent : set.dependents) {
    const auto found = shapes.find(dependent);
    if (found == shapes.end() || !found->second->asks || !found->second->log.accepting())
      continue;
    for (const auto& move : moves)
      lag_behind(*found->second->asks, set, move);
    if (!found->second->asks->parked)
      continue;
    store_lag(*found->second);
    refresh_behind(*found->second);
  }
  return moves;
}

void materializer_state::lag_behind(asker& asks, const inner_set& set, const set_move& move) {
  for (std::size_t i = 0; i < asks.views.size(); ++i) {
    if (asks.views[i] != &set)
      continue;
    asks.turned[i].try_emplace(move.value, move.xid);
    const auto [late, is_new] = asks.lag[i].try_emplace(move.value);
    if (is_new)
      late->second = {move.xid, move.since, move.texts};
    else
      asks.lag[i].erase(late); // it is again as the shape sees it
  }
}

void materializer_state::keep_journal(owned_shape& owned, std::vector<set_move> moves) {
  auto& set = *owned.set;
  const auto waits = [&](shape_id id) {
    return awaiting.contains(id) || parked.contains(id) || unsettled.contains(id);
  };
  if (std::none_of(set.dependents.begin(), set.dependents.end(), waits)) {
    set.journal.clear();
    forget_stale(owned);
  } else {
    set.journal.insert(set.journal.end(), std::make_move_iterator(moves.begin()),
                       std::make_move_iterator(moves.end()));
  }
}

void materializer_state::store_lag(owned_shape& owned) {
  auto& asks = *owned.asks;
  const auto id = owned.log.shape()->id();
  for (std::uint16_t i = 0; i < asks.lag.size(); ++i) {
    const auto& lag = asks.lag[i];
    const auto& turned = asks.turned[i];
    auto& stored = asks.stored[i];
    for (auto value = stored.begin(); value != stored.end();) {
      if (lag.contains(value->first) || turned.contains(value->first)) {
        ++value;
        continue;
      }
      writes.drop_lag(id, i, value->first);
      value = stored.erase(value);
    }
    const auto is_news = [&](const digest& value, bool as_before) {
      const auto [known, is_new] = stored.try_emplace(value, as_before);
      return is_new || std::exchange(known->second, as_before) != as_before;
    };
    for (const auto& [value, late] : lag)
      if (is_news(value, false))
        writes.put_lag(id, {i, value, late.xid, late.since, late.texts});
    for (const auto& [value, xid] : turned) {
      if (lag.contains(value) || !is_news(value, true))
        continue;
      const auto* move = asks.views[i]->last_move(value, ~std::uint64_t{0});
      writes.put_lag(id, {i, value, 0, 0, move ? move->texts : std::vector<std::string>{}});
    }
  }
}

void materializer_state::trim_journals(const asker& asks) {
  for (const auto id : asks.sets)
    trim_journal(id);
}

void materializer_state::trim_journal(shape_id id) {
  // Mostly nothing is kept, and who waits need not be looked for among all who ask the set.
  if (const auto found = shapes.find(id); found != shapes.end())
    if (auto& set = *found->second->set; !set.journal.empty() || !set.stale.empty())
      keep_journal(*found->second, {});
}

void materializer_state::trim_used_journals() {
  for (const auto id : std::exchange(used_journals, {}))
    trim_journal(id);
}

void materializer_state::settle(owned_shape& owned, std::uint64_t tx) {
  if (!owned.asks || !owned.log.accepting() || owned.asks->parked)
    return;
  auto& asks = *owned.asks;
  if (!owned.set && asks.lags()) {
    value_list hidden;
    for (std::uint16_t i = 0; i < asks.lag.size(); ++i)
      for (const auto& [value, late] : asks.lag[i])
        if (asks.views[i]->counts.contains(value) == asks.negated[i])
          hidden.emplace_back(i, value);
    tell_moves(owned, tx, "move-out", hidden);
    for (const auto& [i, value] : hidden) {
      asks.lag[i].erase(value);
      asks.turned[i].erase(value);
    }
    if (!hidden.empty())
      asks.told_upto = tx;
  }
  if (!correct_subsets(owned, tx, false))
    return;
  for (std::size_t i = 0; i < asks.turned.size(); ++i) {
    asks.turned[i].clear();
    for (const auto& [value, late] : asks.lag[i])
      asks.turned[i].emplace(value, late.xid);
  }
  if (asks.lags())
    park(owned, tx);
  store_lag(owned);
  refresh_behind(owned);
}

bool materializer_state::correct_subsets(owned_shape& owned, std::uint64_t tx, bool rows_come) {
  auto& asks = *owned.asks;
  if (owned.set)
    return true;
  const auto shows = [&](std::uint16_t i, const digest& value) {
    return asks.sees(i, value) != asks.negated[i];
  };
  value_list wrong;
  for (std::uint16_t i = 0; i < asks.turned.size(); ++i)
    for (const auto& [value, xid] : asks.turned[i])
      if (asks.may_be_in_subset(xid) &&
          (rows_come || !asks.lag[i].contains(value) || shows(i, value)))
        wrong.emplace_back(i, value);
  if (wrong.empty())
    return true;
  tell_moves(owned, tx, "move-out", wrong);
  asks.told_upto = tx;
  for (const auto& [i, value] : wrong) {
    if (!shows(i, value) || asks.lag[i].erase(value) > 0)
      continue;
    // It went and is back: its rows have to come again.
    const auto* move = asks.views[i]->last_move(value, ~std::uint64_t{0});
    if (!move || move->texts.empty()) {
      give_up(owned.log, "it is not known any more which rows have gone and come again");
      return false;
    }
    asks.lag[i].emplace(value, asker::late{move->xid, move->since, move->texts});
  }
  return true;
}

bool materializer_state::subset_may_be_read(shape_id id, const snapshot& sees, std::uint64_t upto) {
  const auto found = shapes.find(id);
  auto* asks = found == shapes.end() ? nullptr : found->second->asks.get();
  if (!sees_commits(sees, asks ? std::max(upto, asks->told_upto) : upto))
    return false;
  if (asks)
    asks->subsets_before = std::max(asks->subsets_before, sees.xmax);
  return true;
}

void materializer_state::refresh_behind(owned_shape& owned) {
  auto& asks = *owned.asks;
  const auto id = owned.log.shape()->id();
  auto behind = ~std::uint64_t{0};
  for (const auto& lag : asks.lag)
    for (const auto& [value, late] : lag)
      behind = std::min(behind, late.since);
  for (const auto set : asks.sets)
    if (const auto found = shapes.find(set); found != shapes.end() && found->second->asks)
      behind = std::min(behind, found->second->asks->behind);
  // What is kept aside is not in the log either, whatever the sets did since.
  if (asks.parked)
    behind = std::min(behind, asks.position);
  if (behind == asks.behind)
    return;
  const bool more = behind < asks.behind;
  asks.behind = behind;
  if (!more)
    less_behind.insert(id);
  else
    owned.log.shape()->update([&](shape_progress& p) { p.behind = behind; });
  if (more && env.has_followers)
    more_behind.insert(id);
  if (owned.set)
    for (const auto dependent : owned.set->dependents)
      if (const auto found = shapes.find(dependent); found != shapes.end() && found->second->asks)
        refresh_behind(*found->second);
}

void materializer_state::show_behind() {
  for (const auto id : less_behind)
    if (const auto found = shapes.find(id); found != shapes.end() && found->second->asks) {
      const auto behind = found->second->asks->behind;
      found->second->log.shape()->update(
          [&](shape_progress& p) { p.behind = behind == ~std::uint64_t{0} ? 0 : behind; });
    }
  less_behind.clear();
}

void materializer_state::tell_moves(owned_shape& owned, std::uint64_t tx, std::string_view event,
                                    const value_list& values) {
  if (values.empty())
    return;
  if (values.size() > patterns_max) {
    for (std::size_t i = 0; i < values.size(); i += patterns_max)
      tell_moves(owned, tx, event,
                 {values.begin() + static_cast<std::ptrdiff_t>(i),
                  values.begin() +
                      static_cast<std::ptrdiff_t>(std::min(i + patterns_max, values.size()))});
    return;
  }
  const auto& asks = *owned.asks;
  std::string json = "{\"headers\":{\"event\":\"" + std::string{event} + "\",\"patterns\":[";
  std::set<std::uint32_t> xids;
  bool first = true;
  for (const auto& [subquery, value] : values) {
    if (const auto late = asks.lag[subquery].find(value); late != asks.lag[subquery].end())
      xids.insert(late->second.xid);
    else if (const auto* move = asks.views[subquery]->last_move(value, tx); move && move->xid > 0)
      xids.insert(move->xid); // it is to be undone by one that comes later
    for (std::size_t i = 0; i < asks.plan->positions.size(); ++i) {
      const auto& position = asks.plan->positions[i];
      if (position.leaf || position.subquery != subquery)
        continue;
      json += std::exchange(first, false) ? "{\"pos\":" : ",{\"pos\":";
      json += std::to_string(i) + ",\"value\":\"";
      asks.tagger.append_value(json, value);
      json += "\"}";
    }
  }
  json += "],\"txids\":[";
  first = true;
  for (const auto xid : xids) {
    json += std::exchange(first, false) ? "" : ",";
    json += std::to_string(xid);
  }
  append_move(owned, tx, json + "]}}");
}

void materializer_state::append_move(owned_shape& owned, std::uint64_t tx, std::string json) {
  ++entries_made;
  bytes_made += json.size();
  owned.log.append_move(tx, std::move(json), writes);
  touched.insert(&owned.log);
}

} // namespace busbar
