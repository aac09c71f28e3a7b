// actors/fence_maker.hpp: waits until materializers have been sent all that committed before now.
#pragma once

#include "actors/caf_error.hpp"
#include "actors/kept_session.hpp"
#include "actors/protocol.hpp"
#include "cluster/control_message.hpp"
#include "postgres/publication.hpp"

#include <caf/all.hpp>
#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace busbar {

/// For detached actors: it blocks. Connects when it is first needed.
class fence_maker {
public:
  fence_maker(caf::actor_system& system, postgres::connection_url url,
              const cluster::control_codec& control)
      : system_{&system}, control_{&control}, session_{std::move(url), "fence"} {
    std::random_device random;
    slot_ =
        std::to_string(random()) + '-' + std::to_string(random()) + '-' + std::to_string(random());
  }

  /// Writes a fence into the WAL and waits until it has come back through the slot to each of them:
  /// then every transaction that any snapshot taken before this call sees has been applied.
  result<void> pass(std::span<const materializer_actor> by, std::uint64_t term,
                    postgres::deadline until) {
    if (by.empty())
      return {};
    const auto token = slot_ + '/' + std::to_string(++number_);
    const auto patience =
        std::max(std::chrono::steady_clock::duration{1}, until - std::chrono::steady_clock::now());
    caf::scoped_actor waiting{*system_};
    const auto expect = [&](const materializer_actor& one) {
      return waiting->request(one, patience, fence_atom_v, slot_, token);
    };
    std::vector<decltype(expect(by.front()))> pending;
    for (const auto& one : by)
      pending.push_back(expect(one));
    const auto message = control_->encode({.term = term, .what = cluster::fence{token}});
    const auto written = session_.use(until, [&](auto& session, auto limit) {
      return postgres::emit_message(session, message, limit);
    });
    if (!written) {
      spdlog::warn("fence: {}", written.error().to_error().message);
      return fail(written.error().for_clients());
    }
    result<void> outcome;
    for (auto& one : pending)
      one.receive([](lsn) {}, [&](const caf::error& why) { outcome = fail(from_caf(why)); });
    return outcome;
  }

private:
  caf::actor_system* system_;
  const cluster::control_codec* control_;
  kept_session session_;
  std::string slot_; ///< Nobody else's, on any node.
  std::uint64_t number_ = 0;
};

} // namespace busbar
