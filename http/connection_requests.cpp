// The request half of a connection: what is asked for, and may it be had?
#include "http/accept_encoding.hpp"
#include "http/connection.hpp"
#include "http/json_body.hpp"
#include "http/request_identity.hpp"
#include "http/shape_params.hpp"
#include "http/worker.hpp"

#include <array>

namespace busbar::http {

namespace {

/// A body we did not ask for is read and thrown away up to this size; the connection of a longer
/// one is closed instead.
constexpr std::uint64_t unwanted_body_bytes_max = 64 * 1024;

/// Bodies that are being received by one thread, together.
constexpr std::size_t incoming_bytes_max = 64u << 20;

prometheus::Gauge& gauge_of(monitoring::metrics& metrics, admission_class which) {
  return which == admission_class::initial ? metrics.admission_initial : metrics.admission_existing;
}

} // namespace

/// Keeps of the head what the answer, which may come much later, will need.
void connection::remember(const request_head& head) {
  verb_ = head.verb;
  http_1_1_ = head.http_1_1;
  accepts_ = worker_.settings().compression ? preferred_coding(head.accept_encoding.text())
                                            : coding::identity;
  close_after_ = !head.keep_alive || worker_.draining();
  linger_ = false;
  live_ = false;
  sse_ = false;
  ending_ = false;
  personal_ = false;
  discard_ = 0;
  if (head.chunked || head.content_length > unwanted_body_bytes_max ||
      (head.expects_continue && head.content_length > 0)) {
    close_after_ = true;
    linger_ = true;
  } else {
    discard_ = head.content_length;
  }
  began_ = worker_.turn();
  const bool has_id = is_request_id(head.request_id);
  const auto trace = trace_id_of(head.traceparent);
  if (!has_id && head.origin.empty() && trace.empty())
    return;
  echo_.assign(head.origin);
  echo_ += '\0';
  if (has_id)
    echo_ += head.request_id;
  if (trace.empty())
    return;
  echo_ += '\0';
  echo_ += trace;
}

void connection::begin_request(const request_head& head) {
  remember(head);
  const auto target = resolve(head.target);
  route_ = target.where;
  const bool reads = head.verb == method::get || head.verb == method::head;
  if (route_ == route::shape && head.verb != method::other)
    return serve_shape(head, target.query);
  if (route_ == route::health && reads)
    return serve_health();
  if ((route_ == route::live || route_ == route::ready) && reads)
    return serve_probe();
  if (route_ == route::cluster && reads && worker_.settings().cluster_report)
    return serve_cluster(head, target.query);
  if (route_ == route::root && reads) {
    auto answer = begin_head(200, cors::elsewhere);
    answer.add("cache-control", default_cache_control);
    return end_short(answer, {});
  }
  auto answer = begin_head(404, cors::elsewhere);
  answer.add("cache-control", default_cache_control);
  end_short(answer, "Not found");
}

void connection::serve_shape(const request_head& head, std::string_view raw_query) {
  if (head.verb == method::options)
    return serve_preflight(head.preflight_headers);
  auto parameters = query::parse(raw_query);
  if (!parameters) {
    close_after_ = true;
    linger_ = true;
    auto answer = begin_head(400);
    add_error_cache_headers(answer, verb_);
    return end_short(answer, {});
  }
  if (!authenticate(head, *parameters))
    return;
  if (head.verb == method::delete_)
    return serve_deletion(*parameters);
  if (head.verb == method::post)
    return receive_body(head, std::move(*parameters));
  if (admit(*parameters))
    serve_read(*parameters, head.if_none_match.text());
}

/// Names and addresses of machines are not for everybody.
void connection::serve_cluster(const request_head& head, std::string_view raw_query) {
  const auto parameters = query::parse(raw_query);
  if (!parameters || !has_secret(head, *parameters))
    return answer_unauthorized();
  auto answer = begin_head(200, cors::elsewhere);
  answer.add("cache-control", "no-store").add("content-type", json_type);
  end_short(answer, worker_.settings().cluster_report());
}

/// False if the request was refused for want of room.
bool connection::admit(const query& parameters) {
  const auto handle = given_text(parameters, "handle");
  const bool known = !handle.empty() && worker_.session().knows(std::string{handle});
  const auto which = known ? admission_class::existing : admission_class::initial;
  auto& metrics = worker_.metrics();
  if (worker_.requests().enter(which)) {
    admitted_ = which;
    gauge_of(metrics, which).Increment();
    return true;
  }
  (known ? metrics.admission_rejected_existing : metrics.admission_rejected_initial).Increment();
  auto answer = begin_head(503);
  add_error_cache_headers(answer, method::get); // no-store, whatever the method
  answer.add("content-type", json_type)
      .add("electric-internal-known-error", "true")
      .add("retry-after", 6 + worker_.random() % 5);
  end_short(answer, R"({"code":"concurrent_request_limit_exceeded",)"
                    R"("message":"too many requests of this kind are being served: try again"})");
  return false;
}

void connection::serve_read(const query& parameters, std::string if_none_match) {
  auto read = parse_shape_read(parameters);
  if (!read)
    return answer_invalid(read.error());
  if (pass_ && !confine(*read))
    return;
  const bool waits_for_news = read->query.live && !read->query.subset;
  live_ = waits_for_news;
  sse_ = read->query.sse && waits_for_news;
  cursor_ = std::move(read->cursor);
  read->query.if_none_match = std::move(if_none_match);
  if (sse_)
    accepts_ = coding::identity; // an event must not wait in a compressor
  read->query.accepts = accepts_;
  if (read->query.subset) // which may be slow, and then is logged by somebody else
    read->query.name = name_request();
  std::string why_not;
  const bool ready = worker_.session().state(why_not) == service_state::active;
  if (!ready || !read->later.empty())
    question_ = std::make_unique<open_question>(
        open_question{ready ? std::nullopt : std::optional{read->query}, std::move(read->later)});
  state_ = state::waiting;
  ask_session(std::move(read->query));
}

void connection::ask_session(shape_query query) {
  in_session_ = true;
  worker_.session().read(*this, std::move(query));
  if (!in_session_ || state_ != state::waiting || !live_)
    return;
  if (peer_done_)
    return break_off();
  set_parked(true);
  leave_admission();
}

void connection::ask_again() {
  phase_timer::disarm();
  auto query = *std::exchange(question_->query, std::nullopt);
  ask_session(std::move(query));
}

// --- Bodies --------------------------------------------------------------------------------------

void connection::receive_body(const request_head& head, query parameters) {
  if (head.content_length > body_bytes_max)
    return refuse_body(413, "the body is larger than 8000000 bytes");
  // This body is wanted after all; see remember().
  discard_ = 0;
  close_after_ = !head.keep_alive || worker_.draining();
  linger_ = false;
  incoming_ = std::make_unique<incoming_request>(
      incoming_request{std::move(parameters),
                       head.chunked ? body_decoder::chunked(body_bytes_max)
                                    : body_decoder::of_length(head.content_length, body_bytes_max),
                       {}});
  if (incoming_->decoder.done())
    return serve_post();
  state_ = state::receiving;
  worker_.arm(*this, phase::body);
  if (!head.expects_continue || !head.http_1_1)
    return;
  const std::array<fragment, 1> go_on{{{"HTTP/1.1 100 Continue\r\n\r\n"}}};
  write(go_on);
}

/// Returns how much of the input was used.
std::size_t connection::take_body(std::string_view input) {
  auto& body = incoming_->body;
  const auto before = body.size();
  const auto used = incoming_->decoder.decode(input, body);
  worker_.incoming_bytes() += body.size() - before;
  if (!used) {
    refuse_body(used.error(), used.error() == 413 ? "the body is larger than 8000000 bytes"
                                                  : "the body's chunks are malformed");
    return input.size();
  }
  if (worker_.incoming_bytes() > incoming_bytes_max) {
    refuse_body(503, "too many large bodies are being received: try again");
    return input.size();
  }
  if (incoming_->decoder.done())
    serve_post();
  return *used;
}

void connection::serve_post() {
  phase_timer::disarm();
  auto merged = merge_json_body(incoming_->body, incoming_->parameters);
  const auto parameters = std::move(incoming_->parameters);
  forget_body();
  if (!merged) {
    auto answer = begin_head(400);
    answer.add("cache-control", default_cache_control).add("content-type", json_type);
    return end_short(answer, error_body(merged.error()));
  }
  if (pass_ && !worker_.porter()->may_stay(*pass_->bearer, worker_.precise_wall_clock()))
    return answer_unauthorized();
  // Only now: a body that takes its time would hold a place and be no work.
  if (admit(parameters))
    serve_read(parameters, {});
}

/// Answers, and reads no more of this connection.
void connection::refuse_body(int status, std::string_view why) {
  phase_timer::disarm();
  forget_body();
  close_after_ = true;
  linger_ = true;
  auto answer = begin_head(status);
  answer.add("cache-control", default_cache_control).add("content-type", json_type);
  if (status == 503)
    answer.add("retry-after", 5);
  end_short(answer, error_body(why));
}

void connection::forget_body() noexcept {
  if (!incoming_)
    return;
  worker_.incoming_bytes() -= incoming_->body.size();
  incoming_.reset();
}

void connection::serve_deletion(const query& parameters) {
  if (pass_) // others may read the same shape
    return answer_forbidden();
  if (!worker_.settings().allow_delete)
    return answer_json(405, message_body("deleting shapes is not enabled on this server"));
  std::string why_not;
  if (worker_.session().state(why_not) != service_state::active)
    return answer_refused({{errc::unavailable, std::move(why_not)}, cause::not_ready});
  const auto deletion = parse_shape_deletion(parameters);
  if (!deletion)
    return answer_invalid(deletion.error());
  state_ = state::waiting;
  in_session_ = true;
  worker_.session().drop(*this, deletion->handle, deletion->definition);
}

void connection::serve_preflight(std::string_view requested_headers) {
  auto answer = begin_head(204);
  answer.add("access-control-max-age", "86400");
  if (const auto allowed = allowed_headers(requested_headers); !allowed.empty())
    answer.add("access-control-allow-headers", allowed);
  if (http_1_1_ && !close_after_)
    answer.add("connection", "keep-alive");
  end_bodiless(answer);
}

void connection::serve_health() {
  std::string why_not;
  const auto state = worker_.session().state(why_not);
  auto answer = begin_head(state == service_state::active ? 200 : 202, cors::elsewhere);
  answer.add("cache-control", "no-cache, no-store, must-revalidate").add("content-type", json_type);
  if (state == service_state::active)
    return end_short(answer, R"({"status":"active"})");
  end_short(answer, health_body(state == service_state::waiting ? "waiting" : "starting",
                                worker_.session().away()));
}

/// For orchestrators: the process lives, and shapes that are stored can be read, which needs no
/// PostgreSQL. Whoever serves has read its storage.
void connection::serve_probe() {
  const bool ready = route_ == route::live || !worker_.draining();
  auto answer = begin_head(ready ? 200 : 503, cors::elsewhere);
  answer.add("cache-control", "no-store").add("content-type", json_type);
  const std::string_view status = ready ? "ok" : "stopping";
  if (route_ == route::live)
    return end_short(answer, R"({"status":"ok"})");
  auto conditions = worker_.session().conditions();
  if (!ready)
    conditions.insert(conditions.begin(), {"running", false, "stopping", "the server is stopping"});
  else
    conditions.insert(conditions.begin(), {.name = "running"});
  end_short(answer, conditions_body(status, conditions));
}

/// Not from inside an on_… call: there the session has let go by itself, or must not be disturbed.
void connection::leave_session() noexcept {
  set_parked(false);
  if (!in_session_)
    return;
  in_session_ = false;
  worker_.session().cancel(*this);
}

void connection::leave_admission() noexcept {
  if (admitted_ == admission_class::none)
    return;
  gauge_of(worker_.metrics(), admitted_).Decrement();
  worker_.requests().leave(admitted_);
  admitted_ = admission_class::none;
}

void connection::set_parked(bool parked) noexcept {
  if (parked == parked_)
    return;
  parked_ = parked;
  worker_.count_parked(parked ? 1 : -1);
}

} // namespace busbar::http
