// cluster/listener.hpp: the port at which other members connect.
#pragma once

#include "base/result.hpp"
#include "cluster/link.hpp"

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace busbar::cluster {

struct listener_settings {
  std::string address; ///< "host:port". A host that is no address of this machine: all of its own.
  std::size_t links_max = 256;
  std::size_t handshakes_max = 32; ///< A stranger holds one of these, for at most …
  std::chrono::milliseconds handshake_time{3'000};
};

/// Each link has a thread of its own, which shakes hands and calls `on_link`. What is above the
/// bounds is closed at once.
class listener {
public:
  /// `on_link` keeps the link as long as it likes; its thread counts until it returns.
  static result<std::unique_ptr<listener>>
  start(listener_settings settings, tls_identity identity,
        std::function<void(std::unique_ptr<link>)> on_link);
  ~listener(); ///< Calls stop().
  listener(const listener&) = delete;
  listener& operator=(const listener&) = delete;

  /// Accepts no more, shuts the links whose on_link() still runs, and waits for that. Idempotent.
  void stop();

private:
  struct worker {
    std::weak_ptr<link_socket> socket;
    bool shaking = true;
    bool done = false;
    std::thread thread;
  };

  listener(listener_settings settings, tls_identity identity,
           std::function<void(std::unique_ptr<link>)> on_link, int fd);
  void accept_all();
  void take(int fd);
  void serve(worker& self, std::shared_ptr<link_socket> socket);
  void reap();

  const listener_settings settings_;
  const tls_identity identity_;
  const std::function<void(std::unique_ptr<link>)> on_link_;
  const int fd_;
  interrupt stop_;
  std::mutex mutex_;
  bool stopping_ = false;
  std::list<worker> workers_; // under mutex_; a worker's thread writes its own flags under it, too
  std::thread acceptor_;      // the last: it uses all the others
};

} // namespace busbar::cluster
