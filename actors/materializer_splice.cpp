#include "actors/materializer_state.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>

namespace busbar {

namespace {

/// Frames kept aside for shapes whose snapshot has not been opened yet. Beyond this the oldest such
/// shape is given up: PostgreSQL does not get its snapshot open in time.
constexpr std::size_t aside_bytes_max = 64u << 20;

} // namespace

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
  const auto* create = std::get_if<cluster::create_shape>(&message->what);
  if (!create)
    return; // a drop has been carried out where it was asked for
  const auto found = expected.find(create->handle);
  if (found == expected.end())
    return; // a replay, or a creation that has failed meanwhile
  const auto owned = shapes.find(found->second);
  expected.erase(found);
  if (owned == shapes.end())
    return;
  auto& shape = *owned->second;
  shape.created_lsn = transaction.getCommitLsn();
  shape.log.created(shape.created_lsn);
  awaiting.insert(owned->first);
  shape.expecting.deliver(lsn{shape.created_lsn});
}

caf::result<lsn> materializer_state::expect(const shape_ptr& shape) {
  auto& owned = own(shape);
  owned.expecting = self->make_response_promise<lsn>();
  expected[shape->handle()] = shape->id();
  return owned.expecting;
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

caf::result<bool> materializer_state::splice(shape_id id, const snapshot& sees,
                                             const facts_ptr& facts) {
  const auto found = shapes.find(id);
  if (found == shapes.end() || found->second->log.shape()->progress().gone)
    return to_caf(error{errc::must_refetch, "the shape was removed"});
  auto& owned = *found->second;
  if (!sees_commits(sees, owned.created_lsn))
    return false;
  owned.log.accept(sees);
  keep_facts(owned, facts, sees);
  splicing.insert(id);
  awaiting.erase(id);
  for (const auto& [oid, relation] : relations_seen)
    if (relation.feeds(owned.log.shape()->definition().table->oid))
      check_attached(owned.log, relation);
  for (const auto& kept : aside)
    apply(kept.whole, &owned, kept.void_tx);
  if (applied_front)
    apply(backlog.front(), &owned);
  trim_aside();
  if (disk_refuses || !write_out()) {
    // What was kept aside has been acknowledged, so it must be stored before anybody relies on
    // it.
    give_up(owned.log, "storage refuses writes");
    return to_caf(error{errc::unavailable, "storage refuses writes"});
  }
  owned.log.shape()->update([](shape_progress& p) { p.started = true; });
  tell_watchers(id);
  return true;
}

bool materializer_state::adopt(const adoption_list& adopted) {
  for (const auto& from : adopted) {
    auto& owned = own(from.shape);
    owned.created_lsn = from.created_lsn;
    owned.log.created(from.created_lsn);
    owned.log.accept(from.visibility);
    owned.known = from.known;
    owned.log.resume(from.shape->progress().head, from.open_chunk_bytes, from.splice_passed);
    if (!from.splice_passed)
      splicing.insert(from.shape->id());
  }
  return true;
}

bool materializer_state::sees_commits(const snapshot& sees, std::uint64_t upto) const {
  return std::none_of(recent_commits.begin(), recent_commits.end(),
                      [&](const auto& one) { return one.second <= upto && !sees.sees(one.first); });
}

void materializer_state::keep_aside(const frame& done) {
  if (awaiting.empty()) {
    aside.clear();
    aside_bytes = 0;
    return;
  }
  aside.push_back({done});
  aside_bytes += done.size_bytes();
  while (aside_bytes > aside_bytes_max && !awaiting.empty()) {
    const auto id = *awaiting.begin(); // ids rise, so this is the oldest
    if (const auto owned = shapes.find(id); owned != shapes.end())
      give_up(owned->second->log, "its snapshot could not be opened in time");
    awaiting.erase(id);
    trim_aside();
  }
}

void materializer_state::trim_aside() {
  auto needed_after = ~std::uint64_t{0};
  for (const auto id : awaiting)
    if (const auto owned = shapes.find(id); owned != shapes.end())
      needed_after = std::min(needed_after, owned->second->created_lsn);
  while (!aside.empty()) {
    const auto transactions = aside.front().whole.read().getTransactions();
    if (transactions.size() > 0 &&
        transactions[transactions.size() - 1].getCommitLsn() > needed_after)
      break;
    aside_bytes -= aside.front().whole.size_bytes();
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
}

} // namespace busbar
