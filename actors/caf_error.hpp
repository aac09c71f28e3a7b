// actors/caf_error.hpp: our errors at the edge of an actor.
#pragma once

#include "base/result.hpp"

#include <caf/all.hpp>

namespace busbar {

inline caf::error to_caf(const error& e) {
  return {static_cast<std::uint8_t>(e.code), caf::atom("busbar"),
          caf::make_message(e.message, e.field, e.known)};
}

/// A CAF error of its own (timeout, actor down) becomes errc::unavailable.
inline error from_caf(const caf::error& e) {
  if (e.category() == caf::atom("busbar") &&
      e.context().match_elements<std::string, std::string, bool>())
    return {static_cast<errc>(e.code()), e.context().get_as<std::string>(0),
            e.context().get_as<std::string>(1), e.context().get_as<bool>(2)};
  return {errc::unavailable, "internal request failed: " + to_string(e)};
}

} // namespace busbar
