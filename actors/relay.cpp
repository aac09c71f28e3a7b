#include "actors/relay.hpp"

#include <spdlog/spdlog.h>

#include <condition_variable>
#include <deque>
#include <thread>
#include <utility>

namespace busbar {

namespace {

using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds answer_patience{5};
/// Without news: so often a follower hears from us …
constexpr milliseconds sign_of_life{300};
/// … and so long the log is waited for, before what else may have changed is looked at.
constexpr milliseconds look_around{100};
constexpr seconds send_patience{10};
constexpr seconds silence_max{5};
constexpr std::size_t message_bytes = 512 * 1024;
/// Under load what is written in so long goes together: a message costs more than many small
/// batches do. What comes after a pause goes at once.
constexpr milliseconds gather{10};
/// Sent, and not applied there yet. A follower that is slower than we are finds the rest on disk.
constexpr std::size_t unacknowledged_max = 16u << 20;
constexpr std::size_t copy_piece_bytes = 1u << 20;
constexpr int copies_max = 2;
constexpr seconds checkpoint_kept{120};

} // namespace

/// What is on its way to one follower.
struct relay::outstanding {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::pair<std::uint64_t, std::size_t>> messages; ///< Last sequence number, bytes.
  std::size_t bytes = 0;
  bool ended = false; ///< The follower is not heard any more.

