// actors/reader.hpp: how an HTTP request and the client session talk to each other. Both live on
// one I/O thread; nothing here crosses threads.
#pragma once

#include "actors/body_piece.hpp"
#include "base/result.hpp"
#include "shapes/offset.hpp"
#include "shapes/shape_request.hpp"
#include "shapes/subset.hpp"

#include <boost/intrusive/list.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace busbar {

class move_body;
class shape_state;
struct subset_task;

/// What the log calls a request.
struct request_name {
  std::string id;    ///< As in the answer's x-request-id.
  std::string trace; ///< Of `traceparent`, 32 digits; may be empty.
};

/// A shape read request, all parameters checked.
struct shape_query {
  shape_request shape;
  bool now = false;                        ///< offset=now; `offset` is then unused.
  log_offset offset = log_offset::start(); ///< The requested position X.
  std::string handle;                      ///< Ignored for -1 and now.
  bool live = false;
  bool sse = false;
  std::string if_none_match;         ///< The header as it came; may be empty.
  coding accepts = coding::identity; ///< How a body may be compressed; identity for SSE.
  /// Given: part of the present rows is asked for instead of the log. `sse` and `if_none_match`
  /// mean nothing then, and `live` never waits.
  std::optional<subset_request> subset = {};
  request_name name = {}; ///< For the log, if it has to speak of the request.
};

/// How entries are framed in a piece of a body.
enum class framing : std::uint8_t {
  json_elements, ///< {…},{…} : elements of a JSON array, comma between, none around.
  sse_events,    ///< data: {…}\n\n for each.
};

/// Where the rest of a slice is to be read. Ask client_session::next_piece() until it is done().
struct log_cursor {
  std::shared_ptr<const shape_state> shape;
  log_offset at;           ///< Everything up to here has been handed out.
  log_offset end;          ///< Everything up to here belongs to the slice.
  std::uint32_t piece = 0; ///< Within a snapshot chunk.
  framing form = framing::json_elements;
  coding in = coding::identity; ///< Wanted; a short slice comes as it is.
  bool finished = false;
  bool done() const noexcept { return finished; }
};

/// A stretch of the log, (requested, end].
struct log_slice {
  std::string handle;
  std::shared_ptr<const std::string> schema_json; ///< For `electric-schema`, ASCII only.
  log_offset requested; ///< As in ETag and SSE head; for `now`, see `now`.
  bool now = false;
  log_offset end;                  ///< For `electric-offset`.
  bool up_to_date = false;         ///< The up-to-date control message follows the entries.
  bool chunk_at_head = false;      ///< A chunk has just ended here; later it ends like any other.
  std::uint64_t last_seen_lsn = 0; ///< For that message's global_last_seen_lsn.
  bool weak_tag = false;           ///< 304: the client has it in a coding, so its tag is weak.
  bool no_changes = false; ///< Live timeout or `now`: electric-has-data: false, unique ETag.
  shared_bytes ready;      ///< All entries at hand, framed; or null: read them by `rest`.
  std::shared_ptr<const move_body> news; ///< Where JSON in `ready` is from; may be null.
  log_cursor rest;                       ///< done() if there is nothing (more) to read.
};

/// A subset of a shape's rows (spec shape-protocol 15.4).
struct subset_answer {
  std::string handle;
  std::shared_ptr<const std::string> schema_json; ///< Null if the request was live.
  log_offset end;                                 ///< For `electric-offset`.
  shared_bytes body;                              ///< The whole JSON,
  coding in = coding::identity;                   ///< in this coding.
};

/// What stands behind a refusal that may heal: it decides what a 503 says beside its message (spec
/// 17.2).
enum class cause : std::uint8_t {
  busy,      ///< Too much at once, or the process is about to stop.
  not_ready, ///< No stream, so no new shapes. HTTP waits a little and asks again.
  creation,  ///< The table could not be looked up, or the shape not be made.
  snapshot,  ///< The shape's first rows could not be read.
  database,  ///< A subset needs PostgreSQL, which does not answer.
};

/// What went wrong with a request.
struct refusal {
  error why; ///< code decides the status, `field` the errors member.
  cause because = cause::busy;
  bool said_by_postgres = false; ///< Only the database could tell (spec 15.5).
};

/// One request that waits for its answer. The HTTP side implements it; the session keeps borrowed
/// pointers to it while it waits, so the HTTP side calls client_session::cancel() before it dies.
/// Exactly one of the on_… calls answers a request, unless it is an SSE request: that gets
/// on_stream_open(), then any number of on_slice(), until on_gone() or cancel().
class shape_reader : public boost::intrusive::list_base_hook<
                         boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
public:
  virtual ~shape_reader() = default;

  virtual void on_slice(const log_slice& slice) = 0;
  /// SSE: send the head now. `head.end` is what to announce in electric-offset (= requested).
  virtual void on_stream_open(const log_slice& head) = 0;
  /// If-None-Match matched; `same` has the headers' values.
  virtual void on_not_modified(const log_slice& same) = 0;
  /// 409, with the handle to go on with if one is known. In an open SSE stream: end it.
  virtual void on_gone(const std::optional<std::string>& handle) = 0;
  virtual void on_refused(const refusal& what) = 0;
  /// The answer to a query with a subset.
  virtual void on_subset(const subset_answer& answer) = 0;
  /// After client_session::await_more(): ask for the piece again. If it never comes: on_refused().
  virtual void on_more() = 0;
  /// The answer to client_session::drop(): whether there was such a shape.
  virtual void on_dropped(bool found) = 0;

private:
  // The session's notes on a reader that waits.
  friend class session_core;
  friend class subset_desk;
  friend class waiting_room;
  friend struct reader_probe; ///< Of the tests: parks readers without a session.
  enum class wait : std::uint8_t { snapshot, live, out_of_bounds, more };
  static constexpr std::size_t waits = 4;
  boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>
      by_deadline_;
  std::shared_ptr<shape_state> shape_;
  std::shared_ptr<subset_task> subset_; ///< Null unless a subset is asked for.
  log_offset requested_;
  std::chrono::steady_clock::time_point deadline_{};
  wait waits_for_ = wait::snapshot;
  bool now_ = false;
  bool live_ = false;
  bool sse_ = false;
  bool open_ = false;                          ///< SSE: the head has been sent.
  bool resolving_ = false;                     ///< Its definition is being looked up.
  const std::string* resolving_key_ = nullptr; ///< Among those of this key; null when it is found.
};

} // namespace busbar
