// http/gate_pass.hpp: what a connection keeps of the bearer of a token while it serves it.
#pragma once

#include <boost/intrusive/list.hpp>

#include <cstddef>
#include <utility>

#include "gate/visitor.hpp"

namespace busbar::http {

class connection;

using pass_hook =
    boost::intrusive::list_base_hook<boost::intrusive::tag<struct pass_tag>,
                                     boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

/// For one request. Its worker looks now and then whether the bearer may stay.
class gate_pass : public pass_hook {
public:
  gate_pass(connection& of, gate::visitor_ptr who) : owner{of}, bearer{std::move(who)} {}
  ~gate_pass() {
    if (live_)
      bearer->tenant->end_live();
  }
  gate_pass(const gate_pass&) = delete;
  gate_pass& operator=(const gate_pass&) = delete;

  /// The request is a live one: it counts until it is over.
  std::optional<gate::over_limit> begin_live() {
    if (!bearer->tenant)
      return std::nullopt;
    auto refused = bearer->tenant->begin_live(bearer->limits());
    live_ = !refused;
    return refused;
  }
  void sent(std::size_t bytes) {
    if (bytes > 0 && bearer->tenant)
      bearer->tenant->sent(bearer->limits(), bytes);
  }

  connection& owner;
  const gate::visitor_ptr bearer;

private:
  bool live_ = false;
};

} // namespace busbar::http
