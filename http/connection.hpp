// http/connection.hpp: one client's socket: requests in, answers out, one at a time.
#pragma once

#include "actors/client_session.hpp"
#include "http/admission.hpp"
#include "http/body_decoder.hpp"
#include "http/event_loop.hpp"
#include "http/gate_pass.hpp"
#include "http/query.hpp"
#include "http/request_head.hpp"
#include "http/response_head.hpp"
#include "http/route.hpp"
#include "http/shape_params.hpp"
#include "http/socket_writer.hpp"
#include "http/timers.hpp"

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace busbar::gate {
class porter;
}

namespace busbar::http {

class worker;

/// What the connection waits for now, with a limit of time; none while a long poll is parked, whose
/// time the session keeps.
enum class phase : std::uint8_t { idle, head, body, send, linger, keepalive, readiness, limited };
/// Those that last as long for everybody.
inline constexpr std::size_t phases = static_cast<std::size_t>(phase::limited);

struct phase_timer : timer {
  phase in = phase::idle;
};
struct lifetime_timer : timer {}; ///< Of an SSE stream.

using connection_hook =
    boost::intrusive::list_base_hook<boost::intrusive::tag<struct connection_tag>,
                                     boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

/// Owned by its worker, on whose thread all of it happens. It keeps no buffer while it has nothing
/// half read or half written: thousands of parked clients are little more than this object.
///
/// Two rules keep it out of trouble with the session, which may call it from the middle of a loop
/// over its readers: in an on_… call it never calls read() or cancel(), and it never closes. Both
/// are put off to the end of the worker's turn (worker::defer).
class connection final : public shape_reader,
                         public io_target,
                         public phase_timer,
                         public lifetime_timer,
                         public connection_hook {
public:
  connection(worker& owner, owned_fd socket) noexcept;
  ~connection() override;

  // io_target
  void on_io(std::uint32_t events) override;

  // shape_reader
  void on_slice(const log_slice& slice) override;
  void on_stream_open(const log_slice& head) override;
  void on_not_modified(const log_slice& same) override;
  void on_gone(const std::optional<std::string>& handle) override;
  void on_refused(const refusal& what) override;
  void on_subset(const subset_answer& answer) override;
  void on_dropped(bool found) override;
  void on_more() override;

  // For the worker.
  void on_phase_expired();
  void on_lifetime_expired();
  void run_deferred();
  void prepare_drain() noexcept { close_after_ = true; } ///< The answer under way is the last.
  void close_if_idle();
  void close();
  bool closed() const noexcept { return state_ == state::closed; }
  void ask_again();    ///< The service has become ready.
  void look_at_pass(); ///< Whether the bearer of the token may stay.

  bool deferred = false; ///< Private to worker::defer().

private:
  enum class state : std::uint8_t {
    reading,   // between requests, or in the middle of a head
    receiving, // in the middle of a body
    waiting,   // the session has the request
    answering, // an answer is being written
    streaming, // an SSE stream is open
    lingering, // the last answer is written; what the client still sends is thrown away
    closed,
  };
  /// A body that does not fit one write, read from the session piece by piece.
  struct body_stream {
    log_slice slice;
    coded_body coded{coding::identity};
    bool any = false;            // an entry is already out
    bool chunk_open = false;     // the end of the last chunk goes out with the next one's head
    std::deque<log_slice> later; // SSE: what came while this one is being written
    std::size_t later_bytes = 0;
  };

  /// A request whose body is still arriving.
  struct incoming_request {
    query parameters; // of its target
    body_decoder decoder;
    std::string body;
  };

  /// What of a read must outlast the question to the session.
  struct open_question {
    std::optional<shape_query> query; // to be asked again once the service is ready
    field_errors later;               // see shape_read::later
    std::optional<gate::over_limit> over = std::nullopt; // to be told after a while
  };

  // Input (connection.cpp)
  bool takes_input() const noexcept {
    return state_ == state::reading || state_ == state::receiving;
  }
  void read_input();
  void feed(std::string_view bytes);
  std::size_t consume(std::string_view input);
  void on_input_end();
  void discard_input();
  void reject(int status);

  // Output (connection.cpp)
  bool write(std::span<const fragment> fragments);
  void flush();
  void resume();
  void pump();
  bool write_piece();
  void finish_stream();
  void finish_answer();
  void break_off() noexcept;

  // Requests (connection_requests.cpp)
  void begin_request(const request_head& head);
  void remember(const request_head& head);
  void serve_shape(const request_head& head, std::string_view raw_query);
  void serve_read(const query& parameters, std::string if_none_match);
  void ask_session(shape_query query);
  void receive_body(const request_head& head, query parameters);
  std::size_t take_body(std::string_view input);
  void serve_post();
  void refuse_body(int status, std::string_view why);
  void forget_body() noexcept;
  void serve_deletion(const query& parameters);
  void serve_preflight(std::string_view requested_headers);
  void serve_health();
  void serve_cluster(const request_head& head, std::string_view raw_query);
  bool has_secret(const request_head& head, const query& parameters) const;
  void serve_probe();
  bool admit(const query& parameters);
  void leave_session() noexcept;
  void leave_admission() noexcept;
  void set_parked(bool parked) noexcept;

  // The gate (connection_gate.cpp)
  bool authenticate(const request_head& head, const query& parameters);
  bool admit_bearer(gate::porter& porter, std::string_view token);
  bool confine(shape_read& read);
  void on_pass_ended();
  void answer_unauthorized();
  void answer_forbidden();
  void limit(const gate::over_limit& over);
  void answer_limited(const gate::over_limit& over);

  // Answers (connection_answers.cpp)
  head_writer begin_head(int status, cors methods = cors::shape);
  void end_short(head_writer& head, std::string_view body);
  void end_bodiless(head_writer& head);
  void answer_json(int status, std::string_view body);
  void answer_invalid(const field_errors& errors);
  void answer_gone(const std::optional<std::string>& handle);
  void answer_refused(const refusal& what);
  void answer_log(const log_slice& slice, int tries_left = 10);
  void answer_log_again(const log_slice& slice, const error& why, int tries_left);
  void stream_slice(const log_slice& slice);
  /// As the log and the answer name the request; made up now if it has no name yet.
  request_name name_request();
  void note_handle(std::string_view handle);
  void log_answer() const;
  void add_log_headers_of(head_writer& head, const log_slice& slice, coding in, bool not_modified);

  worker& worker_;
  owned_fd socket_;
  state state_ = state::reading;
  method verb_ = method::other;
  route route_ = route::unknown;
  admission_class admitted_ = admission_class::none;
  coding accepts_ = coding::identity;
  bool http_1_1_ : 1 = true;
  bool close_after_ : 1 = false; // the answer under way is the last
  bool linger_ : 1 = false;      // the client may still be sending when we close
  bool live_ : 1 = false;
  bool sse_ : 1 = false;
  bool readable_ : 1 = false;  // a recv() might find something
  bool peer_done_ : 1 = false; // the peer will send no more
  bool broken_ : 1 = false;    // to be closed at the end of the turn
  bool in_session_ : 1 = false;
  bool parked_ : 1 = false;
  bool ending_ : 1 = false; // SSE: end the stream once what is queued is written
  bool reading_now_ : 1 = false;
  std::uint16_t status_ = 0;  // of the answer under way
  steady_time began_{};       // the request, roughly
  bool personal_ : 1 = false; // what is answered is for this client alone
  head_scanner scanner_;
  std::uint64_t discard_ = 0; // bytes of the request's body still to throw away
  std::string cursor_;
  std::string pending_; // input not yet used: part of a head, or pipelined requests
  // The request's origin, a zero byte, its x-request-id, and behind another one its trace; or
  // empty.
  std::string echo_;
  socket_writer writer_;
  std::unique_ptr<body_stream> body_;
  std::unique_ptr<incoming_request> incoming_;
  std::unique_ptr<open_question> question_;
  std::unique_ptr<gate_pass> pass_; // of the request under way, if a token came with it
};

} // namespace busbar::http
