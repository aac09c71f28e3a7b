#include "cluster/member.hpp"

namespace busbar::cluster {

const char* name_of(member_role role) noexcept {
  return role == member_role::leader     ? "leader"
         : role == member_role::follower ? "follower"
                                         : "starting";
}

} // namespace busbar::cluster
