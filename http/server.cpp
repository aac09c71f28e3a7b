#include "http/server.hpp"

#include "http/acceptor.hpp"
#include "http/worker.hpp"

#include <algorithm>
#include <future>
#include <thread>
#include <utility>
#include <vector>

namespace busbar::http {

namespace {

class server_threads final : public server {
public:
  server_threads(server_settings settings, monitoring::metrics& metrics)
      : shared_{std::move(settings), metrics} {}
  ~server_threads() override { stop(); }

  result<void> launch(const session_factory& sessions) {
    auto acceptor = acceptor::bind(shared_.settings.address, shared_.settings.port,
                                   [this](owned_fd socket) { deal(std::move(socket)); });
    if (!acceptor)
      return fail(std::move(acceptor).error());
    acceptor_ = std::move(*acceptor);
    const auto threads = std::max<std::size_t>(shared_.settings.io_threads, 1);
    for (std::size_t i = 0; i < threads; ++i) {
      auto loop = event_loop::create();
      if (!loop)
        return fail(std::move(loop).error());
      workers_.push_back(std::make_unique<worker>(shared_, std::move(*loop)));
    }
    if (!workers_.front()->loop().add_listener(acceptor_->fd(), *acceptor_))
      return fail(errc::misconfigured, "epoll: the listening socket cannot be watched");
    for (auto& worker : workers_) {
      std::promise<void> started;
      threads_.emplace_back([&worker = *worker, &sessions, &started] {
        worker.run(sessions, [&started] { started.set_value(); });
      });
      started.get_future().wait();
    }
    return {};
  }

  std::uint16_t port() const noexcept override { return acceptor_->port(); }

  void drain(std::chrono::milliseconds patience) override {
    stop_accepting();
    for (auto& worker : workers_)
      worker->post([&worker = *worker] { worker.drain(); });
    std::unique_lock lock{shared_.drain_mutex};
    shared_.drained.wait_for(lock, patience, [this] { return shared_.connections.load() == 0; });
  }

  void stop() override {
    if (threads_.empty())
      return;
    stop_accepting();
    for (auto& worker : workers_)
      worker->post([&worker = *worker] { worker.stop(); });
    for (auto& thread : threads_)
      thread.join();
    threads_.clear();
  }

private:
  /// On the first worker's thread.
  void deal(owned_fd socket) {
    if (shared_.connections.fetch_add(1) >= shared_.settings.connections_max) {
      shared_.connections.fetch_sub(1);
      return;
    }
    auto& receiver = *workers_[next_++ % workers_.size()];
    if (&receiver == workers_.front().get())
      return receiver.adopt(std::move(socket));
    // A task must be copyable, so the socket travels in a shared box; a dropped task closes it.
    auto box = std::make_shared<owned_fd>(std::move(socket));
    receiver.post([&receiver, box] { receiver.adopt(std::move(*box)); });
  }

  void stop_accepting() {
    workers_.front()->post([this] { acceptor_->close(); });
  }

  server_shared shared_;
  std::unique_ptr<acceptor> acceptor_;
  std::vector<std::unique_ptr<worker>> workers_;
  std::vector<std::thread> threads_;
  std::size_t next_ = 0;
};

} // namespace

result<std::unique_ptr<server>> server::start(server_settings settings,
                                              const session_factory& sessions,
                                              monitoring::metrics& metrics) {
  auto started = std::make_unique<server_threads>(std::move(settings), metrics);
  if (auto launched = started->launch(sessions); !launched)
    return fail(std::move(launched).error());
  return started;
}

} // namespace busbar::http
