#include "app/leading.hpp"

#include "app/recovery.hpp"

#include <spdlog/spdlog.h>

#include <chrono>
#include <unordered_set>
#include <vector>

namespace busbar::app {

namespace {
constexpr std::chrono::seconds adopt_patience{60};
} // namespace

result<void> leading::begin(std::uint64_t term) {
  node_.begin_to_lead(term);
  if (auto begun = store_.begin_term(term); !begun)
    return begun;
  // New storage has none yet.
  if (const auto key = store_.control_key(control_key_); !key)
    return fail(key.error());
  if (!has_led_)
    if (auto taken = take_shapes(); !taken)
      return taken;
  has_led_ = true;
  node_.lead(term);
  return {};
}

result<void> leading::take_shapes() {
  auto recovered = recover_shapes(store_, shapes_);
  if (!recovered)
    return fail(std::move(recovered).error());
  std::unordered_set<storage::shape_id> found;
  std::vector<adoption_list> shares(others_->materializers.size());
  shape_list all;
  for (auto& shape : *recovered) {
    found.insert(shape.shape->id());
    all.push_back(shape.shape);
    shares[others_->number_of(shape.shape->id())].push_back(std::move(shape));
  }
  // Those first that everybody may already know: nobody may be given one that is not there.
  const auto before = index_.all();
  caf::anon_send(others_->directory, adopt_atom_v, std::move(all));
  for (const auto& shape : before)
    if (!found.contains(shape->id()))
      caf::anon_send(others_->directory, invalid_atom_v, shape,
                     std::string{"storage does not have all of it"});
  caf::scoped_actor waiting{system_};
  bool adopted = true;
  for (std::size_t i = 0; i < shares.size(); ++i)
    waiting->request(others_->materializers[i], adopt_patience, adopt_atom_v, std::move(shares[i]))
        .receive([](bool) {}, [&](const caf::error&) { adopted = false; });
  if (!adopted)
    return fail(errc::unavailable, "the shapes could not be taken over in time");
  caf::anon_send(others_->janitor, adopt_atom_v);
  spdlog::info("{} shapes are this node's to write", found.size());
  return {};
}

} // namespace busbar::app
