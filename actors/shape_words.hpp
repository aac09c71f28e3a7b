// actors/shape_words.hpp: which shape a request's words stand for, as far as that can be told
// without PostgreSQL.
#pragma once

#include "actors/reader.hpp"
#include "actors/shape_index.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <unordered_map>

namespace busbar {

/// Of one session, on its thread. Forgets everything when it has remembered too much.
class shape_words {
public:
  explicit shape_words(const shape_index& index) : index_{index} {}

  /// `key` is the request's cache_key(). Null if it cannot be told.
  shape_ptr recall(const std::string& key, const shape_query& query);
  void remember(const std::string& key, const shape_ptr& shape);

  /// The shape of this definition, if there is one, whose table is taken as the shapes on it know
  /// it. Compiles the clause, but once only if there is one.
  shape_ptr defined_by(const std::string& key, const shape_request& words);

private:
  const shape_index& index_;
  std::unordered_map<std::string, std::weak_ptr<shape_state>> known_;
  std::size_t known_bytes_ = 0;
};

} // namespace busbar
