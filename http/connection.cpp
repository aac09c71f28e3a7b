// The transport half of a connection: bytes in, bytes out, deadlines, and its end.
#include "http/connection.hpp"

#include "http/event_frame.hpp"
#include "http/worker.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace busbar::http {

namespace {

/// What a stalled SSE client may have waiting before it is dropped. The bytes are mostly shared, so
/// this bounds how long one client keeps old ones alive.
constexpr std::size_t stream_backlog_bytes_max = 4 * 1024 * 1024;
constexpr std::size_t stream_backlog_slices_max = 256;

/// How many pieces of a large body are written before other connections have their turn.
constexpr int pieces_per_turn = 8;

void free_memory(std::string& text) noexcept {
  std::string{}.swap(text);
}

} // namespace

connection::connection(worker& owner, owned_fd socket) noexcept
    : worker_{owner}, socket_{std::move(socket)} {}

connection::~connection() = default;

void connection::on_io(std::uint32_t events) {
  if (state_ == state::closed)
    return;
  if ((events & (EPOLLERR | EPOLLHUP)) != 0)
    return close();
  if ((events & EPOLLRDHUP) != 0)
    peer_done_ = true;
  if ((events & (EPOLLIN | EPOLLRDHUP)) != 0)
    readable_ = true;
  if ((events & EPOLLOUT) != 0 && !writer_.idle())
    flush();
  if (!readable_ || broken_)
    return;
  switch (state_) {
  case state::reading:
  case state::receiving:
    return read_input();
  case state::lingering:
    return discard_input();
  case state::waiting:
    // Who waits for news and hangs up is gone. Other requests are about to be answered, and
    // a client may well send one and close its half. Pipelined bytes stay in the kernel: the socket
    // is edge-triggered, so they do not wake us again.
    if (peer_done_ && live_)
      close();
    return;
  case state::streaming:
    if (peer_done_)
      close();
    return;
  case state::answering:
  case state::closed:
    return;
  }
}

// --- Input ---------------------------------------------------------------------------------------

void connection::read_input() {
  if (!takes_input() || !readable_ || broken_)
    return;
  const auto buffer = worker_.read_buffer();
  const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (count == 0)
    return on_input_end();
  if (count < 0) {
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
      return close();
    readable_ = errno == EINTR;
  } else {
    // A short read emptied the socket; what comes later is a new event.
    readable_ = peer_done_ || static_cast<std::size_t>(count) == buffer.size();
    feed({buffer.data(), static_cast<std::size_t>(count)});
  }
  if (readable_ && takes_input())
    worker_.defer(*this); // others first
}

void connection::feed(std::string_view bytes) {
  // Mostly a read brings whole requests, which are parsed where they lie.
  const bool buffered = !pending_.empty();
  if (buffered)
    pending_.append(bytes);
  const std::string_view input = buffered ? std::string_view{pending_} : bytes;
  reading_now_ = true;
  const auto used = consume(input);
  reading_now_ = false;
  if (used == input.size())
    free_memory(pending_);
  else if (buffered)
    pending_.erase(0, used);
  else
    pending_.assign(input.substr(used));
  if (state_ != state::reading || broken_)
    return;
  const auto waits_for = pending_.empty() ? phase::idle : phase::head;
  if (!phase_timer::armed() || phase_timer::in != waits_for)
    worker_.arm(*this, waits_for);
}

std::size_t connection::consume(std::string_view input) {
  std::size_t used = 0;
  while (takes_input() && used < input.size() && !broken_) {
    if (state_ == state::receiving) {
      used += take_body(input.substr(used));
      continue;
    }
    if (discard_ > 0) {
      const auto part = std::min<std::uint64_t>(discard_, input.size() - used);
      discard_ -= part;
      used += part;
      continue;
    }
    const auto rest = input.substr(used);
    if (rest.starts_with("\r\n")) { // between requests: an old client bug, to be skipped
      scanner_.reset();
      used += 2;
      continue;
    }
    const auto length = scanner_.scan(rest, worker_.limits());
    if (!length) {
      reject(length.error());
      return input.size();
    }
    if (*length == 0)
      break;
    scanner_.reset();
    used += *length;
    const auto head = parse_request_head(rest.substr(0, *length));
    if (!head) {
      reject(head.error());
      return input.size();
    }
    phase_timer::disarm();
    begin_request(*head);
  }
  return used;
}

void connection::on_input_end() {
  peer_done_ = true;
  readable_ = false;
  if (pending_.empty() && state_ == state::reading)
    return close();
  free_memory(pending_);
  reject(400); // half a request; the client may still read why
}

void connection::discard_input() {
  while (readable_) {
    const auto buffer = worker_.read_buffer();
    const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count > 0)
      continue;
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      readable_ = false;
      return;
    }
    return close();
  }
}

