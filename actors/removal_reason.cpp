#include "actors/removal_reason.hpp"

#include <array>
#include <utility>

namespace busbar {

namespace {

using word_and_label = std::pair<std::string_view, std::string_view>;

/// The first word that a sentence holds decides: a partition is detached from a table, too.
constexpr std::array<word_and_label, 13> labels{{{"expired", "expired"},
                                                 {"truncated", "truncated"},
                                                 {"publication", "publication"},
                                                 {"partition", "partition"},
                                                 {"storage", "storage"},
                                                 {"altered", "schema"},
                                                 {"column", "schema"},
                                                 {"snapshot", "snapshot"},
                                                 {"dropped", "table"},
                                                 {"renamed", "table"},
                                                 {"REPLICA IDENTITY", "publication"},
                                                 {"where clause", "clause"},
                                                 {"described", "schema"}}};

} // namespace

std::string_view removal_reason(std::string_view sentence) noexcept {
  const auto first = sentence.find('"');
  const auto last = sentence.rfind('"');
  const auto before = sentence.substr(0, first);
  const auto behind =
      first == std::string_view::npos ? std::string_view{} : sentence.substr(last + 1);
  const auto says = [&](std::string_view word) {
    return before.find(word) != std::string_view::npos ||
           behind.find(word) != std::string_view::npos;
  };
  for (const auto& [word, label] : labels)
    if (says(word))
      return label;
  return "other";
}

} // namespace busbar
