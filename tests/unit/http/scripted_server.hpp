// A real server on a loopback port, whose session does what the test says, and a client that shows
// every byte. For the *_test.cpp files beside it.
#pragma once

#include "actors/client_session.hpp"
#include "http/event_loop.hpp"
#include "http/server.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace busbar::http::testing_support {

using namespace std::chrono_literals;

inline constexpr auto patience = 10s;

inline log_slice slice_of(std::string entries, bool up_to_date = true) {
  log_slice slice;
  slice.handle = "H";
  slice.schema_json = std::make_shared<const std::string>("{}");
  slice.requested = {7, 0};
  slice.end = {8, 0};
  slice.up_to_date = up_to_date;
  slice.last_seen_lsn = 8;
  slice.ready = share(std::move(entries));
  slice.rest.finished = true;
  return slice;
}

/// What the session of the test does, and what it has seen. Any thread.
class script {
public:
  /// Called on the I/O thread for every read. Without it, readers are parked. Set before start.
  std::function<void(shape_reader&, const shape_query&)> answer;
  std::vector<std::string> pieces;             ///< For next_piece(), set before start.
  std::size_t pieces_until_error = 1000;       ///< next_piece() fails after so many.
  std::atomic<std::size_t> pieces_there{1000}; ///< What is behind them is still being written.
  std::atomic<int> cuts_too_late{0}; ///< So often the end of a slice is not there any more.
  std::atomic<bool> active{true};
  std::atomic<std::size_t> pieces_read{0};

  /// Runs on the I/O thread with the parked readers, which it may answer; waits until it has.
  void with_readers(const std::function<void(std::vector<shape_reader*>&)>& work) {
    std::promise<void> done;
    post([&] {
      work(parked);
      done.set_value();
    });
    done.get_future().wait();
  }
  void answer_parked(const std::function<void(shape_reader&)>& each) {
    with_readers([&](std::vector<shape_reader*>& readers) {
      for (auto* reader : std::exchange(readers, {}))
        each(*reader);
    });
  }

  template <class Predicate>
  bool wait_until(Predicate predicate) {
    std::unique_lock lock{mutex};
    return changed.wait_for(lock, patience, predicate);
  }
  bool wait_for_reads(std::size_t count) {
    return wait_until([&] { return queries.size() >= count; });
  }
  bool wait_for_cancels(std::size_t count) {
    return wait_until([&] { return cancels >= count; });
  }

  std::size_t cancelled() {
    const std::lock_guard lock{mutex};
    return cancels;
  }

  // Written on the I/O thread under the mutex.
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<shape_query> queries;
  std::size_t cancels = 0;
  std::vector<std::string> dropped;
  // The I/O thread's own.
  std::vector<shape_reader*> parked;
  post_function post;
};

class scripted_session final : public client_session {
public:
  explicit scripted_session(script& script) : script_{script} {}

  void read(shape_reader& reader, shape_query query) override {
    if (query.shape.flaw)
      reader.on_refused({*query.shape.flaw});
    else if (script_.answer)
      script_.answer(reader, query);
    else
      script_.parked.push_back(&reader);
    const std::lock_guard lock{script_.mutex};
    script_.queries.push_back(std::move(query));
    script_.changed.notify_all();
  }
  void cancel(shape_reader& reader) noexcept override {
    std::erase(script_.parked, &reader);
    const std::lock_guard lock{script_.mutex};
    ++script_.cancels;
    script_.changed.notify_all();
  }
  result<body_piece> next_piece(log_cursor& cursor) override {
    if (script_.cuts_too_late > 0) {
      --script_.cuts_too_late;
      return fail(errc::unavailable, "the log has been compacted meanwhile");
    }
    if (cursor.piece >= script_.pieces_until_error)
      return fail(errc::corrupt, "the log is unreadable");
    if (pieces_.empty()) // every reader gets the same bytes, as from the real session's cache
      for (const auto& piece : script_.pieces)
        pieces_.push_back(share(piece));
    if (cursor.piece >= script_.pieces_there)
      return body_piece{};
    const auto piece = pieces_.at(cursor.piece++);
    cursor.finished = cursor.piece == script_.pieces.size();
    ++script_.pieces_read;
    return piece_in(cursor.in, piece);
  }
  result<log_slice> slice_again(const log_slice& slice, bool) override {
    auto again = slice;
    ++again.end.op;
    return again;
  }
  void await_more(shape_reader& reader, const log_cursor&) override {
    script_.parked.push_back(&reader);
  }
  bool knows(const std::string& handle) const override { return handle == "known"; }
  void drop(shape_reader& reader, const std::string& handle,
            const std::optional<shape_request>& definition) override {
    {
      const std::lock_guard lock{script_.mutex};
      script_.dropped.push_back(handle);
    }
    if (definition && definition->flaw)
      reader.on_refused({*definition->flaw});
    else if (definition && handle == "other")
      reader.on_refused({{errc::invalid_argument, "the handle is not that of the shape defined"}});
    else
      reader.on_dropped(handle == "known" || (definition && definition->table == "known"));
  }
  service_state state(std::string& why_not) const override {
    why_not = "no lock yet";
    return script_.active ? service_state::active : service_state::starting;
  }
  void drain() override {
    for (auto* reader : std::exchange(script_.parked, {}))
      reader->on_gone(std::nullopt);
  }

private:
  script& script_;
  std::vector<shared_bytes> pieces_;
};

