#include "app/local_request.hpp"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <string_view>

namespace busbar::app {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto patience = 3s;
constexpr std::size_t answer_bytes_max = 1u << 20; ///< Who says more is not Busbar.
class open_socket {
public:
  explicit open_socket(int family)
      : fd_{::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)} {}
  ~open_socket() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  open_socket(const open_socket&) = delete;
  open_socket& operator=(const open_socket&) = delete;
  int fd() const noexcept { return fd_; }

private:
  int fd_;
};

struct address {
  sockaddr_storage bytes{};
  socklen_t size = 0;
};

/// Who listens on all addresses is reached at the loopback's.
address to_ask(const settings& config) {
  address out;
  in6_addr parsed{};
  if (::inet_pton(AF_INET6, config.listen_address.c_str(), &parsed) == 1) {
    sockaddr_in6 ipv6{};
    ipv6.sin6_family = AF_INET6;
    ipv6.sin6_port = htons(config.port);
    const bool is_any = std::memcmp(&parsed, &in6addr_any, sizeof parsed) == 0;
    ipv6.sin6_addr = is_any ? in6addr_loopback : parsed;
    std::memcpy(&out.bytes, &ipv6, sizeof ipv6);
    out.size = sizeof ipv6;
  } else {
    sockaddr_in ipv4{};
    ipv4.sin_family = AF_INET;
    ipv4.sin_port = htons(config.port);
    ::inet_pton(AF_INET, config.listen_address.c_str(), &ipv4.sin_addr);
    if (ipv4.sin_addr.s_addr == htonl(INADDR_ANY))
      ipv4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::memcpy(&out.bytes, &ipv4, sizeof ipv4);
    out.size = sizeof ipv4;
  }
  return out;
}

/// False when the time is up.
bool wait_for(int fd, short events, steady_clock::time_point until) {
  pollfd one{fd, events, 0};
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - steady_clock::now()).count();
    const int ready = ::poll(&one, 1, static_cast<int>(std::max<decltype(left)>(left, 0)));
    if (ready >= 0 || errno != EINTR)
      return ready > 0;
  }
}

result<local_answer> read_answer(std::string_view bytes) {
  local_answer out;
  constexpr std::string_view version = "HTTP/1.1 ";
  const auto body = bytes.find("\r\n\r\n");
  if (bytes.starts_with(version) && body != std::string_view::npos) {
    const auto digits = bytes.substr(version.size(), 3);
    std::from_chars(digits.data(), digits.data() + digits.size(), out.http_status);
    out.body = bytes.substr(body + 4);
  }
  if (out.http_status == 0)
    return fail(errc::unavailable, "who answers is not Busbar, or not well");
  return out;
}

} // namespace

result<local_answer> ask_here(const settings& config, std::string_view target) {
  const auto question =
      "GET " + std::string{target} + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  const auto until = steady_clock::now() + patience;
  const auto silent = [&](std::string_view why) {
    return fail(errc::unavailable,
                "no answer at port " + std::to_string(config.port) + ": " + std::string{why});
  };
  const auto whom = to_ask(config);
  const open_socket socket{whom.bytes.ss_family};
  if (socket.fd() < 0)
    return silent(std::strerror(errno));
  if (::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&whom.bytes), whom.size) != 0) {
    if (errno != EINPROGRESS)
      return silent(std::strerror(errno));
    if (!wait_for(socket.fd(), POLLOUT, until))
      return silent("it does not accept the connection");
  }
  // So short a request fits into any socket's buffer; a refused connection shows here, too.
  if (::send(socket.fd(), question.data(), question.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(question.size()))
    return silent(std::strerror(errno));
  std::string answer;
  char bytes[4096];
  for (;;) {
    if (!wait_for(socket.fd(), POLLIN, until))
      return silent("it takes longer than 3 s");
    const auto got = ::recv(socket.fd(), bytes, sizeof bytes, 0);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
      continue;
    if (got < 0)
      return silent(std::strerror(errno));
    if (got == 0)
      return read_answer(answer);
    answer.append(bytes, static_cast<std::size_t>(got));
    if (answer.size() > answer_bytes_max)
      return read_answer({});
  }
}

} // namespace busbar::app
