#include "actors/materializer_state.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>

namespace busbar {

void materializer_state::control(capnp::Data::Reader content,
                                 const schema::Transaction::Reader& transaction) {
  const std::string_view bytes{reinterpret_cast<const char*>(content.begin()), content.size()};
  const auto message = env.control->decode(bytes);
  if (!message) {
    if (env.number == 0) {
      env.metrics->rejected_control_messages.Increment();
      spdlog::warn("ignored a control message: {}", message.error().message);
    }
    return;
  }
  if (const auto* fence = std::get_if<cluster::fence>(&message->what)) {
    // What is waited for is the transaction's end, but nothing of it concerns any shape.
    pass_fence(fence->token, transaction.getCommitLsn());
    return;
  }
  const auto* created = std::get_if<cluster::create_shapes>(&message->what);
  if (!created)
    return; // a drop has been carried out where it was asked for
  for (const auto& create : *created) {
    const auto known = expected.extract(create.handle);
    if (known.empty())
      continue; // another's, a replay, or a creation that has failed meanwhile
    const auto& [id, waiting] = known.mapped();
    const auto owned = shapes.find(id);
    if (owned == shapes.end())
      continue;
    auto& shape = *owned->second;
    shape.created_lsn = transaction.getCommitLsn();
    shape.log.created(shape.created_lsn);
    awaiting.insert(id);
    if (waiting->pending())
      waiting->deliver(lsn{shape.created_lsn});
  }
}

caf::result<lsn> materializer_state::expect(const shape_list& list) {
  const auto waiting =
      std::make_shared<caf::typed_response_promise<lsn>>(self->make_response_promise<lsn>());
  result<void> linked;
  bool any = false;
  for (const auto& shape : list) {
    auto& owned = own(shape);
    if (auto one = link(owned); one) {
      expected.insert_or_assign(shape->handle(), expectation{shape->id(), waiting});
      any = true;
    } else {
      give_up(owned.log, one.error().message);
      linked = std::move(one);
    }
  }
  if (!any)
    waiting->deliver(to_caf(linked.error()));
  return *waiting;
}

materializer_state::owned_shape& materializer_state::own(const shape_ptr& shape) {
  auto& slot = shapes[shape->id()];
  if (!slot) {
    slot = std::make_unique<owned_shape>(shape, env.chunk_bytes_max);
    const auto oid = shape->definition().table->oid;
    auto& table = tables[oid];
    routed_oid = 0;
    if (table.empty())
      for (const auto& [source, relation] : relations_seen)
        if (relation.feeds(oid))
          table.describe(relation);
    table.add(slot->log);
  }
  return *slot;
}

caf::result<bool> materializer_state::splice(const shape_list& list, const snapshot& sees,
                                             const facts_ptr& facts) {
  late_shapes late;
  std::uint64_t created_lsn = 0;
  for (const auto& shape : list)
    if (const auto found = shapes.find(shape->id());
        found != shapes.end() && !shape->progress().gone) {
      late.all.push_back(found->second.get());
      late.logs.insert(&found->second->log);
      created_lsn = std::max(created_lsn, found->second->created_lsn);
    }
  if (late.all.empty())
    return to_caf(error{errc::must_refetch, "the shape was removed"});
  if (!sees_commits(sees, created_lsn))
    return false;
  const auto visibility = std::make_shared<const snapshot>(sees);
  for (auto* owned : late.all) {
    const auto id = owned->log.shape()->id();
    owned->log.accept(visibility);
    splicing.insert(id);
    awaiting.erase(id);
  }
  keep_facts(late.all, facts, sees);
  catch_up(late);
  trim_aside();
  if (disk_refuses || !write_out()) {
    // What was kept aside has been acknowledged, so it must be stored before anybody relies on
    // it.
    for (auto* owned : late.all)
      give_up(owned->log, "storage refuses writes");
    return to_caf(error{errc::unavailable, "storage refuses writes"});
  }
  id_list started;
  for (auto* owned : late.all) {
    const auto& shape = owned->log.shape();
    shape->update([](shape_progress& p) { p.started = true; });
    started.push_back(shape->id());
  }
  tell_watchers(started);
  return true;
}

void materializer_state::catch_up(const late_shapes& late) {
  for (const auto& [oid, relation] : relations_seen)
    for (auto* owned : late.all)
      if (relation.feeds(owned->log.shape()->definition().table->oid))
        check_attached(owned->log, relation);
  for (const auto& kept : aside) {
    apply(kept.whole, &late, kept.void_tx);
    if (kept.is_spooled)
      frame_spool::cool(kept.whole);
  }
  if (applied_front)
    apply(backlog.front(), &late);
}

bool materializer_state::adopt(const adoption_list& adopted) {
  leads = true;
  for (const auto& from : adopted) {
    auto& owned = own(from.shape);
    if (auto linked = link(owned); !linked) {
      give_up(owned.log, linked.error().message);
      continue;
    }
    owned.created_lsn = from.created_lsn;
    owned.log.created(from.created_lsn);
    owned.log.accept(from.visibility);
    owned.known = from.known;
    owned.log.resume(from.shape->progress().head, from.open_chunk_bytes, from.splice_passed);
    owned.log.watch(!owned.watchers.empty()); // some have waited since this node followed
    if (!from.splice_passed)
      splicing.insert(from.shape->id());
    if (owned.set || owned.asks)
      if (auto read = adopt_sets(owned, std::max(owned.log.committed_tx(), from.splice_passed));
          !read)
        give_up(owned.log, read.error().message);
  }
  id_list watched;
  for (const auto& [id, owned] : shapes)
    if (!owned->watchers.empty())
      watched.push_back(id);
  tell_watchers(watched);
  return true;
}

bool materializer_state::sees_commits(const snapshot& sees, std::uint64_t upto) const {
  return std::none_of(recent_commits.begin(), recent_commits.end(),
                      [&](const auto& one) { return one.second <= upto && !sees.sees(one.first); });
}

void materializer_state::keep_aside(const frame& done) {
  if (awaiting.empty() && parked.empty()) {
    aside.clear();
    aside_bytes = 0;
    return;
  }
  if (is_front_spooled)
    frame_spool::cool(done);
  aside.push_back({.whole = done, .is_spooled = is_front_spooled});
  aside_bytes += aside.back().memory_bytes();
  while (aside_bytes > env.aside_bytes_max && !(awaiting.empty() && parked.empty())) {
    // Who has waited longest goes: PostgreSQL does not get its snapshot open in time.
    const auto [id, since] = longest_waiting();
    auto& owned = *shapes.at(id);
    give_up(owned.log, owned.asks && owned.asks->parked
                           ? "the rows that its subquery brings in could not be read in time"
                           : "its snapshot could not be opened in time");
    awaiting.erase(id);
    trim_aside();
  }
}

void materializer_state::spool_front() {
  auto& next = backlog.front();
  if ((awaiting.empty() && parked.empty()) ||
      aside_bytes + next.size_bytes() <= env.aside_bytes_max)
    return;
  if (auto spooled = spool->put(next); !spooled.empty()) {
    next = std::move(spooled);
    is_front_spooled = true;
  }
}

std::pair<materializer_state::shape_id, std::uint64_t> materializer_state::longest_waiting() const {
  std::pair<shape_id, std::uint64_t> longest{shape_id{}, ~std::uint64_t{0}};
  const auto look = [&](shape_id id, std::uint64_t since) {
    if (since < longest.second)
      longest = {id, since};
  };
  for (const auto id : awaiting)
    if (const auto owned = shapes.find(id); owned != shapes.end())
      look(id, owned->second->created_lsn);
  for (const auto id : parked)
    look(id, shapes.at(id)->asks->position);
  return longest;
}

void materializer_state::trim_aside() {
  const auto needed_after = longest_waiting().second;
  while (!aside.empty()) {
    const auto transactions = aside.front().whole.read().getTransactions();
    if (transactions.size() > 0 &&
        transactions[transactions.size() - 1].getCommitLsn() > needed_after)
      break;
    aside_bytes -= aside.front().memory_bytes();
    aside.pop_front();
  }
}

void materializer_state::give_up_awaiting(const stream_relation& relation) {
  for (auto id = awaiting.begin(); id != awaiting.end();) {
    const auto owned = shapes.find(*id);
    const bool concerned = owned != shapes.end() &&
                           relation.feeds(owned->second->log.shape()->definition().table->oid);
    if (concerned)
      give_up(owned->second->log, "the table was altered while its snapshot was being opened");
    id = concerned ? awaiting.erase(id) : std::next(id);
  }
  for (const auto id : std::vector<shape_id>(parked.begin(), parked.end()))
    if (auto& owned = *shapes.at(id); relation.feeds(owned.log.shape()->definition().table->oid))
      give_up(owned.log, "the table was altered while rows were being read");
}

} // namespace busbar