void connection::reject(int status) {
  verb_ = method::other;
  route_ = route::unknown;
  http_1_1_ = true;
  close_after_ = true;
  linger_ = true;
  live_ = false;
  began_ = worker_.turn();
  free_memory(echo_);
  forget_body();
  auto head = begin_head(status, cors::elsewhere);
  add_error_cache_headers(head, method::get);
  end_short(head, {});
}

// --- Output --------------------------------------------------------------------------------------

/// True if all is with the kernel. Otherwise either the rest waits for flush(), or the connection
/// is about to be closed.
bool connection::write(std::span<const fragment> fragments) {
  if (broken_)
    return false;
  const bool was_idle = writer_.idle();
  const auto before = worker_.sent_bytes();
  const auto outcome = writer_.send(socket_.get(), fragments, worker_.sent_bytes(), worker_.held());
  if (pass_)
    pass_->sent(worker_.sent_bytes() - before);
  switch (outcome) {
  case socket_writer::outcome::sent:
    return true;
  case socket_writer::outcome::paused:
    worker_.defer(*this);
    [[fallthrough]];
  case socket_writer::outcome::stalled:
    if (was_idle)
      worker_.arm(*this, phase::send);
    return false;
  case socket_writer::outcome::broken:
    break;
  }
  break_off();
  return false;
}

void connection::flush() {
  const auto before = writer_.backlog_bytes();
  const auto sent_before = worker_.sent_bytes();
  const auto outcome = writer_.flush(socket_.get(), worker_.sent_bytes());
  if (pass_)
    pass_->sent(worker_.sent_bytes() - sent_before);
  switch (outcome) {
  case socket_writer::outcome::sent:
    phase_timer::disarm();
    return resume();
  case socket_writer::outcome::paused:
    worker_.defer(*this);
    [[fallthrough]];
  case socket_writer::outcome::stalled:
    if (writer_.backlog_bytes() < before)
      worker_.arm(*this, phase::send);
    return;
  case socket_writer::outcome::broken:
    return break_off();
  }
}

/// All that was handed to the kernel is written: what next?
void connection::resume() {
  if (broken_)
    return;
  if (body_)
    return pump();
  if (state_ == state::streaming) {
    if (ending_)
      return finish_stream();
    worker_.arm(*this, phase::keepalive);
  } else if (state_ == state::answering) {
    finish_answer();
  } else if (state_ == state::receiving) {
    worker_.arm(*this, phase::body); // the 100 is out
  }
}

/// Reads and writes the pieces of a large body, the next one only when the last is written.
void connection::pump() {
  const auto enough = worker_.sent_bytes() + socket_writer::turn_bytes_max;
  for (int budget = pieces_per_turn; body_ && budget > 0 && worker_.sent_bytes() < enough; --budget)
    if (!write_piece())
      return;
  if (body_)
    worker_.defer(*this);
  else
    resume();
}

bool connection::write_piece() {
  auto& body = *body_;
  body_piece piece;
  if (body.slice.ready) {
    piece.bytes = std::move(body.slice.ready);
    body.slice.rest.finished = true;
  } else if (!body.slice.rest.done()) {
    auto next = worker_.session().next_piece(body.slice.rest);
    if (!next) {
      break_off(); // the client must see a broken body, not a short one
      return false;
    }
    piece = std::move(*next);
    if (!piece.bytes && !body.slice.rest.done()) {
      in_session_ = true;
      worker_.session().await_more(*this, body.slice.rest);
      return false;
    }
  }
  std::string_view entries = piece.bytes ? std::string_view{*piece.bytes} : std::string_view{};
  const bool last = body.slice.rest.done();

  std::string before;
  if (!sse_ && body.any && !entries.empty())
    before = body.coded.plain(",");
  body.any = body.any || !entries.empty();
  if (piece.in == body.coded.in()) {
    body.coded.add(piece.sum);
  } else { // too short to be compressed
    piece.bytes = share(body.coded.plain(entries));
    entries = *piece.bytes;
  }
  std::string after;
  if (last && sse_)
    after = up_to_date_event(body.slice);
  if (last && !sse_) {
    if (body.slice.up_to_date)
      after = (body.any ? "," : "") + up_to_date_message(body.slice.last_seen_lsn);
    after = body.coded.plain(after + ']');
    after += body.coded.end();
  }
  if (const auto bytes = before.size() + entries.size() + after.size(); http_1_1_ && bytes > 0) {
    before.insert(0, (body.chunk_open ? "\r\n" : "") + chunk_head(bytes));
    body.chunk_open = true;
  }
  if (last && body.chunk_open) {
    after += "\r\n";
    body.chunk_open = false;
  }
  if (last && !sse_ && http_1_1_)
    after += last_chunk;

  if (last) {
    if (body.later.empty()) {
      body_.reset();
    } else {
      body.slice = std::move(body.later.front());
      body.later_bytes -= body.slice.ready ? body.slice.ready->size() : 0;
      body.later.pop_front();
      body.any = false;
    }
  }
  const std::array<fragment, 3> fragments{
      {{before}, {entries, &piece.bytes, worker_.hot_bodies().find(piece.bytes)}, {after}}};
  return write(fragments);
}

