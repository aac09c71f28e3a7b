// cluster/member_table.hpp: what was heard of the other members, and when. Knows no clock and no
// network: whoever calls says what time it is.
#pragma once

#include "base/result.hpp"
#include "cluster/link.hpp"
#include "cluster/member.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace busbar::cluster {

/// One thread at a time.
class member_table {
public:
  member_table(std::chrono::milliseconds away_after, std::chrono::milliseconds forget_after)
      : away_after_{away_after}, forget_after_{forget_after} {}

  /// These are members for ever, heard or not.
  void list(const std::vector<std::string>& names, deadline now);

  /// Takes what a member says of itself. True if it came (back), or something changed that others
  /// act by; an error if there is no room for another member.
  result<bool> heard(member_status status, std::optional<std::chrono::microseconds> round_trip,
                     deadline now);

  /// True if somebody went since the last look.
  bool look(deadline now);
  /// When look() may have something to find.
  std::optional<deadline> next_look() const;

  std::vector<member_view> views(deadline now) const; ///< By name.
  /// The name of the leader in the highest term, among `self` and those that are not away.
  std::optional<std::string> leader(const member_status& self, deadline now) const;

private:
  struct member {
    member_status status;
    deadline since; ///< Last heard, or listed.
    std::chrono::microseconds round_trip{0};
    bool heard = false;
    bool listed = false;
    bool away = true;
  };
  bool is_away(const member& one, deadline now) const;

  const std::chrono::milliseconds away_after_;
  const std::chrono::milliseconds forget_after_;
  std::map<std::string, member> members_;
};

} // namespace busbar::cluster
