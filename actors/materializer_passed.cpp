// What goes by a shape while it is parked, and how it is brought in again: change by change where
// they have been noted, so that a shape costs what concerns it; otherwise by going over all frames
// that were kept aside.
#include "actors/materializer_state.hpp"

namespace busbar {

namespace {

std::uint64_t commit_lsn_of(const frame& whole, std::uint32_t transaction) {
  return whole.read().getTransactions()[transaction].getCommitLsn();
}

} // namespace

void materializer_state::note_passed_change(const shape_log_writer& log, const change_position& at,
                                            bool old_row, bool new_row) {
  const auto found = shapes.find(log.shape()->id());
  if (found == shapes.end() || !found->second->asks)
    return;
  auto& asks = *found->second->asks;
  // What is sent again was noted when it came first.
  if (at.commit_lsn <= asks.position || at.commit_lsn <= reached || asks.passed_too_much)
    return;
  const auto notes_max = env.notes_bytes_max / sizeof(passed_changes::one);
  if (asks.passed_count >= notes_max / std::max<std::size_t>(1, parked.size())) {
    forget_passed(asks);
    asks.passed_too_much = true;
    return;
  }
  const auto bytes = present.whole->bytes();
  if (asks.passed.empty() || asks.passed.back().whole.bytes().data() != bytes.data())
    asks.passed.push_back({.whole = *present.whole, .changes = {}});
  asks.passed.back().changes.push_back({.transaction = present.transaction,
                                        .change = present.index,
                                        .old_row = old_row,
                                        .new_row = new_row});
  ++asks.passed_count;
}

void materializer_state::forget_passed(asker& asks) {
  asks.passed.clear();
  asks.passed_count = 0;
  asks.passed_too_much = false;
}

void materializer_state::drop_passed(asker& asks, std::uint64_t open_tx) {
  if (open_tx == 0)
    return;
  while (!asks.passed.empty()) {
    auto& [whole, changes] = asks.passed.back();
    while (!changes.empty() && commit_lsn_of(whole, changes.back().transaction) == open_tx) {
      changes.pop_back();
      --asks.passed_count;
    }
    if (!changes.empty())
      return;
    asks.passed.pop_back();
  }
}

bool materializer_state::replay(owned_shape& owned, std::uint64_t after, std::uint64_t upto) {
  const bool noted = owned.asks && owned.asks->parked && !owned.asks->passed_too_much;
  return noted ? replay_passed(owned, upto) : replay_aside(owned, after, upto);
}

bool materializer_state::replay_aside(owned_shape& owned, std::uint64_t after, std::uint64_t upto) {
  const late_shapes alone{{&owned}, {&owned.log}};
  for (const auto& kept : aside)
    if (owned.log.accepting()) {
      apply(kept.whole, &alone, kept.void_tx, after, upto);
      if (kept.is_spooled)
        frame_spool::cool(kept.whole);
    }
  return owned.log.accepting();
}

bool materializer_state::replay_passed(owned_shape& owned, std::uint64_t upto) {
  auto& passed = owned.asks->passed;
  std::uint64_t tx = 0;
  const auto end_transaction = [&] {
    if (tx == 0 || tx == open_tx)
      return; // the rest of it is to come
    commit_open(owned, tx);
    if (owned.set)
      owned.log.skip_to(tx);
  };
  while (!passed.empty() && owned.log.accepting()) {
    const auto [whole, changes] = std::move(passed.front());
    passed.pop_front();
    std::size_t done = 0;
    for (; done < changes.size() && owned.log.accepting(); ++done) {
      const auto next = commit_lsn_of(whole, changes[done].transaction);
      if (next > upto)
        break;
      if (next != tx)
        end_transaction();
      tx = next;
      replay_change(owned, whole, changes[done]);
    }
    if (!owned.asks)
      return false;
    owned.asks->passed_count -= std::min(done, owned.asks->passed_count);
    if (done == changes.size())
      continue;
    passed.push_front(
        {whole, {changes.begin() + static_cast<std::ptrdiff_t>(done), changes.end()}});
    break;
  }
  if (owned.log.accepting())
    end_transaction();
  return owned.log.accepting();
}

void materializer_state::replay_change(owned_shape& owned, const frame& whole,
                                       const passed_changes::one& one) {
  const auto root = whole.read();
  const auto transaction = root.getTransactions()[one.transaction];
  const auto change = root.getChanges()[one.change];
  const change_position at{.commit_lsn = transaction.getCommitLsn(),
                           .xid = transaction.getXid(),
                           .op = static_cast<std::int64_t>(transaction.getFirstPosition()) +
                                 2 * (std::int64_t{one.change} - transaction.getFirstChange())};
  if (!owned.log.wants(at.commit_lsn, at.xid))
    return;
  if (change.getKind() == schema::Change::Kind::TRUNCATE)
    return give_up(owned.log, "the table was truncated");
  auto& table = tables.at(owned.log.shape()->definition().table->oid);
  hasher->forget();
  table.route_one(owned.log, root, change, one.old_row, one.new_row, sink_of(table, at, nullptr));
}

} // namespace busbar
