#include "shapes/entry_block.hpp"

#include "base/bytes.hpp"

namespace busbar {

namespace {
constexpr std::size_t trailer_bytes = 12;
constexpr std::size_t row_bytes = 12;
} // namespace

void block_builder::add(std::int64_t op, std::string_view json) {
  begin_entry().append(json);
  end_entry(op);
}

std::string& block_builder::begin_entry() {
  if (!ops_.empty())
    entries_.push_back(',');
  entry_begin_ = entries_.size();
  return entries_;
}

std::size_t block_builder::end_entry(std::int64_t op) {
  ops_.push_back(op);
  ends_.push_back(static_cast<std::uint32_t>(entries_.size()));
  return entries_.size() - entry_begin_;
}

const std::string& block_builder::finish(std::uint64_t chunk_bytes_after) {
  for (std::size_t i = 0; i < ops_.size(); ++i) {
    append_be64(entries_, static_cast<std::uint64_t>(ops_[i]));
    append_be32(entries_, ends_[i]);
  }
  append_be64(entries_, chunk_bytes_after);
  append_be32(entries_, static_cast<std::uint32_t>(ops_.size()));
  return entries_;
}

void block_builder::clear() {
  entries_.clear();
  ops_.clear();
  ends_.clear();
}

result<block_view> block_view::open(std::string_view stored) {
  if (stored.size() < trailer_bytes)
    return fail(errc::corrupt, "entry block of " + std::to_string(stored.size()) + " bytes");
  block_view view;
  const auto trailer = stored.substr(stored.size() - trailer_bytes);
  view.chunk_bytes_after_ = read_be64(trailer.data());
  view.count_ = read_be32(trailer.data() + 8);
  stored.remove_suffix(trailer_bytes);
  const auto table_bytes = std::uint64_t{view.count_} * row_bytes;
  if (view.count_ == 0 || stored.size() < table_bytes)
    return fail(errc::corrupt,
                "entry block with a table of " + std::to_string(view.count_) + " rows");
  view.table_ = stored.substr(stored.size() - table_bytes);
  view.entries_ = stored.substr(0, stored.size() - table_bytes);
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
