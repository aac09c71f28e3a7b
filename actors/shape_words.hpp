// actors/shape_words.hpp: which shape a request's words stand for, as far as that can be told
// without PostgreSQL.
#pragma once

#include "actors/reader.hpp"
#include "actors/shape_index.hpp"
#include "base/keyed_hash.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <unordered_map>

namespace busbar {

/// Of one session, on its thread. Forgets everything when it has remembered too much.
class shape_words {
public:
  explicit shape_words(const shape_index& index);

  /// `key` is the request's cache_key(). Null if it cannot be told.
  shape_ptr recall(const std::string& key, const shape_query& query);
  void remember(const std::string& key, const shape_ptr& shape);

  /// The shape of this definition, if there is one, whose table is taken as the shapes on it know
  /// it. Compiles the clause, but once only if there is one.
  shape_ptr defined_by(const std::string& key, const shape_request& words);

private:
  const shape_index& index_;
  keyed_hash hash_; ///< With a key of its own, so that nobody can make two keys look alike.
  /// By a digest of the key, which may be as long as a clause.
  std::unordered_map<digest, std::weak_ptr<shape_state>, digest_hash> known_;
};

} // namespace busbar
