// actors/table_tidier.hpp: takes tables out of the publication that we have added to it and that
// nobody follows any more, so that PostgreSQL need not decode and send what nobody wants. Of one
// thread: the RECONCILER's tool.
#pragma once

#include "actors/kept_session.hpp"
#include "actors/node_status.hpp"
#include "actors/publication_gate.hpp"
#include "actors/shape_index.hpp"
#include "storage/store.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <unordered_map>

namespace busbar {

/// Borrowed parts outlive it.
struct tidier_settings {
  storage::store* store = nullptr;
  const shape_index* index = nullptr;
  publication_gate* gate = nullptr;
  const node_status* status = nullptr;
  std::string publication;
  std::chrono::milliseconds delay{0}; ///< For so long must a table be unused; 0 keeps them all.
};

class table_tidier {
public:
  using clock = std::chrono::steady_clock;

  explicit table_tidier(tidier_settings settings) : env_{std::move(settings)} {}

  /// How long tables have been unused is counted from the first call that finds them so.
  void tidy(kept_session& session, clock::time_point now);

private:
  /// True if nothing is left to be done about the table.
  postgres::pg_result_of<bool> take_out(postgres::connection& session,
                                        const storage::added_table& table,
                                        postgres::deadline until);

  const tidier_settings env_;
  std::unordered_map<std::uint32_t, clock::time_point> unused_since_; ///< By oid.
};

} // namespace busbar
