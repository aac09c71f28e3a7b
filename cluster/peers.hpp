// cluster/peers.hpp: the other members: who they are, how they are, and how to ask them something.
//
// Every node dials every other and is dialled by it, so two links lie between two nodes; over each
// both send heartbeats, questions and answers. One of them is enough.
#pragma once

#include "base/result.hpp"
#include "cluster/hello.hpp"
#include "cluster/link.hpp"
#include "cluster/member.hpp"
#include "cluster/roster.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace busbar::cluster {

/// Limits and paces. The defaults are what a cluster runs with.
struct peers_limits {
  std::chrono::milliseconds heartbeat{250};
  std::chrono::milliseconds away_after{1'500};    ///< So long without a word: away.
  std::chrono::milliseconds give_up_after{5'000}; ///< … and then its links are dialled anew.
  std::chrono::milliseconds connect_time{3'000};  ///< For one dial with handshake and hello.
  std::chrono::milliseconds retry_least{100};
  std::chrono::milliseconds retry_most{2'000};
  std::chrono::milliseconds forget_after{60'000}; ///< Who is away and in no roster any more.
  std::size_t pending_max = 10'000;               ///< Questions of ours without an answer.
  std::size_t unanswered_max = 10'000;            ///< Questions of one link that we owe an answer.
  std::size_t body_bytes_max = 8u << 20;          ///< Of one question or answer.
  std::size_t queue_bytes_max = 64u << 20;        ///< Of what waits to be sent on one link.
};

struct peers_settings {
  std::string self; ///< BUSBAR_CLUSTER_ADDRESS: listened at, and this member's name.
  std::string secret;
  roster_settings members;
  std::string stream_id;
  std::uint32_t storage_format = 0;
  std::uint32_t oldest_storage_format = 0; ///< See hello.
  std::string version;                     ///< Of this Busbar.
  /// Any thread, also under way of other calls: must not call `peers` nor wait for anything.
  std::function<member_status()> self_status;
  /// On a link's thread, which it must not hold up. `reply` may be called from any thread, once,
  /// also after the link or `peers` are gone; a question whose `reply` is let go stays unanswered.
  std::function<void(std::string request, std::function<void(std::string)> reply)> on_request;
  /// A follow or copy link after hello, on a thread of its own, which it may keep.
  std::function<void(std::unique_ptr<link>, purpose, const hello&)> on_channel;
  /// A member came or went, or role, term, leader, in_sync, may_lead or draining of one changed. On
  /// a thread of `peers`, never twice at a time; several changes may be one call.
  std::function<void()> on_change;
  peers_limits limits;
};

/// Any thread, except where it says otherwise. Callbacks may call everything but stop().
class peers {
public:
  /// Listens and begins to dial. Callbacks may come before this returns. An error is one that a
  /// human must mend: errc::misconfigured.
  static result<std::unique_ptr<peers>> start(peers_settings settings);
  ~peers(); ///< Calls stop().
  peers(const peers&) = delete;
  peers& operator=(const peers&) = delete;

  /// The others, by name: all that the roster lists by name or that were heard.
  std::vector<member_view> members() const;

  /// The member with role leader and the highest term that is not away; may be this one.
  std::optional<std::string> leader() const;

  const std::string& self() const noexcept;

  /// `then` is called exactly once, on a thread of `peers`, or in this call once stop() has begun:
  /// with the answer, or with errc::unavailable when the time is over, the link broke, nothing
  /// leads to this member or too many questions wait. Whether the other side has heard the question
  /// is then unknown.
  void ask(const std::string& member, std::string request, deadline until,
           std::function<void(result<std::string>)> then);

  /// Waits. The link is the caller's alone: shut it before stop(), which does not know it.
  result<std::unique_ptr<link>> open_channel(const std::string& member, purpose why,
                                             deadline until);

  /// Sends a heartbeat now: what self_status() says has changed.
  void tell();

  /// Ends all links, answers what is pending with errc::unavailable and joins all threads. Links
  /// given to on_channel() are shut; what else it waits for there must have been ended before.
  /// Idempotent.
  void stop();

private:
  struct body;
  explicit peers(std::unique_ptr<body> b);
  std::unique_ptr<body> body_;
};

} // namespace busbar::cluster
