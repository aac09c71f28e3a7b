#include "storage/lineage.hpp"

#include "base/bytes.hpp"

#include <algorithm>

namespace busbar::storage {

namespace {
constexpr std::size_t entry_bytes = 16;
}

bool may_follow(const lineage& mine, std::uint64_t my_sequence, const lineage& leaders,
                std::uint64_t leaders_sequence) {
  if (mine.empty())
    return false;
  const auto last_common = std::ranges::find(leaders, mine.back());
  if (last_common == leaders.end())
    return false;
  // Before it, both have forgotten what is too old, each at its own time.
  const auto next = last_common + 1;
  const auto compared = std::min(mine.size(), static_cast<std::size_t>(next - leaders.begin()));
  if (!std::equal(mine.end() - static_cast<std::ptrdiff_t>(compared), mine.end(),
                  next - static_cast<std::ptrdiff_t>(compared)))
    return false;
  return my_sequence <= (next == leaders.end() ? leaders_sequence : next->first);
}

std::string encode(const lineage& terms) {
  std::string text;
  for (const auto& one : terms) {
    append_be64(text, one.term);
    append_be64(text, one.first);
  }
  return text;
}

result<lineage> decode_lineage(std::string_view bytes) {
  if (bytes.size() % entry_bytes != 0)
    return fail(errc::corrupt, "lineage of " + std::to_string(bytes.size()) + " bytes");
  lineage terms;
  for (; !bytes.empty(); bytes.remove_prefix(entry_bytes)) {
    const term_start one{.term = read_be64(bytes.data()), .first = read_be64(bytes.data() + 8)};
    if (!terms.empty() && (one.term <= terms.back().term || one.first <= terms.back().first))
      return fail(errc::corrupt, "lineage out of order");
    terms.push_back(one);
  }
  return terms;
}

} // namespace busbar::storage
