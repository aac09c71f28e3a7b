// The answer half of a connection: what the session says, as HTTP.
#include "actors/move_body.hpp"
#include "http/connection.hpp"
#include "http/cursor.hpp"
#include "http/event_frame.hpp"
#include "http/worker.hpp"

#include <array>

namespace busbar::http {

namespace {

std::string make_request_id(std::uint64_t a, std::uint64_t b) {
  constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef";
  std::string id(20, 'A');
  for (std::size_t i = 0; i < id.size(); ++i) {
    auto& source = i < 10 ? a : b;
    id[i] = letters[source % letters.size()];
    source /= letters.size();
  }
  return id;
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
  const std::string_view echo = echo_;
  const auto origin = echo.substr(0, echo.find('\0'));
  std::string made_up;
  auto request_id = echo.empty() ? echo : echo.substr(origin.size() + 1);
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
                           .origin = origin,
                           .request_id = request_id,
                           .personal = personal_},
          methods};
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
    auto head = begin_head(503);
    // Also after a POST: spec 17.2 says so, and 13.2 speaks of errors in general.
    add_error_cache_headers(head, what.because == cause::database ? method::get : verb_);
    add_trouble_headers(head, what);
    return end_short(head, trouble_body(what));
  }
  case errc::ok:
  case errc::corrupt:
    break;
  }
  // What exactly is broken is for our log, not for clients.
  answer_json(500, message_body("something is broken inside: the server's log says what"));
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

void connection::answer_log(const log_slice& slice) {
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
      return answer_refused({std::move(next).error()});
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
