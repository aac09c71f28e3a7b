#include "cluster/conversation.hpp"

#include <system_error>
#include <thread>
#include <utility>

namespace busbar::cluster {
namespace {

using std::chrono::steady_clock;
/// What a message needs beside its body.
constexpr std::size_t envelope_bytes = 4'096;
/// Heartbeats whose echo is still awaited.
constexpr std::size_t beats_max = 64;

} // namespace

/// An answer that the other side waits for. Paid once; if it is let go unpaid, that is said.
class conversation::debt {
public:
  debt(std::weak_ptr<conversation> owner, std::uint64_t id) : owner_{std::move(owner)}, id_{id} {}
  ~debt() { pay({id_, {}, "it was not answered"}); }
  debt(const debt&) = delete;
  debt& operator=(const debt&) = delete;

  void pay(std::string body) {
    const auto owner = owner_.lock();
    if (owner && body.size() > owner->limits_.body_bytes_max)
      pay({id_, {}, "the answer is too large"});
    else
      pay({id_, std::move(body)});
  }

private:
  void pay(wire::reply answer) {
    if (paid_.exchange(true))
      return;
    if (const auto owner = owner_.lock()) {
      --owner->unanswered_;
      owner->post(wire::encode(answer));
    }
  }

  std::weak_ptr<conversation> owner_;
  const std::uint64_t id_;
  std::atomic<bool> paid_{false};
};

conversation::conversation(std::unique_ptr<link> over, hello theirs, conversation_limits limits,
                           const conversation_events& events)
    : theirs_{std::move(theirs)}, limits_{limits}, events_{events}, link_{std::move(over)},
      last_heard_{steady_clock::now()}, next_beat_{steady_clock::now()} {}

error conversation::run() {
  std::thread writer;
  try {
    writer = std::thread{[this] { write_on(); }};
  } catch (const std::system_error& none) {
    shut();
    return {errc::unavailable, std::string{"no thread: "} + none.what()};
  }
  error why;
  for (;;) {
    auto bytes = link_->receive(steady_clock::now() + limits_.silence_max,
                                limits_.body_bytes_max + envelope_bytes);
    if (!bytes) {
      why = std::move(bytes).error();
      break;
    }
    if (!*bytes) {
      why = {errc::unavailable, "link with " + link_->remote() + ": silent for too long"};
      break;
    }
    last_heard_ = steady_clock::now();
    auto what = wire::decode(**bytes);
    auto done = what ? *what ? take(**what) : result<void>{} : fail(std::move(what).error());
    if (!done) {
      why = std::move(done).error().with_context("link with " + link_->remote());
      break;
    }
  }
  shut();
  writer.join();
  return why;
}

void conversation::shut() {
  {
    const std::lock_guard lock{mutex_};
    over_ = true;
    outbox_.clear();
    outbox_bytes_ = 0;
  }
  wake_writer_.notify_all();
  link_->shut();
}

void conversation::tell() {
  {
    const std::lock_guard lock{mutex_};
    tell_now_ = true;
  }
  wake_writer_.notify_all();
}

bool conversation::ask(std::uint64_t id, std::string body) {
  return post(wire::encode(wire::request{id, std::move(body)}));
}

bool conversation::post(std::string message) {
  {
    const std::lock_guard lock{mutex_};
    if (over_ || outbox_bytes_ + message.size() > limits_.queue_bytes_max)
      return false;
    outbox_bytes_ += message.size();
    outbox_.push_back(std::move(message));
  }
  wake_writer_.notify_all();
  return true;
}

void conversation::write_on() {
  std::unique_lock lock{mutex_};
  for (;;) {
    wake_writer_.wait_until(lock, next_beat_,
                            [this] { return over_ || tell_now_ || !outbox_.empty(); });
    if (over_)
      return;
    if (!write_one(lock)) {
      lock.unlock();
      link_->shut(); // the reader says why
      return;
    }
  }
}

/// A heartbeat if one is due, else what waits longest. Unlocks meanwhile.
bool conversation::write_one(std::unique_lock<std::mutex>& lock) {
  std::string message;
  if (tell_now_ || steady_clock::now() >= next_beat_) {
    tell_now_ = false;
    next_beat_ = steady_clock::now() + limits_.heartbeat;
    lock.unlock();
    auto status = events_.status();
    lock.lock();
    message = next_heartbeat(std::move(status));
  } else if (!outbox_.empty()) {
    message = std::move(outbox_.front());
    outbox_.pop_front();
    outbox_bytes_ -= message.size();
  } else {
    return true;
  }
  lock.unlock();
  const bool sent = link_->send(message, steady_clock::now() + limits_.silence_max).has_value();
  lock.lock();
  return sent;
}

/// Under mutex_.
std::string conversation::next_heartbeat(member_status status) {
  const auto now = steady_clock::now();
  wire::heartbeat beat{std::move(status), ++beats_sent_, beat_heard_, 0};
  if (beat_heard_ != 0)
    beat.held_micros = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(now - beat_heard_at_).count());
  beats_.emplace_back(beats_sent_, now);
  if (beats_.size() > beats_max)
    beats_.pop_front();
  return wire::encode(std::move(beat));
}

/// How long the echoed heartbeat took there and back.
std::optional<std::chrono::microseconds> conversation::note(const wire::heartbeat& beat) {
  const auto now = steady_clock::now();
  const std::lock_guard lock{mutex_};
  beat_heard_ = beat.number;
  beat_heard_at_ = now;
  std::optional<std::chrono::microseconds> out;
  while (!beats_.empty() && beats_.front().first <= beat.echo) {
    const auto took =
        std::chrono::duration_cast<std::chrono::microseconds>(now - beats_.front().second);
    if (beats_.front().first == beat.echo && beat.held_micros <= std::uint64_t(took.count()))
      out = took - std::chrono::microseconds{beat.held_micros};
    beats_.pop_front();
  }
  return out;
}

result<void> conversation::take(wire::message& what) {
  if (auto* beat = std::get_if<wire::heartbeat>(&what)) {
    const auto round_trip = note(*beat);
    return events_.heard(*this, std::move(beat->status), round_trip);
  }
  if (auto* question = std::get_if<wire::request>(&what))
    return take(*question);
  if (auto* answer = std::get_if<wire::reply>(&what)) {
    auto said = answer->failure.empty()
                    ? result<std::string>{std::move(answer->body)}
                    : fail(errc::unavailable, theirs_.name + ": " + answer->failure);
    events_.answered(*this, answer->id, std::move(said));
    return {};
  }
  if (const auto* no = std::get_if<wire::refusal>(&what))
    return fail(errc::unavailable, "refused: " + no->reason);
  return {}; // a second hello says nothing new
}

result<void> conversation::take(wire::request& question) {
  if (++unanswered_ > limits_.unanswered_max) {
    --unanswered_;
    // Who cannot even be told that is not reading.
    if (!post(wire::encode(wire::reply{question.id, {}, "too many questions wait for answers"})))
      return fail(errc::unavailable, "it asks and does not read");
    return {};
  }
  auto owed = std::make_shared<debt>(weak_from_this(), question.id);
  events_.asked(std::move(question.body),
                [owed = std::move(owed)](std::string body) { owed->pay(std::move(body)); });
  return {};
}

} // namespace busbar::cluster
