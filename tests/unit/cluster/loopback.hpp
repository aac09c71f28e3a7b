// Members on this machine's loopback, for tests.
#pragma once

#include "cluster/peers.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace busbar::cluster {

using namespace std::chrono_literals;

/// What a test waits for at most; nothing that works needs nearly as long.
inline deadline patience() {
  return std::chrono::steady_clock::now() + 20s;
}

inline bool eventually(const std::function<bool()>& holds) {
  const auto until = patience();
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until)
      return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

/// A port of 127.0.0.1 that nobody else is given while this lives; who wants to may listen there.
class loopback_port {
public:
  explicit loopback_port(std::uint32_t host = INADDR_LOOPBACK)
      : fd_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
    const int yes = 1;
    ::setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(host);
    socklen_t length = sizeof at;
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&at), length), 0);
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &length), 0);
    number_ = ntohs(at.sin_port);
  }
  ~loopback_port() { ::close(fd_); }
  loopback_port(const loopback_port&) = delete;
  loopback_port& operator=(const loopback_port&) = delete;

  std::string number() const { return std::to_string(number_); }
  std::string address() const { return "127.0.0.1:" + number(); }

private:
  int fd_;
  std::uint16_t number_ = 0;
};

/// A plain connection to "127.0.0.1:port", for those who are no members.
inline int connect_plainly(const std::string& address) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port =
      htons(static_cast<std::uint16_t>(std::stoul(address.substr(address.rfind(':') + 1))));
  if (::connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0)
    return fd;
  ::close(fd);
  return -1;
}

/// A member whose status a test sets, and which answers "x" with "<name> says x".
class node {
public:
  explicit node(std::string address, std::vector<std::string> all,
                std::function<void(peers_settings&)> change = {}) {
    settings_.self = std::move(address);
    settings_.secret = "a secret of the cluster";
    settings_.members.addresses = std::move(all);
    settings_.stream_id = "default";
    settings_.storage_format = 1;
    settings_.version = "0.1.0";
    settings_.self_status = [this] {
      const std::lock_guard lock{mutex_};
      return status_;
    };
    settings_.on_request = [name = settings_.self](std::string request, auto reply) {
      reply(name + " says " + request);
    };
    settings_.on_change = [this] { ++changes; };
    if (change)
      change(settings_);
  }

  void start() {
    auto started = peers::start(settings_);
    ASSERT_TRUE(started) << started.error().message;
    peers_ = std::move(*started);
  }
  void stop() { peers_.reset(); }

  void set(const std::function<void(member_status&)>& change) {
    {
      const std::lock_guard lock{mutex_};
      change(status_);
    }
    if (peers_)
      peers_->tell();
  }

  peers* operator->() const { return peers_.get(); }
  const std::string& name() const { return settings_.self; }

  std::optional<member_view> view_of(const std::string& other) const {
    for (auto& one : peers_->members())
      if (one.status.name == other)
        return one;
    return std::nullopt;
  }
  bool sees(const std::string& other) const {
    const auto view = view_of(other);
    return view && view->heard && !view->away_for;
  }
  result<std::string> ask(const std::string& other, std::string what,
                          deadline until = patience()) const {
    auto said = std::make_shared<std::promise<result<std::string>>>();
    auto answer = said->get_future();
    peers_->ask(other, std::move(what), until,
                [said](result<std::string> a) { said->set_value(std::move(a)); });
    if (answer.wait_until(patience() + 10s) != std::future_status::ready)
      return fail(errc::corrupt, "never answered");
    return answer.get();
  }

  std::atomic<int> changes{0};

private:
  peers_settings settings_;
  mutable std::mutex mutex_;
  member_status status_;
  std::unique_ptr<peers> peers_;
};

} // namespace busbar::cluster
