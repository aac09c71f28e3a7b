// postgres/slot_watch.hpp: why a new replication slot takes its time. Private to postgres/.
#pragma once

#include "postgres/connection.hpp"

#include <chrono>
#include <optional>
#include <string>

namespace busbar::postgres {

/// A slot that is being made waits for every transaction that was open when it began. The session
/// that makes it can say nothing meanwhile, so another one looks.
class slot_watch {
public:
  static constexpr std::chrono::seconds first_look{2};
  static constexpr std::chrono::seconds period{10};

  slot_watch(connection_url url, int maker_pid) : url_{std::move(url)}, maker_pid_{maker_pid} {}

  /// Whom it waits for: "pid 12 (for 34 s), prepared transaction x (for 5 s)". Also asks the server
  /// to log its running transactions, which a slot needs to begin and an idle server puts off.
  std::string look();

private:
  pg_result_of<rows> ask(const std::string& sql);

  connection_url url_;
  int maker_pid_;
  std::optional<connection> session_;
  bool may_log_ = true; ///< Until the server refuses.
};

} // namespace busbar::postgres
