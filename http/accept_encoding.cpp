#include "http/accept_encoding.hpp"

#include "http/request_head.hpp"

#include <optional>

namespace busbar::http {

namespace {

/// Thousandths, from "q=0.5"; nullopt if it is not well formed.
std::optional<int> weight_of(std::string_view parameter) noexcept {
  if (parameter.size() < 3 || (parameter[0] != 'q' && parameter[0] != 'Q') || parameter[1] != '=')
    return std::nullopt;
  parameter.remove_prefix(2);
  if (parameter.size() > 5 || (parameter[0] != '0' && parameter[0] != '1'))
    return std::nullopt;
  int weight = parameter[0] == '1' ? 1000 : 0;
  if (parameter.size() == 1)
    return weight;
  if (parameter[1] != '.')
    return std::nullopt;
  int worth = 100;
  for (const char c : parameter.substr(2)) {
    if (c < '0' || c > '9')
      return std::nullopt;
    weight += (c - '0') * worth;
    worth /= 10;
  }
  return weight <= 1000 ? std::optional{weight} : std::nullopt;
}

} // namespace

coding preferred_coding(std::string_view accept_encoding) noexcept {
  std::optional<int> gzip;
  std::optional<int> zstd;
  std::optional<int> any;
  while (!accept_encoding.empty()) {
    auto element = next_list_element(accept_encoding);
    int weight = 1000;
    if (const auto semicolon = element.find(';'); semicolon != std::string_view::npos) {
      const auto given = weight_of(trim(element.substr(semicolon + 1)));
      if (!given)
        continue;
      weight = *given;
      element = trim(element.substr(0, semicolon));
    }
    if (equals_ignoring_case(element, "gzip") || equals_ignoring_case(element, "x-gzip"))
      gzip = weight;
    else if (equals_ignoring_case(element, "zstd"))
      zstd = weight;
    else if (element == "*")
      any = weight;
  }
  const int gzip_weight = gzip.value_or(any.value_or(0)); // who reads anything reads gzip
  const int zstd_weight = zstd.value_or(0);
  if (zstd_weight > 0 && zstd_weight >= gzip_weight)
    return coding::zstd;
  return gzip_weight > 0 ? coding::gzip : coding::identity;
}

} // namespace busbar::http
