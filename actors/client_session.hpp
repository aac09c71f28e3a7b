// actors/client_session.hpp: answers the requests of one I/O thread and keeps its waiting clients.
#pragma once

#include "actors/reader.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace busbar {

/// What the node can do (spec shape-protocol 1, /v1/health).
enum class service_state : std::uint8_t {
  starting,
  waiting, ///< Another node leads; shapes that are there are served.
  active,
};

/// Why there is no replication stream, and since when answers are as of then.
struct outage {
  std::string cause; ///< A name for programs.
  std::string message;
  std::chrono::sys_seconds since;
  bool misconfigured = false; ///< Only a human can help.
};

/// One of the things that all must be so for everything to be as it should.
struct condition {
  std::string_view name; ///< For programs; one of a few.
  bool met = true;
  std::string reason = {};  ///< If not: a name for programs …
  std::string message = {}; ///< … and a sentence without hosts.
};

/// The session's door for the HTTP code of the same I/O thread. Behind it stands a CAF actor
/// (session_actor, see protocol.hpp) that runs on that very thread, so that neither locks
/// nor hand-overs lie between a parsed request and its answer.
class client_session {
public:
  virtual ~client_session() = default;

  /// Starts to answer. `reader` must live until it is answered or cancelled. It may be answered
  /// before this returns.
  virtual void read(shape_reader& reader, shape_query query) = 0;

  /// Forget this reader; harmless if it does not wait.
  virtual void cancel(shape_reader& reader) noexcept = 0;

  /// The next bytes of a slice, framed as `cursor.form` says (at most about 256 kB); moves the
  /// cursor. Null together with cursor.done() if nothing is left; null without it if a snapshot is
  /// still being written and has not come so far: see await_more(). An error means that the log is
  /// gone or unreadable: abort the connection, do not finish the JSON.
  virtual result<body_piece> next_piece(log_cursor& cursor) = 0;

  /// `slice` as it would begin now: for when the first piece was not to be had because the log has
  /// been compacted since (errc::unavailable), and nothing has been said to the client yet.
  virtual result<log_slice> slice_again(const log_slice& slice, bool live) = 0;

  /// Tell `reader` when next_piece() may have more for this cursor. It waits as after read().
  virtual void await_more(shape_reader& reader, const log_cursor& cursor) = 0;

  /// True if `handle` names a shape that this node keeps (admission class "existing").
  virtual bool knows(const std::string& handle) const = 0;

  /// Deletes the shape of this handle (unless empty) or of this definition; both given must mean
  /// the same one. A definition is checked as read() checks it, but makes no shape. `reader` is
  /// answered with on_dropped() or on_refused(), under the same rules as there.
  virtual void drop(shape_reader& reader, const std::string& handle,
                    const std::optional<shape_request>& definition) = 0;

  /// Whether shapes can be created and streamed; if not, `why_not` names the first unmet condition.
  virtual service_state state(std::string& why_not) const = 0;

  /// Always the same ones, in one order.
  virtual std::vector<condition> conditions() const { return {}; }

  /// What is known of the outage, if there is one; and, at the price of a look, since when.
  virtual std::optional<outage> away() const { return std::nullopt; }
  virtual std::optional<std::chrono::sys_seconds> stale_since() const noexcept {
    return std::nullopt;
  }

  /// Answer every waiting long poll now, as if it had timed out, and end every stream: the process
  /// is about to stop.
  virtual void drain() = 0;
};

} // namespace busbar
