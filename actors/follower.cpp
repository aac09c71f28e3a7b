#include "actors/follower.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace busbar {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds look_for_leader{50};
constexpr milliseconds pause_between_links{100};
constexpr seconds link_patience{2};
/// A leader says something at least three times a second.
constexpr seconds silence_max{2};
constexpr seconds send_patience{5};
constexpr milliseconds disk_retry{500};
/// Small transactions would otherwise cost an acknowledgement and a sync each; nobody waits for
/// these but PostgreSQL, which is in no hurry, and a shape that is being made.
constexpr milliseconds acknowledge_period{20};
constexpr milliseconds sync_period{15};

} // namespace

follower::follower(caf::actor_system& system, follower_environment environment, cast_ptr others,
                   stored_shapes& shapes)
    : system_{system}, env_{std::move(environment)}, others_{std::move(others)}, shapes_{shapes} {
  now_.applied = now_.synced = env_.store->sequence();
  syncer_ = std::thread{[this] { keep_synced(); }};
  thread_ = std::thread{[this] { run(); }};
}

follower::~follower() {
  end(clock::now());
}

void follower::end(clock::time_point until) {
  {
    const std::lock_guard guard{mutex_};
    last_moment_ = last_moment_ ? std::min(*last_moment_, until) : until;
  }
  changed_.notify_all();
  join_threads();
  wake_waiting();
}

void follower::join_threads() {
  const std::lock_guard one{joining_};
  if (thread_.joinable())
    thread_.join();
  {
    const std::lock_guard guard{mutex_};
    stop_ = true;
    now_.leader.clear();
  }
  changed_.notify_all();
  if (syncer_.joinable())
    syncer_.join();
}

bool follower::ending(clock::time_point now) const {
  const std::lock_guard guard{mutex_};
  return last_moment_ && now >= *last_moment_;
}

follower::view follower::now() const {
  const std::lock_guard guard{mutex_};
  return now_;
}

void follower::run() {
  for (;;) {
    {
      const std::lock_guard guard{mutex_};
      if (last_moment_)
        return; // whom we followed is gone, or there was nobody
    }
    const auto leader = copying_ ? std::nullopt : env_.members->leader();
    if (leader && *leader != env_.members->self()) {
      follow(*leader);
      env_.status->set_following(false);
      {
        const std::lock_guard guard{mutex_};
        now_.leader.clear();
        now_.streaming = false;
        link_.reset();
      }
      env_.members->tell();
      std::unique_lock guard{mutex_};
      changed_.wait_for(guard, pause_between_links, [this] { return last_moment_.has_value(); });
    } else {
      std::unique_lock guard{mutex_};
      changed_.wait_for(guard, look_for_leader, [this] { return last_moment_.has_value(); });
    }
  }
}

void follower::follow(const std::string& leader) {
  auto opened =
      env_.members->open_channel(leader, cluster::purpose::follow, clock::now() + link_patience);
  if (!opened) {
    const auto& why = opened.error().message;
    const bool is_known = std::exchange(no_link_because_, why) == why;
    spdlog::log(is_known ? spdlog::level::debug : spdlog::level::warn, "{} cannot be followed: {}",
                leader, why);
    return;
  }
  no_link_because_.clear();
  const std::shared_ptr<cluster::link> link{std::move(*opened)};
  const auto lineage = env_.store->lineage();
  if (!lineage) {
    spdlog::error("follower: {}", lineage.error().message);
    return;
  }
  const auto sequence = env_.store->sequence();
  // The leader takes what we begin with for safe.
  if (auto synced = env_.store->sync_log(); !synced) {
    spdlog::error("follower: {}", synced.error().message);
    return;
  }
  if (!link->send(cluster::encode(cluster::follow_request{*lineage, sequence}),
                  clock::now() + send_patience))
    return;
  const auto answered = link->receive(clock::now() + send_patience);
  if (!answered || !*answered)
    return;
  const auto reply = cluster::read_follow_reply(**answered);
  if (!reply)
    return;
  if (const auto* copy = std::get_if<cluster::must_copy>(&*reply)) {
    if (env_.believes(*copy, *lineage) && !copying_.exchange(true))
      env_.on_copy_needed(copy->why);
    return;
  }
  if (const auto* no = std::get_if<cluster::refused>(&*reply)) {
    spdlog::debug("{} is not to be followed: {}", leader, no->why);
    return;
  }
  const auto term = std::get<cluster::go_on>(*reply).term;
  {
    const std::lock_guard guard{mutex_};
    if (term < now_.term)
      return; // deposed, and does not know it yet
    now_.leader = leader;
    now_.term = term;
    now_.heard = clock::now();
    now_.synced = std::max(now_.synced, sequence);
    link_ = link;
  }
  acknowledge(); // it sends nothing until it has heard that we mean it
  spdlog::info("following {} in term {} from {}", leader, term, sequence);
  promises_.clear();
  auto heard = clock::now();
  while (!ending(clock::now())) {
    const auto bytes = link->receive(clock::now() + milliseconds{100});
    if (!bytes) {
      spdlog::info("the link to the leader {} has ended: {}", leader, bytes.error().message);
      return;
    }
    if (!*bytes) {
      if (clock::now() - heard > silence_max) {
        spdlog::warn("the leader {} says nothing any more", leader);
        return;
      }
      continue;
    }
    heard = clock::now();
    const auto message = cluster::read_from_leader(**bytes);
    if (!message) {
      spdlog::warn("{}: {}", leader, message.error().message);
      return;
    }
    if (message->term != term || !take(*message))
      return;
    if (is_acknowledgement_due())
      acknowledge();
  }
}

