// actors/kept_session.hpp: a connection to PostgreSQL that an actor keeps between its tasks.
#pragma once

#include "postgres/connection.hpp"

#include <optional>
#include <string>
#include <utility>

namespace busbar {

/// Opened when it is first needed, and anew after it was lost. For detached actors: it blocks.
class kept_session {
public:
  kept_session(postgres::connection_url url, std::string purpose)
      : url_{std::move(url)}, purpose_{std::move(purpose)} {}

  /// Does `work` (session, deadline) with an open session. One that lay idle may have died
  /// unnoticed: if it turns out to be lost, the work is done once more with a new one.
  template <class Work>
  auto use(postgres::deadline until, const Work& work)
      -> decltype(work(std::declval<postgres::connection&>(), until)) {
    const bool lay_idle = session_ && session_->usable();
    if (auto opened = open(until); !opened)
      return tl::unexpected{std::move(opened).error()};
    auto done = work(*session_, until);
    if (done || !lay_idle || (session_->usable() && !done.error().lost()) ||
        std::chrono::steady_clock::now() >= until)
      return done;
    drop();
    if (auto opened = open(until); !opened)
      return tl::unexpected{std::move(opened).error()};
    return work(*session_, until);
  }

  /// The session that use() has just worked with.
  postgres::connection& current() { return *session_; }

  /// Whether there is a session to work with: not after use() could not open one.
  bool usable() const { return session_ && session_->usable(); }

  /// Closes it: it may be in the middle of anything.
  void drop() noexcept { session_.reset(); }

private:
  postgres::pg_result_of<void> open(postgres::deadline until) {
    if (session_ && session_->usable())
      return {};
    session_.reset();
    auto opened = postgres::connection::open(url_, purpose_, until);
    if (!opened)
      return tl::unexpected{std::move(opened).error()};
    session_.emplace(std::move(*opened));
    return {};
  }

  postgres::connection_url url_;
  std::string purpose_;
  std::optional<postgres::connection> session_;
};

} // namespace busbar
