#include "actors/entity_tag.hpp"

namespace busbar {

tag_match matching_tag(std::string_view header, std::string_view tag) noexcept {
  while (!header.empty()) {
    const auto comma = header.find(',');
    auto item = header.substr(0, comma);
    header = comma == std::string_view::npos ? std::string_view{} : header.substr(comma + 1);
    while (item.starts_with(' ') || item.starts_with('\t'))
      item.remove_prefix(1);
    const bool weak = item.starts_with("W/");
    if (weak)
      item.remove_prefix(2);
    while (item.starts_with('"'))
      item.remove_prefix(1);
    while (!item.empty() && (item.back() == ' ' || item.back() == '\t' || item.back() == '"'))
      item.remove_suffix(1);
    if (item == tag)
      return weak ? tag_match::weak : tag_match::strong;
  }
  return tag_match::none;
}

} // namespace busbar
