// postgres/catalog_session.hpp: the leader's second session, beside the stream: for questions to
// the catalog, and as a lookout for a server that shuts down. Private to postgres/.
#pragma once

#include "postgres/connection.hpp"

#include <chrono>
#include <optional>

namespace busbar::postgres {

/// A fast shutdown ends ordinary sessions at once and lets streams go on until all that they were
/// sent is confirmed. If that takes something that can only be read over a new session, both sides
/// would wait for each other; so the stream has to learn of it, and this session's end tells.
class catalog_session {
public:
  explicit catalog_session(connection_url url);

  /// Opens it unless it is open.
  pg_result_of<connection*> open(deadline until);
  bool is_open() const noexcept { return session_.has_value(); }
  void drop() noexcept { session_.reset(); }

  /// For poll(), while nothing is asked: readable when look() should be called. -1 if not open.
  int fd() const noexcept;
  /// Reads what has come unasked. If the server ended the session, is_refused() must be asked.
  void look();

  /// When is_refused() wants to be called next; the end of time if it need not be.
  deadline next_question() const noexcept { return next_question_; }
  /// After the server has ended the session: true if it has been refusing new ones, because it
  /// shuts down, for longer than it takes to confirm what needs nothing but the disk. May take
  /// seconds.
  bool is_refused();

private:
  connection_url url_;
  std::optional<connection> session_;
  deadline next_question_ = deadline::max();
  std::optional<deadline> refused_since_;
};

} // namespace busbar::postgres
