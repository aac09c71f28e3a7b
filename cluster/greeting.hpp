// cluster/greeting.hpp: the exchange of hellos that every link begins with.
#pragma once

#include "base/result.hpp"
#include "cluster/hello.hpp"
#include "cluster/link.hpp"

namespace busbar::cluster {

/// What is wrong with who was found at the other end, beside the words for it.
struct greeting_trouble {
  error what;
  bool refused = false; ///< By one of the two; `what` is the reason as both know it.
  bool oneself = false; ///< It is this process.
};
using greeting = tl::expected<hello, greeting_trouble>;

/// Says `mine`, hears the other hello, and tells the other side if they must not talk.
greeting greet(link& to, const hello& mine, deadline until);

/// Hears the hello of who dialled, then says `mine`, or why not.
greeting answer_greeting(link& from, const hello& mine, deadline until);

/// Tells the other side why this link is about to be closed.
void say_no(link& to, const std::string& reason, deadline until);

} // namespace busbar::cluster
