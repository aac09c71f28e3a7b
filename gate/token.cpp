#include "gate/token.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <utility>

namespace busbar::gate {

namespace {

using nlohmann::json;

constexpr std::array<std::pair<algorithm, std::string_view>, 4> algorithms{{
    {algorithm::hs256, "HS256"},
    {algorithm::rs256, "RS256"},
    {algorithm::es256, "ES256"},
    {algorithm::eddsa, "EdDSA"},
}};

int digit_of(char c) noexcept {
  if (c >= 'A' && c <= 'Z')
    return c - 'A';
  if (c >= 'a' && c <= 'z')
    return c - 'a' + 26;
  if (c >= '0' && c <= '9')
    return c - '0' + 52;
  return c == '-' ? 62 : c == '_' ? 63 : -1;
}

tl::unexpected<error> malformed(std::string why) {
  return fail(errc::invalid_argument, "the token " + std::move(why));
}

} // namespace

std::string_view name_of(algorithm which) noexcept {
  for (const auto& [value, name] : algorithms)
    if (value == which)
      return name;
  return {};
}

std::optional<algorithm> algorithm_named(std::string_view name) noexcept {
  for (const auto& [value, known] : algorithms)
    if (known == name)
      return value;
  return std::nullopt;
}

std::optional<std::string> decode_base64url(std::string_view text) {
  if (text.size() % 4 == 1)
    return std::nullopt;
  std::string out;
  out.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    const int digit = digit_of(c);
    if (digit < 0)
      return std::nullopt;
    bits = (bits << 6) | static_cast<std::uint32_t>(digit);
    held += 6;
    if (held >= 8) {
      held -= 8;
      out.push_back(static_cast<char>((bits >> held) & 0xff));
      bits &= (1u << held) - 1;
    }
  }
  if (bits != 0) // else one signature would have several spellings
    return std::nullopt;
  return out;
}

result<token> parse_token(std::string_view text) {
  if (text.size() > token_bytes_max)
    return malformed("is longer than " + std::to_string(token_bytes_max) + " bytes");
  const auto first = text.find('.');
  const auto second = first == std::string_view::npos ? first : text.find('.', first + 1);
  if (second == std::string_view::npos || text.find('.', second + 1) != std::string_view::npos)
    return malformed("has not three parts");
  token out;
  out.signed_part = text.substr(0, second);
  const auto header_text = decode_base64url(text.substr(0, first));
  auto claims = decode_base64url(text.substr(first + 1, second - first - 1));
  auto signature = decode_base64url(text.substr(second + 1));
  if (!header_text || !claims || !signature)
    return malformed("is not base64url");
  const auto header = json::parse(*header_text, nullptr, false);
  if (!header.is_object())
    return malformed("has a header that is no JSON object");
  const auto name = header.find("alg");
  if (name == header.end() || !name->is_string())
    return malformed("names no algorithm");
  const auto with = algorithm_named(name->get_ref<const std::string&>());
  if (!with)
    return malformed("names an algorithm that is not HS256, RS256, ES256 or EdDSA");
  if (header.contains("crit") || header.contains("b64"))
    return malformed("demands extensions that are not understood");
  if (const auto id = header.find("kid"); id != header.end()) {
    if (!id->is_string())
      return malformed("has a kid that is no text");
    out.key_id = id->get<std::string>();
  }
  if (const auto type = header.find("typ"); type != header.end()) {
    const auto is = type->is_string() ? type->get<std::string>() : std::string{};
    if (is != "JWT" && is != "jwt" && is != "at+jwt" && is != "application/at+jwt")
      return malformed("is of another type than JWT");
  }
  out.with = *with;
  out.signature = std::move(*signature);
  out.claims_json = std::move(*claims);
  return out;
}

} // namespace busbar::gate
