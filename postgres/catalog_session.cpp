#include "postgres/catalog_session.hpp"

#include <libpq-fe.h>

namespace busbar::postgres {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::chrono::seconds refused_max{1};
constexpr std::chrono::milliseconds question_period{200};
constexpr std::chrono::seconds connect_max{2};
constexpr auto cannot_connect_now = "57P03";

} // namespace

catalog_session::catalog_session(connection_url url) : url_{std::move(url)} {}

pg_result_of<connection*> catalog_session::open(deadline until) {
  if (!session_) {
    auto opened = connection::open(url_, "catalog", until);
    if (!opened)
      return tl::unexpected{std::move(opened).error()};
    session_.emplace(*std::move(opened));
  }
  return &*session_;
}

int catalog_session::fd() const noexcept {
  return session_ ? PQsocket(session_->raw()) : -1;
}

void catalog_session::look() {
  if (!session_ || (PQconsumeInput(session_->raw()) == 1 && session_->usable()))
    return;
  drop();
  next_question_ = clock::now();
}

bool catalog_session::is_refused() {
  const auto now = clock::now();
  if (now < next_question_)
    return false;
  // Anything else that keeps a session from being opened is for whoever needs it next.
  if (const auto opened = open(now + connect_max);
      opened || opened.error().sqlstate != cannot_connect_now) {
    next_question_ = deadline::max();
    refused_since_.reset();
    return false;
  }
  if (!refused_since_)
    refused_since_ = now;
  next_question_ = now + question_period;
  return now - *refused_since_ >= refused_max;
}

} // namespace busbar::postgres