struct response {
  int status = 0;
  std::string head; ///< With its empty line.
  std::string body; ///< Of a chunked response: decoded.
  bool complete = false;

  std::string header(std::string_view name) const {
    const auto at = head.find("\r\n" + std::string{name} + ": ");
    if (at == std::string::npos)
      return "(none)";
    const auto from = at + 2 + name.size() + 2;
    return head.substr(from, head.find("\r\n", from) - from);
  }
};

/// A blocking client that gives up after a while.
class client {
public:
  explicit client(std::uint16_t port, int receive_buffer = 0) {
    socket_ = owned_fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (receive_buffer > 0)
      ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  }

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0)
        return; // the server may refuse before it has read everything
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  void get(std::string_view target, std::string_view headers = "") { ask("GET", target, headers); }
  void ask(std::string_view verb, std::string_view target, std::string_view headers = "") {
    send(std::string{verb} + " " + std::string{target} + " HTTP/1.1\r\nhost: a\r\n" +
         std::string{headers} + "\r\n");
  }
  void finish_sending() { ::shutdown(socket_.get(), SHUT_WR); }
  void close() { socket_.reset(); }

  /// False at the end of the connection (see reset()) or when patience is over.
  bool receive_more() {
    pollfd ready{socket_.get(), POLLIN, 0};
    if (::poll(&ready, 1, static_cast<int>(std::chrono::milliseconds{patience}.count())) <= 0) {
      ADD_FAILURE() << "the server says nothing; so far: " << received_.substr(0, 2000);
      return false;
    }
    std::array<char, 65536> buffer;
    const auto count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (count <= 0) {
      reset_ = count < 0 && errno == ECONNRESET;
      ended_ = true;
      return false;
    }
    received_.append(buffer.data(), static_cast<std::size_t>(count));
    return true;
  }

  bool read_until(std::string_view text) {
    while (received_.find(text) == std::string::npos)
      if (!receive_more())
        return false;
    return true;
  }
  bool read_to_end() {
    while (receive_more()) {
    }
    return ended_;
  }

  response read_response(bool has_body = true) {
    response answer;
    while (received_.find("\r\n\r\n") == std::string::npos)
      if (!receive_more())
        return answer;
    answer.head = take(received_.find("\r\n\r\n") + 4);
    answer.status = std::atoi(answer.head.substr(9, 3).c_str());
    if (!has_body || answer.status == 204 || answer.status == 304) {
      answer.complete = true;
    } else if (answer.header("transfer-encoding") == "chunked") {
      answer.complete = read_chunks(answer.body);
    } else if (const auto length = answer.header("content-length"); length != "(none)") {
      const auto bytes = std::stoul(length);
      while (received_.size() < bytes)
        if (!receive_more())
          return answer;
      answer.body = take(bytes);
      answer.complete = true;
    } else {
      answer.complete = read_to_end() && !reset_;
      answer.body = take(received_.size());
    }
    return answer;
  }

  const std::string& received() const { return received_; }
  bool ended() const { return ended_; }
  bool reset() const { return reset_; }
  int fd() const { return socket_.get(); }

private:
  std::string take(std::size_t bytes) {
    auto text = received_.substr(0, bytes);
    received_.erase(0, bytes);
    return text;
  }
  bool read_chunks(std::string& body) {
    while (true) {
      while (received_.find("\r\n") == std::string::npos)
        if (!receive_more())
          return false;
      const auto bytes = std::stoul(received_, nullptr, 16);
      take(received_.find("\r\n") + 2);
      while (received_.size() < bytes + 2)
        if (!receive_more())
          return false;
      body += take(bytes);
      EXPECT_EQ(take(2), "\r\n");
      if (bytes == 0)
        return true;
    }
  }

  owned_fd socket_;
  std::string received_;
  bool ended_ = false;
  bool reset_ = false;
};

class ScriptedServer : public testing::Test {
protected:
  ScriptedServer() {
    settings_.address = "127.0.0.1";
    settings_.port = 0;
    settings_.version = "test";
  }
  ~ScriptedServer() override {
    if (server_)
      server_->stop();
  }

  void start() {
    auto started = server::start(
        settings_,
        [this](post_function post) {
          script_.post = std::move(post);
          return std::make_unique<scripted_session>(script_);
        },
        metrics_);
    ASSERT_TRUE(started) << started.error().message;
    server_ = std::move(*started);
  }
  client connect() { return client{server_->port()}; }

  static constexpr std::string_view initial = "/v1/shape?table=items&offset=-1";
  static constexpr std::string_view live =
      "/v1/shape?table=items&offset=7_0&handle=known&live=true&cursor=";
  static constexpr std::string_view sse =
      "/v1/shape?table=items&offset=7_0&handle=known&live=true&live_sse=true";

  /// The script's usual answer: what was asked for is there.
  static void answer_at_once(shape_reader& reader, const shape_query&) {
    reader.on_slice(slice_of(R"({"key":"a"})"));
  }
  static void open_stream(shape_reader& reader) {
    auto head = slice_of("");
    head.end = head.requested;
    reader.on_stream_open(head);
  }

  static constexpr std::string_view up_to_date =
      R"({"headers":{"control":"up-to-date","global_last_seen_lsn":"8"}})";

  monitoring::metrics metrics_;
  script script_;
  server_settings settings_;
  std::unique_ptr<server> server_;
};

} // namespace busbar::http::testing_support
