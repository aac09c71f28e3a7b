// sql/program_pool.hpp: what compiled clauses have in common is kept once.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace busbar::sql {

struct program_layout; // program.hpp

/// Clauses that differ in their constants only are compiled to the same steps. Knows those that are
/// in use. Any thread.
class program_pool {
public:
  /// An equal layout, if there is one in use; otherwise this one, for others to share.
  std::shared_ptr<const program_layout> share(std::shared_ptr<const program_layout> made);

  /// How many different ones it has heard of and not forgotten yet.
  std::size_t size() const;

private:
  mutable std::mutex mutex_;
  std::unordered_multimap<std::size_t, std::weak_ptr<const program_layout>> known_; ///< By hash.
  std::size_t sweep_at_ = 64; ///< When there are so many, those out of use are forgotten.
};

} // namespace busbar::sql