bool follower::take(const cluster::from_leader& message) {
  lag(message.behind);
  for (const auto& batch : message.batches) {
    auto applied = env_.store->apply(batch);
    while (!applied && applied.error().code == errc::unavailable && !ending(clock::now()) &&
           !env_.store->accepts_writes()) {
      // The disk is full. What comes waits in the leader's log.
      std::unique_lock guard{mutex_};
      changed_.wait_for(guard, disk_retry);
      guard.unlock();
      applied = env_.store->apply(batch);
    }
    if (!applied) {
      spdlog::error("follower: {}", applied.error().message);
      return false;
    }
    show(*applied);
    const std::lock_guard guard{mutex_};
    now_.applied = batch.last();
  }
  promises_.push_back(message.progress);
  promise();
  bool changed = false;
  {
    const std::lock_guard guard{mutex_};
    changed = now_.in_sync != message.progress.in_sync;
    now_.in_sync = message.progress.in_sync;
    now_.streaming = message.progress.streaming;
    now_.heard = clock::now();
  }
  env_.status->set_following(message.progress.streaming);
  if (changed)
    env_.members->tell();
  if (!message.batches.empty()) {
    changed_.notify_all();
    wake_waiting();
  }
  return true;
}

/// Shapes that the leader does not name have all that it promises; what it has said since, or says
/// later, is in notes, which come after.
void follower::lag(const std::vector<cluster::behind_shape>& shapes) {
  for (const auto& [id, behind] : shapes)
    lag(id, behind);
}

void follower::lag(storage::shape_id id, std::uint64_t behind) {
  if (const auto shape = shapes_.find(id))
    shape->update([&](shape_progress& p) { p.behind = behind; });
  else if (behind > 0)
    behind_[id] = behind;
  else
    behind_.erase(id);
}

/// What a batch makes visible, in the order in which readers may rely on it.
void follower::show(const storage::applied_changes& changes) {
  shape_list come;
  shape_list gone;
  if (changes.purged) {
    for (const auto& [id, shape] : shapes_.all())
      gone.push_back(shape);
  } else {
    for (const auto id : changes.removed)
      if (auto shape = shapes_.find(id))
        gone.push_back(std::move(shape));
  }
  for (const auto& shape : gone) {
    shape->update([](shape_progress& p) { p.gone = true; }); // for who reads it already
    shapes_.forget(shape->id());
  }
  if (changes.purged) {
    behind_.clear();
    begins_anew_ = true;
  }
  for (const auto id : changes.finished) {
    auto found = env_.store->find_shape(id);
    if (!found) {
      spdlog::error("follower: {}", found.error().message);
      continue;
    }
    if (!*found)
      continue; // removed since
    auto made = shapes_.make(*std::move(*found));
    if (made) {
      if (const auto late = behind_.extract(id); !late.empty())
        made->shape->update([&](shape_progress& p) { p.behind = late.mapped(); });
      come.push_back(std::move(made->shape));
    } else
      spdlog::error("a shape of the leader's is not understood here: {}", made.error().message);
  }
  if (!come.empty() || !gone.empty())
    caf::anon_send(others_->directory, follow_atom_v, std::move(come), std::move(gone));
  for (const auto id : changes.facts)
    if (const auto shape = shapes_.find(id))
      if (auto found = env_.store->find_shape(id); found && *found && (*found)->known)
        shape->follow((*found)->known->facts->table);
  std::vector<move_list> news(others_->materializers.size());
  for (const auto& [writer, note] : changes.notes) {
    const auto heads = cluster::read_heads(note);
    if (!heads) {
      spdlog::error("follower: {}", heads.error().message);
      continue;
    }
    for (const auto& one : *heads) {
      const auto shape = shapes_.find(one.shape);
      if (!shape) { // not finished yet, or removed
        lag(one.shape, one.behind);
        continue;
      }
      head_move move{.shape = one.shape, .from = {}, .to = one.head, .seen = 0, .body = nullptr};
      const auto now = shape->update([&](shape_progress& p) {
        move.from = p.head;
        p.head = std::max(p.head, one.head);
        p.has_boundaries |= one.has_boundaries;
        p.behind = one.behind;
      });
      move.seen = promised(now, one.head.tx);
      if (move.from < move.to)
        news[others_->number_of(one.shape)].push_back(std::move(move));
    }
  }
  for (const auto id : changes.removed)
    behind_.erase(id);
  for (std::size_t i = 0; i < news.size(); ++i)
    if (!news[i].empty())
      caf::anon_send(others_->materializers[i], follow_atom_v, std::move(news[i]));
}

