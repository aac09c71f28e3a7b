// What compaction of shape logs needs beyond what readers and writers of them do.
#include "base/bytes.hpp"
#include "storage/store_body.hpp"

#include <rocksdb/write_batch.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace busbar::storage {

namespace {

constexpr std::size_t mark_bytes = 48;

void append_offset(std::string& text, log_offset x) {
  append_be64(text, x.tx);
  append_be64(text, static_cast<std::uint64_t>(x.op));
}
log_offset read_offset(const char* p) {
  return {read_be64(p), static_cast<std::int64_t>(read_be64(p + 8))};
}

/// The first offset behind `x`.
log_offset next(log_offset x) {
  return x.op == log_offset::infinite ? log_offset{x.tx + 1, -1} : log_offset{x.tx, x.op + 1};
}

} // namespace

void batch::drop_block(shape_id shape, log_offset last) {
  numbered_family log{family::log};
  body_->writes.Delete(&log, log_key(shape, last));
}
void batch::drop_blocks(shape_id shape, log_offset after, log_offset upto) {
  numbered_family log{family::log};
  body_->writes.DeleteRange(&log, log_key(shape, next(after)), log_key(shape, next(upto)));
}
void batch::drop_boundary(shape_id shape, log_offset end) {
  numbered_family chunks{family::chunks};
  body_->writes.Delete(&chunks, boundary_key(shape, end));
}
void batch::put_compaction(shape_id shape, const compaction_mark& mark) {
  std::string text;
  append_be64(text, mark.times);
  append_offset(text, mark.upto);
  append_offset(text, mark.last_begin);
  append_be64(text, mark.last_bytes);
  numbered_family chunks{family::chunks};
  body_->writes.Put(&chunks, compaction_key(shape), text);
}

result<compaction_mark> store::compaction_of(shape_id id) const {
  std::string text;
  const auto status = body_->get(family::chunks, compaction_key(id), text);
  if (status.IsNotFound())
    return compaction_mark{};
  if (!status.ok())
    return fail(to_error(status, "read what was compacted"));
  if (text.size() != mark_bytes)
    return fail(errc::corrupt, "compaction mark of " + std::to_string(text.size()) + " bytes");
  return compaction_mark{.times = read_be64(text.data()),
                         .upto = read_offset(text.data() + 8),
                         .last_begin = read_offset(text.data() + 24),
                         .last_bytes = read_be64(text.data() + 40)};
}

result<std::optional<std::vector<stored_block>>>
store::read_blocks(shape_id id, log_offset after, log_offset upto, std::size_t bytes_max) const {
  std::vector<stored_block> blocks;
  std::size_t bytes = 0;
  const auto it = body_->look_over(family::log);
  const auto end = log_key(id, next(upto));
  for (it->Seek(log_key(id, next(after))); it->Valid() && view(it->key()) < end; it->Next()) {
    const auto last = parse_log_key(view(it->key()));
    if (!last)
      return fail(error{last.error()}.with_context("read log"));
    bytes += it->value().size();
    if (bytes > bytes_max)
      return std::optional<std::vector<stored_block>>{};
    blocks.push_back({*last, it->value().ToString()});
  }
  if (!it->status().ok())
    return fail(to_error(it->status(), "read log"));
  return std::optional{std::move(blocks)};
}

result<bool> store::is_chunk_end(shape_id id, log_offset end) const {
  std::string text;
  const auto status = body_->get(family::chunks, boundary_key(id, end), text);
  if (!status.ok() && !status.IsNotFound())
    return fail(to_error(status, "read chunk ends"));
  return status.ok();
}

result<std::vector<log_offset>> store::chunk_ends(shape_id id, log_offset after,
                                                  log_offset upto) const {
  std::vector<log_offset> ends;
  const auto it = body_->look_over(family::chunks);
  const auto prefix = chunk_prefix(id, 'b');
  for (it->Seek(boundary_key(id, next(after))); it->Valid() && view(it->key()).starts_with(prefix);
       it->Next()) {
    const auto end = parse_boundary_key(view(it->key()));
    if (!end)
      return fail(error{end.error()}.with_context("read chunk ends"));
    if (*end > upto)
      break;
    ends.push_back(*end);
  }
  if (!it->status().ok())
    return fail(to_error(it->status(), "read chunk ends"));
  return ends;
}

} // namespace busbar::storage
