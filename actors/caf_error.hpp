// actors/caf_error.hpp: our errors at the edge of an actor.
#pragma once

#include "base/result.hpp"

#include <caf/all.hpp>

namespace busbar {

inline caf::error to_caf(const error& e) {
  return {static_cast<std::uint8_t>(e.code), caf::atom("busbar"),
          caf::make_message(e.message, e.field, e.known)};
}

/// A CAF error of its own (timeout, actor down) becomes errc::unavailable; its words, which name
/// our parts, are for our log only.
error from_caf(const caf::error& e);

} // namespace busbar