void follower::promise() {
  std::uint64_t last_seen = 0;
  const auto applied = now().applied;
  while (!promises_.empty() && promises_.front().sequence <= applied) {
    last_seen = promises_.front().last_seen;
    promises_.pop_front();
  }
  if (last_seen > 0 && std::exchange(begins_anew_, false))
    env_.status->restart(last_seen);
  for (std::size_t i = 0; last_seen > 0 && i < others_->materializers.size(); ++i)
    env_.status->processed(i, last_seen);
}

void follower::keep_synced() {
  std::unique_lock guard{mutex_};
  for (;;) {
    changed_.wait(guard, [this] { return stop_ || now_.applied > now_.synced; });
    if (stop_)
      return;
    const auto upto = now_.applied;
    guard.unlock();
    auto done = env_.store->sync_log();
    if (!done)
      spdlog::error("follower: {}; trying again", done.error().message);
    guard.lock();
    if (!done) {
      changed_.wait_for(guard, disk_retry, [this] { return stop_; });
      continue;
    }
    now_.synced = upto;
    guard.unlock();
    acknowledge();
    guard.lock();
    changed_.wait_for(guard, sync_period, [this] { return stop_; });
  }
}

bool follower::is_acknowledgement_due() const {
  const std::lock_guard guard{mutex_};
  return clock::now() - acknowledged_at_ >= acknowledge_period;
}

void follower::acknowledge() {
  std::shared_ptr<cluster::link> link;
  cluster::from_follower message;
  {
    const std::lock_guard guard{mutex_};
    link = link_;
    message = {.applied = now_.applied, .synced = now_.synced};
    acknowledged_at_ = clock::now();
  }
  if (link)
    (void)link->send(cluster::encode(message), clock::now() + send_patience);
}

void follower::when_applied(std::uint64_t sequence, clock::time_point until,
                            std::function<void(result<void>)> then) {
  {
    const std::lock_guard guard{mutex_};
    if (now_.applied < sequence && !stop_) {
      waiting_.push_back({sequence, until, std::move(then)});
      return;
    }
  }
  then({});
}

void follower::wake_waiting() {
  std::vector<waiting> ready;
  {
    const std::lock_guard guard{mutex_};
    const auto done =
        std::stable_partition(waiting_.begin(), waiting_.end(), [&](const waiting& one) {
          return one.sequence > now_.applied && !stop_;
        });
    std::move(done, waiting_.end(), std::back_inserter(ready));
    waiting_.erase(done, waiting_.end());
  }
  for (auto& one : ready)
    one.then({});
}

void follower::tick() {
  std::vector<waiting> late;
  const auto now = clock::now();
  {
    const std::lock_guard guard{mutex_};
    const auto done = std::stable_partition(waiting_.begin(), waiting_.end(),
                                            [&](const waiting& one) { return one.until > now; });
    std::move(done, waiting_.end(), std::back_inserter(late));
    waiting_.erase(done, waiting_.end());
  }
  for (auto& one : late)
    one.then(fail(errc::unavailable, "this node is behind the one that leads"));
}

} // namespace busbar
