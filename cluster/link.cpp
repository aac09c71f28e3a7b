#include "cluster/link.hpp"

#include "cluster/roster.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace busbar::cluster {
namespace {

constexpr std::size_t length_bytes = 4;
/// What TLS puts into one record.
constexpr std::size_t record_bytes = 16u << 10;
/// A length is only a claim: memory for a message grows with what has come of it.
constexpr std::size_t growth_bytes = 256u << 10;

std::string system_text(int number) {
  return std::error_code{number, std::generic_category()}.message();
}

/// Of the SSL call that has just failed on this thread.
error tls_trouble(const std::string& remote, int kind, int number) {
  const auto code = ERR_get_error();
  std::string why;
  if (kind == SSL_ERROR_ZERO_RETURN || ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING ||
      (kind == SSL_ERROR_SYSCALL && number == 0))
    why = "closed by the other side";
  else if (kind == SSL_ERROR_SYSCALL)
    why = system_text(number);
  else if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED)
    why = "it has another BUSBAR_CLUSTER_SECRET";
  else if (const char* reason = ERR_reason_error_string(code); reason != nullptr)
    why = std::string{"TLS: "} + reason;
  else
    why = "TLS failed";
  ERR_clear_error();
  return {errc::unavailable, "link with " + remote + ": " + why};
}

void set(int fd, int level, int option, int value) {
  ::setsockopt(fd, level, option, &value, sizeof value);
}

/// A network that swallows everything is noticed within five seconds, also by who only waits.
void tune(int fd) {
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 5'000);
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 2);
  set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
}

std::string remote_of(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::getpeername(fd, generic, &length) != 0 ||
      ::getnameinfo(generic, length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "an unknown address";
  return join_address(host, port);
}

/// `numeric` is "address:port".
result<std::shared_ptr<link_socket>> connect_to(const std::string& numeric, deadline until,
                                                const interrupt& stop) {
  const auto wrong = [&](const std::string& why) {
    return fail(errc::unavailable, "connect to " + numeric + ": " + why);
  };
  const auto parts = split_address(numeric);
  if (!parts)
    return fail(parts.error());
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int code = ::getaddrinfo(parts->host.c_str(), parts->port.c_str(), &hints, &found))
    return wrong(::gai_strerror(code));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> address{found, &::freeaddrinfo};
  const int fd =
      ::socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd < 0)
    return wrong(system_text(errno));
  auto socket = std::make_shared<link_socket>(fd);
  tune(fd);
  if (::connect(fd, address->ai_addr, address->ai_addrlen) == 0)
    return socket;
  if (errno != EINPROGRESS)
    return wrong(system_text(errno));
  switch (wait_for(fd, POLLOUT, until, &stop)) {
  case woken_by::time:
    return wrong("no answer in time");
  case woken_by::interrupt:
    return wrong("interrupted");
  case woken_by::descriptor:
    break;
  }
  int number = 0;
  socklen_t length = sizeof number;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &length) != 0 || number != 0)
    return wrong(system_text(number != 0 ? number : errno));
  return socket;
}

/// One after the other, each with its share of the time that is left.
result<std::shared_ptr<link_socket>> connect_to_any(const std::vector<std::string>& addresses,
                                                    deadline until, const interrupt& stop) {
  error last{errc::unavailable, "no address"};
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    const auto now = std::chrono::steady_clock::now();
    const auto share = (until - now) / static_cast<int>(addresses.size() - i);
    auto socket = connect_to(addresses[i], now + share, stop);
    if (socket)
      return socket;
    last = std::move(socket).error();
  }
  return fail(std::move(last));
}

} // namespace

link_socket::~link_socket() {
  ::close(fd_);
}

void link_socket::shut() noexcept {
  ::shutdown(fd_, SHUT_RDWR);
}

void link::ssl_end::operator()(ssl_st* ssl) const noexcept {
  SSL_free(ssl);
}

link::link(const tls_identity& identity, std::shared_ptr<link_socket> socket)
    : identity_{identity}, socket_{std::move(socket)}, remote_{remote_of(socket_->descriptor())},
      end_{.descriptor = socket_->descriptor()}, ssl_{SSL_new(identity_.context())} {}

link::~link() = default;

result<std::unique_ptr<link>> link::dial(const tls_identity& identity, const std::string& address,
                                         deadline until, const interrupt& stop) {
  const auto addresses = look_up(address, until, stop);
  if (!addresses)
    return fail(addresses.error());
  auto socket = connect_to_any(*addresses, until, stop);
  if (!socket)
    return fail(std::move(socket).error());
  std::unique_ptr<link> out{new link{identity, std::move(*socket)}};
  if (auto done = out->shake_hands(true, until, &stop); !done)
    return fail(std::move(done).error());
  return out;
}

result<std::unique_ptr<link>> link::answer(const tls_identity& identity,
                                           std::shared_ptr<link_socket> socket, deadline until) {
  tune(socket->descriptor());
  std::unique_ptr<link> out{new link{identity, std::move(socket)}};
  if (auto done = out->shake_hands(false, until, nullptr); !done)
    return fail(std::move(done).error());
  return out;
}

