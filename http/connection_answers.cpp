// The answer half of a connection: what the session says, as HTTP.
#include "actors/move_body.hpp"
#include "http/connection.hpp"
#include "http/cursor.hpp"
#include "http/event_frame.hpp"
#include "http/request_identity.hpp"
#include "http/worker.hpp"
#include "monitoring/logging.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>

namespace busbar::http {

namespace {

/// What connection::echo_ holds.
struct echo_parts {
  explicit echo_parts(std::string_view echo)
      : origin{take(echo)}, id{take(echo)}, trace{take(echo)}, handle{echo} {}
  std::string_view origin;
  std::string_view id;
  std::string_view trace;
  std::string_view handle; ///< Of the shape that the answer is of, for the log; mostly empty.

private:
  static std::string_view take(std::string_view& text) {
    const auto end = std::min(text.find('\0'), text.size());
    const auto part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return part;
  }
};

void log_refusal(spdlog::level::level_enum level, int status, const error& why,
                 const request_name& name) {
  const monitoring::log_scope scope{
      {.request_id = name.id, .trace_id = name.trace, .handle = {}, .tenant = {}}};
  spdlog::log(level, "a request was answered {}: {}", status, why.message);
}

} // namespace

// --- What the session says -----------------------------------------------------------------------

void connection::on_slice(const log_slice& slice) {
  if (broken_)
    return;
  if (state_ == state::streaming)
    return stream_slice(slice);
  if (state_ != state::waiting)
    return;
  in_session_ = false;
  set_parked(false);
  answer_log(slice);
}

void connection::on_stream_open(const log_slice& slice) {
  if (broken_ || state_ != state::waiting)
    return;
  state_ = state::streaming;
  note_handle(slice.handle);
  auto head = begin_head(200);
  add_log_headers_of(head, slice, coding::identity, false);
  if (http_1_1_ && !close_after_)
    head.add("connection", "keep-alive");
  if (!http_1_1_)
    close_after_ = true;
  head.end_streamed();
  leave_admission();
  if (verb_ == method::head || peer_done_) {
    ending_ = true; // and leave the session, which must not happen in here
    worker_.defer(*this);
  } else {
    set_parked(true);
    worker_.arm_lifetime(*this);
  }
  const std::array<fragment, 1> fragments{{{worker_.head_text()}}};
  if (write(fragments) && !ending_)
    worker_.arm(*this, phase::keepalive);
}

void connection::on_not_modified(const log_slice& same) {
  if (broken_ || state_ != state::waiting)
    return;
  in_session_ = false;
  set_parked(false);
  note_handle(same.handle);
  auto head = begin_head(304);
  add_log_headers_of(head, same, coding::identity, true);
  end_bodiless(head);
}

void connection::on_gone(const std::optional<std::string>& handle) {
  if (broken_)
    return;
  in_session_ = false;
  set_parked(false);
  if (state_ == state::streaming) {
    // The client asks again and then gets its 409.
    ending_ = true;
    if (writer_.idle() && !body_)
      finish_stream();
  } else if (state_ == state::waiting) {
    answer_gone(handle);
  }
}

void connection::on_refused(const refusal& what) {
  if (broken_)
    return;
  in_session_ = false;
  set_parked(false);
  if (state_ == state::streaming || state_ == state::answering)
    break_off(); // of a body that was to go on: see on_more()
  else if (state_ == state::waiting && what.because == cause::not_ready && question_ &&
           question_->query && !worker_.draining())
    worker_.arm(*this, phase::readiness);
  else if (state_ == state::waiting)
    answer_refused(what);
}

void connection::on_subset(const subset_answer& answer) {
  if (broken_ || state_ != state::waiting)
    return;
  in_session_ = false;
  set_parked(false);
  state_ = state::answering;
  note_handle(answer.handle);
  auto head = begin_head(200);
  add_subset_headers(head, answer, personal_);
  head.end_with_length(answer.body->size());
  const std::string_view body = verb_ == method::head ? std::string_view{} : *answer.body;
  const std::array<fragment, 2> fragments{{{worker_.head_text()}, {body, &answer.body}}};
  if (write(fragments))
    finish_answer();
}

void connection::on_more() {
  if (broken_ || !body_)
    return;
  in_session_ = false;
  if (writer_.idle())
    pump();
}

void connection::on_dropped(bool found) {
  if (broken_ || state_ != state::waiting)
    return;
  in_session_ = false;
  if (!found)
    return answer_json(404, message_body("there is no such shape"));
  auto head = begin_head(202);
  head.add("cache-control", "no-cache").add("electric-has-data", "true");
  end_short(head, {});
}

// --- Answers -------------------------------------------------------------------------------------

head_writer connection::begin_head(int status, cors methods) {
  worker_.count_request(route_, status);
  status_ = static_cast<std::uint16_t>(status);
  // A refusal names the request in its body and in the log.
  if (status >= 500 || spdlog::should_log(spdlog::level::debug))
    name_request();
  const echo_parts echo{echo_};
  std::string made_up;
  auto request_id = echo.id;
  if (request_id.empty()) {
    made_up = make_request_id(worker_.random(), worker_.random());
    request_id = made_up;
  }
  worker_.head_text().clear();
  return {worker_.head_text(), status,
          response_context{.http_1_1 = http_1_1_,
                           .keep_alive = !close_after_,
                           .date = worker_.date(),
                           .server = worker_.server_name(),
                           .origin = echo.origin,
                           .request_id = request_id,
                           .personal = personal_},
          methods};
}

request_name connection::name_request() {
  const echo_parts echo{echo_};
  request_name name{std::string{echo.id}, std::string{echo.trace}};
  if (!name.id.empty())
    return name;
  name.id = make_request_id(worker_.random(), worker_.random());
  std::string named{echo.origin};
  named += '\0';
  named += name.id;
  if (!name.trace.empty())
    named += '\0' + name.trace;
  echo_ = std::move(named);
  return name;
}

/// Before begin_head(), which keeps views of what this changes.
void connection::note_handle(std::string_view handle) {
  if (!spdlog::should_log(spdlog::level::debug))
    return;
  name_request();
  const echo_parts echo{echo_};
  std::string noted{echo.origin};
  for (const auto part : {echo.id, echo.trace, handle})
    noted.append(1, '\0').append(part);
  echo_ = std::move(noted);
}

/// Not what was asked: parameters hold secrets, and values that are nobody's business.
void connection::log_answer() const {
  if (!spdlog::should_log(spdlog::level::debug))
    return;
  const echo_parts echo{echo_};
  const monitoring::log_scope scope{
      {.request_id = echo.id, .trace_id = echo.trace, .handle = echo.handle, .tenant = {}}};
  spdlog::debug("{}{} was answered {} after {} ms", name_of(route_), live_ ? ", live," : "",
                status_,
                std::chrono::duration_cast<std::chrono::milliseconds>(
                    std::chrono::steady_clock::now() - began_)
                    .count());
}

/// Writes head and body in one go.
void connection::end_short(head_writer& head, std::string_view body) {
  state_ = state::answering;
  head.end_with_length(body.size());
  const std::array<fragment, 2> fragments{
      {{worker_.head_text()}, {verb_ == method::head ? std::string_view{} : body}}};
  if (write(fragments))
    finish_answer();
}

/// For the statuses that never have a body.
void connection::end_bodiless(head_writer& head) {
  state_ = state::answering;
  head.end_without_body();
  const std::array<fragment, 1> fragments{{{worker_.head_text()}}};
  if (write(fragments))
    finish_answer();
}

void connection::answer_json(int status, std::string_view body) {
  auto head = begin_head(status);
  add_error_cache_headers(head, verb_);
  head.add("content-type", json_type);
  end_short(head, body);
}

void connection::answer_invalid(const field_errors& errors) {
  answer_json(400, validation_body(errors));
}

void connection::answer_gone(const std::optional<std::string>& handle) {
  worker_.count_must_refetch(handle.has_value());
  if (handle)
    note_handle(*handle);
  auto head = begin_head(409);
  add_gone_headers(head, handle, verb_, personal_);
  head.add("content-type", json_type);
  end_short(head, must_refetch_body);
}

void connection::answer_refused(const refusal& what) {
  switch (what.why.code) {
  case errc::invalid_argument:
  case errc::not_found:
    if (what.why.field.empty())
      return answer_json(400, message_body(what.why.message));
    if (question_ && !question_->later.empty() &&
        question_->later.front().field == what.why.field &&
        question_->later.front().message == what.why.message)
      return answer_invalid(question_->later); // with what the session was not told
    return answer_invalid({{what.why.field, what.why.message, what.said_by_postgres}});
  case errc::must_refetch:
    return answer_gone(std::nullopt);
  case errc::unavailable:
  case errc::misconfigured: {
    const auto name = name_request();
    log_refusal(spdlog::level::info, 503, what.why, name);
    auto head = begin_head(503);
    // Also after a POST: spec 17.2 says so, and 13.2 speaks of errors in general.
    add_error_cache_headers(head, what.because == cause::database ? method::get : verb_);
    add_trouble_headers(head, what);
    return end_short(head, trouble_body(what, name.id));
  }
  case errc::ok:
  case errc::corrupt:
    break;
  }
  // What exactly is broken is for our log, not for clients.
  const auto name = name_request();
  log_refusal(spdlog::level::err, 500, what.why, name);
  answer_json(500, message_body("something is broken inside: the server's log says what", name.id));
}

void connection::add_log_headers_of(head_writer& head, const log_slice& slice, coding in,
                                    bool not_modified) {
  const auto& settings = worker_.settings();
  std::string cursor;
  if (live_)
    cursor =
        next_cursor(cursor_, std::chrono::floor<std::chrono::seconds>(settings.long_poll),
                    worker_.wall_clock(), static_cast<std::int64_t>(1 + worker_.random() % 3600));
  add_log_headers(
      head, slice,
      {live_, sse_, verb_ == method::post, in, worker_.session().stale_since(), personal_},
      {settings.cache_max_age, settings.cache_stale_age, settings.sse_lifetime}, cursor,
      worker_.random() >> 1, not_modified);
}

/// Compaction may have moved the slice's end since it was cut: then it is cut again, which may be
/// done as nothing has been said of it yet.
void connection::answer_log_again(const log_slice& slice, const error& why, int tries_left) {
  if (why.code != errc::unavailable || tries_left == 0)
    return answer_refused({error{why}});
  auto again = worker_.session().slice_again(slice, live_);
  if (!again)
    return answer_refused({std::move(again).error()});
  answer_log(*again, tries_left - 1);
}

void connection::answer_log(const log_slice& slice, int tries_left) {
  auto rest = slice.rest;
  body_piece piece{slice.ready};
  if (slice.ready) {
    rest.finished = true;
    if (slice.news)
      piece = slice.news->json_elements(accepts_);
  } else if (!rest.done()) {
    rest.in = accepts_;
    auto next = worker_.session().next_piece(rest);
    if (!next)
      return answer_log_again(slice, next.error(), tries_left);
    piece = *std::move(next);
    rest.in = piece.in; // what the body begins with, it goes on with
  }
  const bool whole = rest.done();
  const std::string_view entries =
      piece.bytes ? std::string_view{*piece.bytes} : std::string_view{};
  std::string tail;
  if (whole && slice.up_to_date)
    tail = (entries.empty() ? "" : ",") + up_to_date_message(slice.last_seen_lsn);
  if (whole)
    tail += ']';
  coded_body coded{piece.in};
  const auto opening = coded.begin() + coded.plain("[");
  coded.add(piece.sum);
  tail = coded.plain(tail);
  if (whole)
    tail += coded.end();

  state_ = state::answering;
  note_handle(slice.handle);
  if (!whole && !http_1_1_)
    close_after_ = true; // only the end of the connection can mark the end of this body
  auto head = begin_head(200);
  add_log_headers_of(head, slice, piece.in, false);
  if (whole)
    head.end_with_length(opening.size() + entries.size() + tail.size());
  else
    head.end_streamed();
  auto& front = worker_.head_text();
  if (verb_ == method::head) {
    const std::array<fragment, 1> fragments{{{front}}};
    if (write(fragments))
      finish_answer();
    return;
  }
  if (!whole) {
    body_ = std::make_unique<body_stream>();
    body_->slice = slice;
    body_->slice.ready = nullptr;
    body_->slice.rest = std::move(rest);
    body_->coded = coded;
    body_->any = !entries.empty();
    if (http_1_1_) {
      front += chunk_head(opening.size() + entries.size());
      body_->chunk_open = true;
    }
  }
  front += opening;
  const std::array<fragment, 3> fragments{
      {{front}, {entries, &piece.bytes, worker_.hot_bodies().find(piece.bytes)}, {tail}}};
  if (!write(fragments))
    return;
  resume();
}

} // namespace busbar::http
