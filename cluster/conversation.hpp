// cluster/conversation.hpp: a peer link after hello: heartbeats, questions and answers, both ways.
#pragma once

#include "base/result.hpp"
#include "cluster/hello.hpp"
#include "cluster/link.hpp"
#include "cluster/member.hpp"
#include "cluster/wire.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace busbar::cluster {

struct conversation_limits {
  std::chrono::milliseconds heartbeat{250};
  std::chrono::milliseconds silence_max{5'000};
  std::size_t unanswered_max = 10'000;
  std::size_t body_bytes_max = 8u << 20;
  std::size_t queue_bytes_max = 64u << 20;
};

class conversation;

/// What comes of a conversation, on its thread. The owner outlives it.
struct conversation_events {
  std::function<member_status()> status; ///< To be sent.
  /// The other's status; with how long a heartbeat took there and back, if that is known.
  std::function<result<void>(const conversation&, member_status,
                             std::optional<std::chrono::microseconds>)>
      heard;
  std::function<void(std::string, std::function<void(std::string)>)> asked;
  std::function<void(const conversation&, std::uint64_t, result<std::string>)> answered;
};

/// Life: made → run() → let go, when nobody posts any more. Others may keep it beyond run().
class conversation : public std::enable_shared_from_this<conversation> {
public:
  conversation(std::unique_ptr<link> over, hello theirs, conversation_limits limits,
               const conversation_events& events);

  /// Talks until the link breaks, the other side is silent for too long or shut() is called. The
  /// error says which.
  error run();

  // Any thread:
  bool ask(std::uint64_t id, std::string body); ///< False: over, or too much waits to be sent.
  void tell();                                  ///< Send a heartbeat now.
  void shut();
  const hello& theirs() const noexcept { return theirs_; }
  deadline last_heard() const noexcept { return last_heard_.load(); }

private:
  class debt;
  bool post(std::string message);
  void write_on();
  bool write_one(std::unique_lock<std::mutex>& lock);
  std::string next_heartbeat(member_status status);
  std::optional<std::chrono::microseconds> note(const wire::heartbeat& beat);
  result<void> take(wire::message& what);
  result<void> take(wire::request& question);

  const hello theirs_;
  const conversation_limits limits_;
  const conversation_events& events_; // borrowed; used only within run()
  const std::unique_ptr<link> link_;
  std::atomic<deadline> last_heard_;
  std::atomic<std::size_t> unanswered_{0};

  std::mutex mutex_;
  std::condition_variable wake_writer_;
  bool over_ = false;    // under mutex_, like all below
  bool tell_now_ = true; // the first heartbeat goes at once
  std::deque<std::string> outbox_;
  std::size_t outbox_bytes_ = 0;
  deadline next_beat_;
  std::uint64_t beats_sent_ = 0;
  std::deque<std::pair<std::uint64_t, deadline>> beats_; ///< Sent, and not yet echoed.
  std::uint64_t beat_heard_ = 0;
  deadline beat_heard_at_;
};

} // namespace busbar::cluster