void connection::stream_slice(const log_slice& slice) {
  if (ending_ || broken_)
    return;
  if (body_) {
    body_->later_bytes += slice.ready ? slice.ready->size() : 0;
    if (body_->later.size() == stream_backlog_slices_max ||
        body_->later_bytes > stream_backlog_bytes_max)
      return break_off(); // the client comes back with the offset it has
    body_->later.push_back(slice);
    return;
  }
  if (!slice.ready && !slice.rest.done()) {
    body_ = std::make_unique<body_stream>();
    body_->slice = slice;
    if (writer_.idle())
      pump();
    return;
  }
  if (writer_.backlog_bytes() > stream_backlog_bytes_max)
    return break_off();
  bool sent = false;
  if (http_1_1_) {
    const auto frame = worker_.event_frame(slice);
    const std::array<fragment, 1> fragments{{{*frame, &frame}}};
    sent = write(fragments);
  } else {
    const auto event = up_to_date_event(slice);
    const std::string_view entries =
        slice.ready ? std::string_view{*slice.ready} : std::string_view{};
    const std::array<fragment, 2> fragments{{{entries, &slice.ready}, {event}}};
    sent = write(fragments);
  }
  if (sent)
    worker_.arm(*this, phase::keepalive);
}

/// Nothing is queued any more: the regular end of an SSE stream.
void connection::finish_stream() {
  lifetime_timer::disarm();
  state_ = state::answering;
  if (http_1_1_ && verb_ != method::head) {
    const std::array<fragment, 1> fragments{{{last_chunk}}};
    if (!write(fragments))
      return;
  }
  finish_answer();
}

/// The answer is written: on to the next request, or the end.
void connection::finish_answer() {
  phase_timer::disarm();
  leave_admission();
  worker_.count_answered(route_, status_, live_, began_);
  log_answer();
  free_memory(echo_);
  question_.reset();
  pass_.reset();
  if (close_after_) {
    const bool lingers = linger_ && !peer_done_;
    if (!lingers || ::shutdown(socket_.get(), SHUT_WR) != 0)
      return break_off();
    state_ = state::lingering;
    worker_.arm(*this, phase::linger);
    worker_.defer(*this);
    return;
  }
  state_ = state::reading;
  worker_.arm(*this, phase::idle);
  if (!reading_now_ && (readable_ || !pending_.empty()))
    worker_.defer(*this);
}

// --- Deadlines and the end -----------------------------------------------------------------------

void connection::on_phase_expired() {
  switch (phase_timer::in) {
  case phase::head:
    free_memory(pending_);
    return reject(408);
  case phase::body:
    return refuse_body(408, "the body takes too long");
  case phase::readiness: {
    std::string why_not;
    worker_.session().state(why_not);
    question_.reset();
    return answer_refused({{errc::unavailable, std::move(why_not)}, cause::not_ready});
  }
  case phase::limited:
    return answer_limited(gate::over_limit{*question_->over});
  case phase::keepalive: {
    const auto comment =
        http_1_1_ ? chunk_head(keepalive_comment.size()) + std::string{keepalive_comment} + "\r\n"
                  : std::string{keepalive_comment};
    const std::array<fragment, 1> fragments{{{comment}}};
    if (write(fragments))
      worker_.arm(*this, phase::keepalive);
    return;
  }
  case phase::idle:
  case phase::send:
  case phase::linger:
    return close();
  }
}

void connection::on_lifetime_expired() {
  leave_session();
  ending_ = true;
  if (writer_.idle() && !body_)
    finish_stream();
}

void connection::run_deferred() {
  if (broken_)
    return close();
  switch (state_) {
  case state::reading:
  case state::receiving:
    if (!pending_.empty()) {
      const auto input = std::exchange(pending_, {});
      feed(input);
    }
    return read_input();
  case state::streaming:
    if (ending_)
      leave_session();
    [[fallthrough]];
  case state::answering:
    return writer_.idle() ? resume() : flush();
  case state::lingering:
    return discard_input();
  case state::waiting:
  case state::closed:
    return;
  }
}

void connection::close_if_idle() {
  if (state_ == state::reading && pending_.empty())
    close();
}

/// To be closed at the end of the turn; safe in the middle of anything.
void connection::break_off() noexcept {
  broken_ = true;
  worker_.defer(*this);
}

void connection::close() {
  if (state_ == state::closed)
    return;
  // An answer that is cut off must look cut off, also where only the end of the connection marks
  // the end of the body.
  if (state_ == state::answering && (body_ || !writer_.idle())) {
    const linger reset{1, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  state_ = state::closed;
  leave_session();
  leave_admission();
  phase_timer::disarm();
  lifetime_timer::disarm();
  socket_.reset();
  writer_.drop();
  body_.reset();
  free_memory(pending_);
  free_memory(echo_);
  forget_body();
  question_.reset();
  pass_.reset();
  worker_.retire(*this);
}

} // namespace busbar::http
