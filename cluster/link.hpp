// cluster/link.hpp: a connection between two members: TLS over TCP, whole messages.
//
// On the wire each message is its length (u32, big-endian) and its bytes.
#pragma once

#include "base/result.hpp"
#include "cluster/interrupt.hpp"
#include "cluster/socket_bio.hpp"
#include "cluster/tls_identity.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

struct ssl_st;

namespace busbar::cluster {

using deadline = std::chrono::steady_clock::time_point;

/// The socket of a link, for who must end it without owning it. Any thread.
class link_socket {
public:
  explicit link_socket(int fd) noexcept : fd_{fd} {}
  ~link_socket();
  link_socket(const link_socket&) = delete;
  link_socket& operator=(const link_socket&) = delete;

  void shut() noexcept; ///< Whoever waits on the link is woken, and the link is broken.
  int descriptor() const noexcept { return fd_; }

private:
  const int fd_;
};

/// Threads: one receives, while any may send; sends wait for each other. shut() from any.
/// What fails with an error is broken for good: let the link go.
class link {
public:
  static constexpr std::size_t message_bytes_max = 64u << 20;
  /// So much is sent with one key: AES-GCM is good for some more.
  static constexpr std::uint64_t rekey_bytes = std::uint64_t{64} << 30;

  /// Connects to "host:port" (a name or an address; "[::1]:7000") and shakes hands. Raising `stop`
  /// ends it early.
  static result<std::unique_ptr<link>> dial(const tls_identity& identity,
                                            const std::string& address, deadline until,
                                            const interrupt& stop);
  /// Shakes hands with who connected. Ended early by socket->shut().
  static result<std::unique_ptr<link>> answer(const tls_identity& identity,
                                              std::shared_ptr<link_socket> socket, deadline until);
  ~link();
  link(const link&) = delete;
  link& operator=(const link&) = delete;

  /// The next message; nullopt if none has come until then, which breaks nothing: what has come of
  /// one is kept for the next call. `bytes_max` is what the caller is ready to take.
  result<std::optional<std::string>> receive(deadline until,
                                             std::size_t bytes_max = message_bytes_max);
  /// One message, of these parts one after the other. Not done in time: an error, and broken.
  result<void> send(std::initializer_list<std::string_view> parts, deadline until);
  result<void> send(std::string_view bytes, deadline until) { return send({bytes}, until); }

  void shut() noexcept { socket_->shut(); }
  std::weak_ptr<link_socket> socket() const noexcept { return socket_; }
  void rekey_after(std::uint64_t bytes) noexcept { rekey_bytes_ = bytes; }
  const std::string& remote() const noexcept { return remote_; } ///< "address:port", for logs.

private:
  struct ssl_end {
    void operator()(ssl_st* ssl) const noexcept;
  };
  link(const tls_identity& identity, std::shared_ptr<link_socket> socket);

  result<void> shake_hands(bool as_client, deadline until, const interrupt* stop);
  template <class Call>
  result<bool> attempt(Call call, deadline until);
  result<bool> read_some(char* to, std::size_t bytes, std::size_t& got, deadline until);
  result<void> send_whole(std::initializer_list<std::string_view> parts, std::size_t bytes,
                          deadline until);
  result<void> write_all(std::string_view bytes, bool more_follows, deadline until);

  tls_identity identity_; // keeps the context
  std::shared_ptr<link_socket> socket_;
  std::string remote_;
  std::mutex turn_;      ///< Who waits for ssl_mutex_ holds this, and so is the next to have it.
  std::mutex ssl_mutex_; ///< OpenSSL allows one call at a time; nobody waits for the network in it.
  socket_end end_;       // under ssl_mutex_
  std::unique_ptr<ssl_st, ssl_end> ssl_;
  std::mutex send_mutex_;
  std::condition_variable send_ended_;
  bool sending_ = false;               // under send_mutex_: messages are not to be mixed
  bool send_broken_ = false;           // under send_mutex_
  std::uint64_t sent_since_rekey_ = 0; // of who sends
  std::atomic<std::uint64_t> rekey_bytes_ = rekey_bytes;
  // Of the receiver alone: what has come of the next message.
  std::array<char, 4> length_{};
  std::size_t length_got_ = 0;
  std::string body_;
};

} // namespace busbar::cluster
