// actors/stored_shapes.hpp: makes live shapes of what storage says of them.
#pragma once

#include "actors/protocol.hpp"
#include "storage/store.hpp"

#include <map>
#include <memory>
#include <unordered_map>

namespace busbar {

/// What shapes have in common they share, as long as they come through the same one of these. One
/// thread at a time.
class stored_shapes {
public:
  explicit stored_shapes(sql::program_pool& clauses) : clauses_{clauses} {}

  /// Shapes that are alive already, whose state is to be kept.
  void know(const shape_ptr& shape);
  /// Sets come before those that ask them. An error: the definition is not accepted any more.
  result<adoption> make(storage::recovered_shape from);
  void forget(storage::shape_id id);
  /// Null if it is not known.
  shape_ptr find(storage::shape_id id) const;
  const std::unordered_map<storage::shape_id, shape_ptr>& all() const noexcept { return known_; }

private:
  result<shape_definition> define(const storage::recovered_shape& from,
                                  const std::shared_ptr<const table_info>& table);

  sql::program_pool& clauses_;
  std::map<std::uint32_t, std::shared_ptr<const table_info>> tables_; ///< By oid.
  snapshot_ptr sees_; ///< Of the last; those that were made together share it.
  shared_schemas schemas_;
  std::unordered_map<storage::shape_id, shape_ptr> known_;
};

} // namespace busbar
