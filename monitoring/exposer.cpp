#include "monitoring/exposer.hpp"

#include "base/coding.hpp"

#include <arpa/inet.h>
#include <civetweb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <stop_token>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>

namespace busbar::monitoring {
namespace {

/// One may be busy with a slow scraper.
constexpr const char* threads = "3";
/// A client that sends or takes nothing holds a thread no longer than this.
constexpr const char* patience_ms = "10000";

/// Opens and closes a connection to our own port; that it fails is as good.
void knock(std::string_view address, std::uint16_t port) {
  const bool is_6 = address.find(':') != std::string_view::npos;
  const int fd = ::socket(is_6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return;
  const std::string text{address};
  if (is_6) {
    sockaddr_in6 at{};
    at.sin6_family = AF_INET6;
    at.sin6_port = htons(port);
    at.sin6_addr = in6addr_loopback;
    if (text != "::")
      ::inet_pton(AF_INET6, text.c_str(), &at.sin6_addr);
    std::ignore = ::connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at);
  } else {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (text != "0.0.0.0")
      ::inet_pton(AF_INET, text.c_str(), &at.sin_addr);
    std::ignore = ::connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at);
  }
  ::close(fd);
}

bool accepts_gzip(const mg_connection* connection) {
  const char* header = mg_get_header(connection, "Accept-Encoding");
  if (header == nullptr)
    return false;
  std::string_view accepted{header};
  const auto at = accepted.find("gzip");
  if (at == std::string_view::npos)
    return false;
  accepted.remove_prefix(at + 4);
  // "gzip;q=0" is the one way to refuse it by name.
  return !accepted.starts_with(";q=0") || accepted.starts_with(";q=0.");
}

int answer(mg_connection* connection, int status, std::string_view reason, std::string_view type,
           std::string_view body, bool with_body, bool is_gzip = false) {
  std::string head = "HTTP/1.1 " + std::to_string(status) + " ";
  head += reason;
  head += "\r\ncontent-type: ";
  head += type;
  head += "\r\ncontent-length: " + std::to_string(body.size()) + "\r\n";
  if (is_gzip)
    head += "content-encoding: gzip\r\n";
  // The page shows what clients have asked for: nothing of it may ever run as a script.
  head += "cache-control: no-store\r\n"
          "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; "
          "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
          "frame-ancestors 'none'\r\n"
          "x-content-type-options: nosniff\r\n"
          "connection: close\r\n\r\n";
  if (with_body)
    head += body;
  mg_write(connection, head.data(), head.size());
  return status;
}

} // namespace

struct exposer::server {
  std::string address;
  std::vector<page> pages;
  mg_context* context = nullptr;

  static int serve(mg_connection* connection, void* self) {
    const auto& pages = static_cast<const server*>(self)->pages;
    const auto* request = mg_get_request_info(connection);
    const std::string_view verb{request->request_method};
    const bool with_body = verb != "HEAD";
    if (verb != "GET" && verb != "HEAD")
      return answer(connection, 405, "Method Not Allowed", "text/plain", "Only GET and HEAD\n",
                    true);
    const std::string_view path{request->local_uri};
    const auto found = std::ranges::find(pages, path, &page::path);
    if (found == pages.end())
      return answer(connection, 404, "Not Found", "text/plain", "Not found\n", with_body);
    try {
      const auto body = found->body();
      if (body.size() < coding_bytes_min || !accepts_gzip(connection))
        return answer(connection, 200, "OK", found->type, body, with_body);
      return answer(connection, 200, "OK", found->type, compress_whole(coding::gzip, body),
                    with_body, true);
    } catch (const std::exception&) { // memory is short: the process has other worries
      return answer(connection, 500, "Internal Server Error", "text/plain", "", with_body);
    }
  }
};

exposer::exposer(std::unique_ptr<server> running) : server_{std::move(running)} {
  mg_server_port opened{};
  if (mg_get_server_ports(server_->context, 1, &opened) == 1)
    port_ = static_cast<std::uint16_t>(opened.port);
}

exposer::~exposer() {
  // The library's server looks at its stop flag only between two connections or every two seconds.
  // Knocking at the port until it has noticed makes the end of the process prompt.
  {
    const std::jthread knocker{[this](const std::stop_token& stopped) {
      std::mutex mutex;
      std::condition_variable_any ended;
      std::unique_lock lock{mutex};
      do {
        knock(server_->address, port_);
      } while (!ended.wait_for(lock, stopped, std::chrono::milliseconds{10},
                               [&stopped] { return stopped.stop_requested(); }));
    }};
    mg_stop(server_->context);
  }
  mg_exit_library();
}

result<std::unique_ptr<exposer>> exposer::start(const std::string& address, std::uint16_t port,
                                                std::vector<page> pages) {
  const bool is_6 = address.find(':') != std::string::npos;
  const auto where = (is_6 ? "[" + address + "]" : address) + ":" + std::to_string(port);
  const std::array<const char*, 9> options{
      "listening_ports", where.c_str(),       "num_threads", threads, "request_timeout_ms",
      patience_ms,       "linger_timeout_ms", "1000",        nullptr};
  auto made = std::make_unique<server>();
  made->address = address;
  made->pages = std::move(pages);
  mg_init_library(0);
  mg_callbacks callbacks{};
  // It would print its complaints to standard error, in a format of its own.
  callbacks.log_message = [](const mg_connection*, const char*) { return 1; };
  made->context = mg_start(&callbacks, made.get(), const_cast<const char**>(options.data()));
  if (made->context == nullptr) {
    mg_exit_library();
    // The library only says that its server could not be made; the port is the one thing it needs.
    return fail(errc::misconfigured,
                "cannot open port " + std::to_string(port) + " of " + address +
                    " for metrics, another program may use it: set BUSBAR_METRICS_PORT to a free "
                    "port, or to 0 for no metrics",
                "BUSBAR_METRICS_PORT");
  }
  mg_set_request_handler(made->context, "**", &server::serve, made.get());
  return std::unique_ptr<exposer>{new exposer{std::move(made)}};
}

} // namespace busbar::monitoring