result<void> link::shake_hands(bool as_client, deadline until, const interrupt* stop) {
  const int fd = socket_->descriptor();
  bio_st* bio = ssl_ ? make_socket_bio(end_) : nullptr;
  if (bio == nullptr)
    return fail(errc::unavailable, "link with " + remote_ + ": no memory");
  SSL_set_bio(ssl_.get(), bio, bio);
  if (as_client)
    SSL_set_connect_state(ssl_.get());
  else
    SSL_set_accept_state(ssl_.get());
  for (;;) {
    ERR_clear_error();
    errno = 0;
    const int done = SSL_do_handshake(ssl_.get());
    if (done == 1)
      return {};
    const int number = errno;
    const int kind = SSL_get_error(ssl_.get(), done);
    if (kind != SSL_ERROR_WANT_READ && kind != SSL_ERROR_WANT_WRITE)
      return fail(tls_trouble(remote_, kind, number));
    switch (wait_for(fd, kind == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, until, stop)) {
    case woken_by::time:
      return fail(errc::unavailable, "link with " + remote_ + ": no handshake in time");
    case woken_by::interrupt:
      return fail(errc::unavailable, "link with " + remote_ + ": interrupted");
    case woken_by::descriptor:
      break;
    }
  }
}

template <class Call>
result<bool> link::attempt(Call call, deadline until) {
  for (;;) {
    int kind = SSL_ERROR_NONE;
    {
      // A mutex is not fair: who comes from one record could enter again and again before the other
      // side of the link wakes up. Who waits for ssl_mutex_ holds the turn, so that is next.
      std::unique_lock turn{turn_};
      const std::lock_guard lock{ssl_mutex_};
      turn.unlock();
      ERR_clear_error();
      errno = 0;
      const int done = call(ssl_.get());
      if (done == 1)
        return true;
      const int number = errno;
      kind = SSL_get_error(ssl_.get(), done);
      if (kind != SSL_ERROR_WANT_READ && kind != SSL_ERROR_WANT_WRITE)
        return fail(tls_trouble(remote_, kind, number));
    }
    if (wait_for(socket_->descriptor(), kind == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, until,
                 nullptr) == woken_by::time)
      return false;
  }
}

result<bool> link::read_some(char* to, std::size_t bytes, std::size_t& got, deadline until) {
  return attempt([&](SSL* ssl) { return SSL_read_ex(ssl, to, bytes, &got); }, until);
}

result<std::optional<std::string>> link::receive(deadline until, std::size_t bytes_max) {
  std::size_t got = 0;
  while (length_got_ < length_bytes) {
    const auto read =
        read_some(length_.data() + length_got_, length_bytes - length_got_, got, until);
    if (!read)
      return fail(read.error());
    if (!*read)
      return std::nullopt;
    length_got_ += got;
  }
  std::size_t bytes = 0;
  for (const char c : length_)
    bytes = bytes << 8 | static_cast<unsigned char>(c);
  if (bytes > std::min(bytes_max, message_bytes_max)) {
    shut();
    return fail(errc::unavailable,
                "link with " + remote_ + ": a message of " + std::to_string(bytes) + " bytes");
  }
  while (body_.size() < bytes) {
    const auto before = body_.size();
    body_.resize(std::min(bytes, before + growth_bytes));
    got = 0;
    const auto read = read_some(body_.data() + before, body_.size() - before, got, until);
    body_.resize(before + got);
    if (!read)
      return fail(read.error());
    if (!*read)
      return std::nullopt;
  }
  length_got_ = 0;
  return std::exchange(body_, {});
}

result<void> link::write_all(std::string_view bytes, bool more_follows, deadline until) {
  while (!bytes.empty()) {
    std::size_t written = 0;
    const auto done = attempt(
        [&](SSL* ssl) {
          end_.more_follows = more_follows;
          const int taken = SSL_write_ex(ssl, bytes.data(), bytes.size(), &written);
          end_.more_follows = false; // what a receiver has to write is for now
          return taken;
        },
        until);
    if (!done)
      return fail(done.error());
    if (!*done)
      return fail(errc::unavailable, "link with " + remote_ + ": it takes nothing");
    bytes.remove_prefix(written);
  }
  return {};
}

result<void> link::send(std::initializer_list<std::string_view> parts, deadline until) {
  std::size_t bytes = 0;
  for (const auto part : parts)
    bytes += part.size();
  if (bytes > message_bytes_max)
    return fail(errc::invalid_argument,
                "a message of " + std::to_string(bytes) + " bytes is too large for a link");
  std::unique_lock lock{send_mutex_};
  const bool free = send_ended_.wait_until(lock, until, [this] { return !sending_; });
  if (!free || send_broken_)
    return fail(errc::unavailable, "link with " + remote_ + (free ? ": broken" : ": busy"));
  sending_ = true;
  lock.unlock();
  auto done = send_whole(parts, bytes, until);
  lock.lock();
  sending_ = false;
  if (!done) { // half a message may have gone
    send_broken_ = true;
    shut();
  }
  lock.unlock();
  send_ended_.notify_all(); // if it broke, all of them may go
  return done;
}

result<void> link::send_whole(std::initializer_list<std::string_view> parts, std::size_t bytes,
                              deadline until) {
  if (sent_since_rekey_ >= rekey_bytes_) {
    const std::scoped_lock both{turn_, ssl_mutex_};
    SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED);
    sent_since_rekey_ = 0;
  }
  // Full records, however the parts are cut.
  std::array<char, record_bytes> record;
  std::size_t filled = length_bytes;
  std::size_t left = bytes;
  for (std::size_t i = 0; i < length_bytes; ++i)
    record[i] = static_cast<char>(bytes >> (8 * (length_bytes - 1 - i)));
  for (auto part : parts)
    while (!part.empty()) {
      const auto taken = std::min(part.size(), record.size() - filled);
      std::memcpy(record.data() + filled, part.data(), taken);
      filled += taken;
      part.remove_prefix(taken);
      left -= taken;
      if (filled < record.size() || left == 0)
        continue;
      if (auto done = write_all({record.data(), filled}, true, until); !done)
        return done;
      filled = 0;
    }
  sent_since_rekey_ += bytes + length_bytes;
  return write_all({record.data(), filled}, false, until);
}

} // namespace busbar::cluster
