// bench/load/swarm.hpp: thousands of clients in one thread. What a client asks, and what it makes
// of the answer, is up to who derives from swarm: streams.cpp and requests.cpp.
#pragma once

#include "bench/load/commands.hpp"
#include "bench/socket_loop.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace busbar::bench {

/// Life: run() until finished(), or until SIGTERM or SIGINT. Each client is a descriptor and what
/// the derived class remembers of it, so that the load generator stays cheap beside the server.
class swarm {
public:
  swarm(const swarm&) = delete;
  swarm& operator=(const swarm&) = delete;

  result<void> run();

protected:
  swarm(const swarm_options& options, socket_loop loop);
  ~swarm() = default;
  static result<socket_loop> make_loop(const swarm_options& options);

  /// It is connected: send something.
  virtual result<void> connected(std::size_t index) = 0;
  virtual result<void> received(std::size_t index, std::string_view bytes) = 0;
  virtual bool finished() const = 0;
  /// A signal asks to end.
  virtual result<void> stopped() = 0;

  result<void> send(std::size_t index, std::string_view request);
  /// One more client has got as far as the next may be opened; true if it was the last.
  bool opened();
  /// The connection's end is no failure from now on.
  void hang_up(std::size_t index) { connections_[index].reset(); }

  const swarm_options& options() const noexcept { return options_; }
  std::size_t open_clients() const noexcept { return open_; }
  double seconds_since_begin() const { return static_cast<double>(wall_ns() - begin_ns_) / 1e9; }
  void wait_without_limit() noexcept { patient_ = true; } ///< Silence is what we want.

private:
  result<void> open_more();
  result<void> open(std::size_t index);
  result<void> handle(const loop_event& event);
  result<void> finish_connect(std::size_t index);

  const swarm_options options_;
  socket_loop loop_;
  std::vector<unique_fd> connections_;
  std::vector<bool> connecting_;
  std::vector<char> buffer_ = std::vector<char>(64 * 1024);
  std::size_t next_ = 0;
  std::size_t in_flight_ = 0;
  std::size_t open_ = 0;
  bool patient_ = false;
  std::int64_t begin_ns_ = wall_ns();
};

} // namespace busbar::bench