  void sent(std::uint64_t last, std::size_t size) {
    const std::lock_guard guard{mutex};
    messages.emplace_back(last, size);
    bytes += size;
  }
  void applied(std::uint64_t upto) {
    {
      const std::lock_guard guard{mutex};
      while (!messages.empty() && messages.front().first <= upto) {
        bytes -= messages.front().second;
        messages.pop_front();
      }
    }
    changed.notify_all();
  }
  void end() {
    {
      const std::lock_guard guard{mutex};
      ended = true;
    }
    changed.notify_all();
  }
  bool has_ended() {
    const std::lock_guard guard{mutex};
    return ended;
  }
  bool wait_for_room(clock::time_point until) {
    std::unique_lock guard{mutex};
    return changed.wait_until(guard, until, [this] {
      return ended || bytes < unacknowledged_max;
    }) && !ended;
  }
};

void relay::serve_follow(cluster::link& to, const std::string& member) {
  const auto asked = to.receive(clock::now() + answer_patience);
  if (!asked || !*asked)
    return;
  const auto request = cluster::read_follow_request(**asked);
  if (!request) {
    spdlog::warn("{} asks to follow: {}", member, request.error().message);
    return;
  }
  const auto reply = [&](const cluster::follow_reply& what) {
    return to.send(cluster::encode(what), clock::now() + answer_patience).has_value();
  };
  const auto term = env_.term();
  if (term == 0) {
    (void)reply(cluster::refused{"this node does not lead"});
    return;
  }
  const auto ours = store().lineage();
  if (!ours) {
    (void)reply(cluster::refused{ours.error().message});
    return;
  }
  if (!storage::may_follow(request->lineage, request->sequence, *ours, store().sequence())) {
    // Without a stream it may well be the one that asks who has more.
    if (!env_.status->streaming())
      (void)reply(cluster::refused{"the leader has no stream"});
    else
      (void)reply(cluster::must_copy{request->lineage.empty()
                                         ? "its storage is not of this cluster yet"
                                         : "its storage has something that the leader's has not",
                                     term});
    return;
  }
  auto tail = store().tail(request->sequence);
  // Whether the log reaches back so far shows when it is read.
  auto first = tail ? (*tail)->next(clock::now()) : fail(tail.error());
  if (!first) {
    (void)reply(cluster::must_copy{
        "the leader's log does not reach back to where it stands: " + first.error().message, term});
    return;
  }
  if (!reply(cluster::go_on{term}))
    return;
  // Whoever only asked whether he may says nothing more.
  if (const auto said = to.receive(clock::now() + answer_patience); !said || !*said)
    return;
  spdlog::info("{} follows from {}, {} behind", member, request->sequence,
               store().sequence() - request->sequence);
  const auto number =
      env_.gate->joined(member, request->sequence, store().sequence(), clock::now());
  {
    const std::lock_guard guard{mutex_};
    held_.erase(member);
  }
  outstanding unacknowledged;
  std::thread ear{[&] { hear(to, member, number, unacknowledged); }};
  send_log(to, member, term, **tail, *std::move(first), unacknowledged);
  to.shut();
  ear.join();
  env_.gate->left(member, number);
  spdlog::info("{} does not follow any more", member);
}

void relay::hear(cluster::link& from, const std::string& member, std::uint64_t number,
                 outstanding& unacknowledged) {
  auto last = clock::now();
  while (!stopped()) {
    const auto bytes = from.receive(clock::now() + seconds{1});
    if (!bytes)
      break;
    if (!*bytes) {
      if (clock::now() - last > silence_max)
        break;
      continue;
    }
    const auto said = cluster::read_from_follower(**bytes);
    if (!said)
      continue; // of a newer kind
    last = clock::now();
    env_.gate->heard(member, number, said->applied, said->synced, last);
    unacknowledged.applied(said->applied);
  }
  unacknowledged.end();
}

void relay::send_log(cluster::link& to, const std::string& member, std::uint64_t term,
                     storage::log_tail& tail, std::optional<storage::replicated_batch> next,
                     outstanding& unacknowledged) {
  bool is_first = true;
  cluster::leader_progress told;
  auto told_at = clock::time_point{};
  while (!stopped() && env_.term() == term) {
    if (const auto due = told_at + gather; clock::now() < due)
      std::this_thread::sleep_until(due);
    // In this order: all that G speaks of is in the log up to this number.
    cluster::leader_progress progress;
    progress.last_seen = env_.status->last_seen_lsn();
    progress.sequence = store().sequence();
    progress.streaming = env_.status->streaming();
    progress.in_sync = env_.gate->counts(member);
    const bool is_news = progress.last_seen != told.last_seen ||
                         progress.streaming != told.streaming || progress.in_sync != told.in_sync ||
                         clock::now() - told_at > sign_of_life;
    cluster::from_leader message{.term = term, .batches = {}, .progress = progress};
    if (std::exchange(is_first, false))
      message.behind = env_.behind();
    std::size_t bytes = 0;
    std::uint64_t last = 0;
    for (auto until = clock::now() + (is_news ? milliseconds{0} : look_around);
         bytes < message_bytes; until = clock::now()) {
      if (!next) {
        auto read = tail.next(until);
        if (!read) {
          spdlog::warn("{} cannot be sent the log any more: {}", member, read.error().message);
          return;
        }
        next = *std::move(read);
      }
      if (!next)
        break;
      bytes += next->bytes.size();
      last = next->last();
      message.batches.push_back(*std::exchange(next, std::nullopt));
    }
    if (message.batches.empty() && !is_news) {
      if (unacknowledged.has_ended())
        return;
      continue;
    }
    if (!unacknowledged.wait_for_room(clock::now() + seconds{1})) {
      // Nothing is lost by waiting on: what is to be sent is kept.
      while (!stopped() && !unacknowledged.has_ended() &&
             !unacknowledged.wait_for_room(clock::now() + seconds{1})) {
      }
      if (stopped() || unacknowledged.has_ended())
        return;
    }
    if (last > 0)
      unacknowledged.sent(last, bytes);
    if (auto sent = to.send(cluster::encode(message), clock::now() + send_patience); !sent) {
      spdlog::info("{}: {}", member, sent.error().message);
      return;
    }
    env_.metrics->relayed_bytes.Increment(static_cast<double>(bytes));
    told = progress;
    told_at = clock::now();
  }
}

void relay::serve_copy(cluster::link& to, const std::string& member) {
  if (const auto asked = to.receive(clock::now() + answer_patience); !asked || !*asked)
    return;
  const auto send = [&](const cluster::copy_part& part) {
    return to.send(cluster::encode(part), clock::now() + send_patience).has_value();
  };
  struct seat {
    explicit seat(std::atomic<int>& count) : taken{count}, number{count.fetch_add(1)} {}
    ~seat() { taken.fetch_sub(1); }
    seat(const seat&) = delete;
    seat& operator=(const seat&) = delete;
    std::atomic<int>& taken;
    int number;
  } const one{copies_};
  if (env_.term() == 0 || one.number >= copies_max) {
    (void)send(cluster::refused{env_.term() == 0 ? "this node does not lead"
                                                 : "others are copying already"});
    return;
  }
  auto files = store().checkpoint();
  if (!files) {
    spdlog::error("{} cannot copy our storage: {}", member, files.error().message);
    (void)send(cluster::refused{files.error().message});
    return;
  }
  auto& copy = **files;
  spdlog::info("{} copies our storage as of {}", member, copy.sequence());
  if (!send(copy.files()))
    return;
  for (const auto& file : copy.files())
    for (std::uint64_t at = 0; at < file.size;) {
      if (stopped())
        return;
      auto bytes = copy.read(file.name, at, copy_piece_bytes);
      if (!bytes || bytes->empty()) {
        (void)send(cluster::refused{bytes ? file.name + " ends too early" : bytes.error().message});
        return;
      }
      const auto size = bytes->size();
      if (!send(cluster::copy_piece{.file = file.name, .offset = at, .bytes = std::move(*bytes)}))
        return;
      at += size;
    }
  if (!send(cluster::copy_end{}))
    return;
  env_.metrics->copies_sent.Increment();
  // The log must still reach back to it when the copy comes to follow.
  const std::lock_guard guard{mutex_};
  held_[member] = {std::move(*files), clock::now() + checkpoint_kept};
}

void relay::tick() {
  const std::lock_guard guard{mutex_};
  std::erase_if(held_, [](const auto& entry) { return entry.second.until < clock::now(); });
}

} // namespace busbar
