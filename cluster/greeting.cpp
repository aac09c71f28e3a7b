#include "cluster/greeting.hpp"

#include "cluster/wire.hpp"

#include <algorithm>
#include <utility>

namespace busbar::cluster {
namespace {

/// No hello is nearly as large, and nothing else is due.
constexpr std::size_t hello_bytes_max = 64u << 10;
/// A hello of a purpose that only a newer version knows, for example.
constexpr std::string_view unknown_beginning = "it begins with a message of an unknown kind";
/// For the other side to read why, before the connection's end may overtake it.
constexpr std::chrono::milliseconds farewell{500};

tl::unexpected<greeting_trouble> broken(error what) {
  return tl::unexpected{greeting_trouble{std::move(what)}};
}

tl::unexpected<greeting_trouble> refused(std::string reason) {
  return tl::unexpected{greeting_trouble{{errc::unavailable, std::move(reason)}, true}};
}

greeting hear(link& from, deadline until) {
  auto bytes = from.receive(until, hello_bytes_max);
  if (!bytes)
    return broken(std::move(bytes).error());
  if (!*bytes)
    return broken({errc::unavailable, "link with " + from.remote() + ": no hello in time"});
  auto said = wire::decode(**bytes);
  if (!said)
    return broken(std::move(said).error().with_context("link with " + from.remote()));
  auto* theirs = *said ? std::get_if<hello>(&**said) : nullptr;
  if (theirs != nullptr)
    return std::move(*theirs);
  const auto* no = *said ? std::get_if<wire::refusal>(&**said) : nullptr;
  return refused(no != nullptr ? no->reason : std::string{unknown_beginning});
}

tl::unexpected<greeting_trouble> refuse(link& to, std::string reason, deadline until) {
  say_no(to, reason, until);
  return refused(std::move(reason));
}

tl::unexpected<greeting_trouble> oneself(const link& to) {
  return tl::unexpected{
      greeting_trouble{{errc::unavailable, to.remote() + " is this process itself"}, false, true}};
}

} // namespace

void say_no(link& to, const std::string& reason, deadline until) {
  if (!to.send(wire::encode(wire::refusal{reason}), until))
    return;
  // Whatever still comes is let go; one message at most is on its way.
  const auto closed = std::min(until, std::chrono::steady_clock::now() + farewell);
  [[maybe_unused]] const auto last = to.receive(closed);
}

greeting greet(link& to, const hello& mine, deadline until) {
  if (auto said = to.send(wire::encode(mine), until); !said)
    return broken(std::move(said).error());
  auto theirs = hear(to, until);
  if (!theirs)
    return theirs;
  if (theirs->instance == mine.instance)
    return oneself(to);
  if (auto why = disagreement(*theirs, mine))
    return refuse(to, std::move(*why), until);
  return theirs;
}

greeting answer_greeting(link& from, const hello& mine, deadline until) {
  auto theirs = hear(from, until);
  if (!theirs && theirs.error().refused)
    say_no(from, theirs.error().what.message, until);
  if (!theirs)
    return theirs;
  if (auto why = disagreement(mine, *theirs); why && theirs->instance != mine.instance)
    return refuse(from, std::move(*why), until);
  if (auto said = from.send(wire::encode(mine), until); !said)
    return broken(std::move(said).error());
  if (theirs->instance == mine.instance)
    return oneself(from);
  return theirs;
}

} // namespace busbar::cluster
