// cluster/replication_message.hpp: what leader and followers tell each other (format:
// schema/replication.capnp). Reading gives errc::corrupt for bytes that are none of this.
#pragma once

#include "base/result.hpp"
#include "base/snapshot.hpp"
#include "shapes/offset.hpp"
#include "shapes/shape_request.hpp"
#include "storage/lineage.hpp"
#include "storage/replication.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace busbar::cluster {

struct follow_request {
  storage::lineage lineage;
  std::uint64_t sequence = 0;
};

struct go_on {
  std::uint64_t term = 0;
};
struct must_copy {
  std::string why;
  std::uint64_t term = 0; ///< The leader's.
};
struct refused {
  std::string why;
};
using follow_reply = std::variant<go_on, must_copy, refused>;

/// What readers of a shape are to be told of their position: see shape_progress::behind.
struct behind_shape {
  storage::shape_id shape{};
  std::uint64_t behind = 0;
};
struct leader_progress {
  std::uint64_t sequence = 0;
  std::uint64_t last_seen = 0;
  bool streaming = false;
  bool in_sync = false;
};
struct from_leader {
  std::uint64_t term = 0;
  std::vector<storage::replicated_batch> batches;
  leader_progress progress;
  std::vector<behind_shape> behind = {}; ///< In the first message: all that were.
};
struct from_follower {
  std::uint64_t applied = 0;
  std::uint64_t synced = 0;
};

struct copy_piece {
  std::string file;
  std::uint64_t offset = 0;
  std::string bytes;
};
struct copy_end {};
using copy_files = std::vector<storage::copied_file>;
using copy_part = std::variant<copy_files, copy_piece, copy_end, refused>;

struct find_question {
  shape_request what;
};
struct drop_question {
  std::string handle;
};
struct invalid_question {
  std::string handle;
  std::string reason;
};
struct covers_question {
  storage::shape_id shape{};
  snapshot sees;
  std::uint64_t upto = 0;
};
struct barrier_question {};
struct reads_question {
  std::vector<storage::shape_id> shapes;
};
using question = std::variant<find_question, drop_question, invalid_question, covers_question,
                              barrier_question, reads_question>;

struct answer {
  std::uint64_t sequence = 0;
  bool yes = false;
  error why; ///< ok, or what failed.
};

/// A shape's new head, as a follower's readers may see it.
struct replicated_head {
  storage::shape_id shape{};
  log_offset head;
  bool has_boundaries = false;
  std::uint64_t behind = 0;
};

std::string encode(const follow_request& message);
std::string encode(const follow_reply& message);
std::string encode(const from_leader& message);
std::string encode(const from_follower& message);
std::string encode_copy_request();
std::string encode(const copy_part& message);
std::string encode(const question& message);
std::string encode(const answer& message);
std::string encode(const std::vector<replicated_head>& heads);

result<follow_request> read_follow_request(std::string_view bytes);
result<follow_reply> read_follow_reply(std::string_view bytes);
result<from_leader> read_from_leader(std::string_view bytes);
result<from_follower> read_from_follower(std::string_view bytes);
result<copy_part> read_copy_part(std::string_view bytes);
result<question> read_question(std::string_view bytes);
result<answer> read_answer(std::string_view bytes);
result<std::vector<replicated_head>> read_heads(std::string_view bytes);

} // namespace busbar::cluster
