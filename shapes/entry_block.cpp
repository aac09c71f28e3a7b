#include "shapes/entry_block.hpp"

#include "base/bytes.hpp"

namespace busbar {

namespace {
constexpr std::size_t head_bytes = 12;
constexpr std::size_t row_bytes = 12;
} // namespace

void block_builder::add(std::int64_t op, std::string_view json) {
  if (!ops_.empty())
    entries_.push_back(',');
  entries_.append(json);
  ops_.push_back(op);
  ends_.push_back(static_cast<std::uint32_t>(entries_.size()));
}

std::string block_builder::finish(std::uint64_t chunk_bytes_after) const {
  std::string out;
  out.reserve(head_bytes + ops_.size() * row_bytes + entries_.size());
  append_be32(out, static_cast<std::uint32_t>(ops_.size()));
  append_be64(out, chunk_bytes_after);
  for (std::size_t i = 0; i < ops_.size(); ++i) {
    append_be64(out, static_cast<std::uint64_t>(ops_[i]));
    append_be32(out, ends_[i]);
  }
  out += entries_;
  return out;
}

void block_builder::clear() {
  entries_.clear();
  ops_.clear();
  ends_.clear();
}

result<block_view> block_view::open(std::string_view stored) {
  if (stored.size() < head_bytes)
    return fail(errc::corrupt, "entry block of " + std::to_string(stored.size()) + " bytes");
  block_view view;
  view.count_ = read_be32(stored.data());
  view.chunk_bytes_after_ = read_be64(stored.data() + 4);
  const auto table_bytes = std::uint64_t{view.count_} * row_bytes;
  if (view.count_ == 0 || stored.size() - head_bytes < table_bytes)
    return fail(errc::corrupt, "entry block with a table of " + std::to_string(view.count_) + " rows");
  view.table_ = stored.substr(head_bytes, table_bytes);
  view.entries_ = stored.substr(head_bytes + table_bytes);
  std::uint32_t previous = 0;
  for (std::uint32_t i = 0; i < view.count_; ++i) {
    const auto end = view.end_of(i);
    if (end < previous + (i > 0 ? 1 : 0) || end > view.entries_.size())
      return fail(errc::corrupt, "entry block with entries out of order");
    previous = end;
  }
  if (previous != view.entries_.size())
    return fail(errc::corrupt, "entry block with bytes left over");
  return view;
}

std::int64_t block_view::op(std::uint32_t i) const noexcept {
  return static_cast<std::int64_t>(read_be64(table_.data() + std::size_t{i} * row_bytes));
}

std::uint32_t block_view::end_of(std::uint32_t i) const noexcept {
  return read_be32(table_.data() + std::size_t{i} * row_bytes + 8);
}

std::string_view block_view::entry(std::uint32_t i) const noexcept {
  const std::uint32_t begin = i == 0 ? 0 : end_of(i - 1) + 1;
  return entries_.substr(begin, end_of(i) - begin);
}

std::uint32_t block_view::first_after(std::int64_t op) const noexcept {
  std::uint32_t low = 0;
  std::uint32_t high = count_;
  while (low < high) {
    const auto middle = low + (high - low) / 2;
    if (this->op(middle) <= op)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

std::string_view block_view::tail(std::uint32_t i) const noexcept {
  if (i >= count_)
    return {};
  return entries_.substr(i == 0 ? 0 : end_of(i - 1) + 1);
}

} // namespace busbar
