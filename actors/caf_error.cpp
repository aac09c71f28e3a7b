#include "actors/caf_error.hpp"

#include <spdlog/spdlog.h>

namespace busbar {

error from_caf(const caf::error& e) {
  if (e.category() == caf::atom("busbar") &&
      e.context().match_elements<std::string, std::string, bool>())
    return {static_cast<errc>(e.code()), e.context().get_as<std::string>(0),
            e.context().get_as<std::string>(1), e.context().get_as<bool>(2)};
  spdlog::warn("a part of the process did not answer another: {}", to_string(e));
  return {errc::unavailable, "the server could not do this in time: try again"};
}

} // namespace busbar
