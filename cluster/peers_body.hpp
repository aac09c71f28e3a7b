// cluster/peers_body.hpp: the inside of `peers`: dialers, conversations and the clock.
#pragma once

#include "cluster/conversation.hpp"
#include "cluster/greeting.hpp"
#include "cluster/listener.hpp"
#include "cluster/member_table.hpp"
#include "cluster/peers.hpp"
#include "cluster/pending_asks.hpp"
#include "cluster/roster.hpp"

#include <condition_variable>
#include <list>
#include <map>
#include <mutex>
#include <thread>

namespace busbar::cluster {

/// Sockets of who is between connecting and talking, so that stop() need not wait for them.
class watched_sockets {
public:
  class watch;
  void shut_all(); ///< And whatever is watched from now on.

private:
  std::mutex mutex_;
  bool shut_ = false;
  std::list<std::weak_ptr<link_socket>> sockets_;
};

class watched_sockets::watch {
public:
  watch(watched_sockets& all, std::weak_ptr<link_socket> socket);
  ~watch();
  watch(const watch&) = delete;
  watch& operator=(const watch&) = delete;

private:
  watched_sockets& all_;
  std::list<std::weak_ptr<link_socket>>::iterator at_;
};

struct peers::body {
  body(peers_settings s, tls_identity i);
  ~body();

  result<void> start();
  void stop();
  void ask(const std::string& member, std::string request, deadline until,
           std::function<void(result<std::string>)> then);
  result<std::unique_ptr<link>> open_channel(const std::string& member, purpose why,
                                             deadline until);
  member_status own_status() const;

  const peers_settings settings;
  watched_sockets watched;
  interrupt stopping_signal;
  mutable std::mutex mutex;
  member_table table;                                              // under mutex
  std::multimap<std::string, std::shared_ptr<conversation>> talks; // by name, under mutex

private:
  struct dialer {
    interrupt stop;
    bool listed = true; // under mutex, as is `done`
    bool done = false;
    std::thread thread;
  };

  hello own_hello(purpose why) const;
  // Dialling, on the dialers' threads and the roster's:
  void set_addresses(std::vector<std::string> addresses);
  void dial_on(const std::string& address, dialer& self);
  bool dial_once(const std::string& address, dialer& self);
  // Talking, on the thread of the dialer or of the listener:
  void take_link(std::unique_ptr<link> from);
  error talk(std::unique_ptr<link> over, hello theirs);
  std::optional<std::string> conflict(const hello& theirs);
  result<void> hear(const conversation& from, member_status status,
                    std::optional<std::chrono::microseconds> round_trip);
  void settle(const conversation& from, std::uint64_t id, result<std::string> answer);
  // The clock:
  void run_clock();
  void finish(pending_asks::answer then, error why);
  void wake_clock();
  void note_once(const std::string& about, const std::string& line);

  const tls_identity identity_;
  const std::uint64_t instance_;
  conversation_events events_;
  pending_asks pending_;
  std::map<std::string, std::unique_ptr<dialer>> dialers_; // by address, under mutex, like the rest
  std::condition_variable clock_wakes_;
  bool stopping_ = false;
  bool clock_kicked_ = false;
  bool clock_over_ = false;
  bool changed_ = false;
  deadline clock_due_ = deadline::max();
  std::vector<std::pair<pending_asks::answer, error>> failed_;
  std::map<std::string, std::string> noted_;

  std::mutex stop_once_;
  std::unique_ptr<listener> listener_;
  std::unique_ptr<roster> roster_;
  std::thread clock_;
};

} // namespace busbar::cluster
