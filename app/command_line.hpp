// app/command_line.hpp: which command is meant, and the settings that stand behind it. Private to
// app/.
#pragma once

#include "app/setting_table.hpp"
#include "app/settings.hpp"

#include <map>
#include <string>
#include <vector>

namespace busbar::app {

struct command_line {
  command what = command::serve;
  std::string text = {};
  std::map<std::string, std::string> flags = {}; ///< Of the settings that were given, by name.
  bool json = false;
  bool dry_run = false;
  bool force = false;
  bool replica_identity = false;
  bool must_be_active = false; ///< For health.
  std::string verb = {};       ///< For check_policy, as are the next two.
  std::string token = {};
  std::string table = {};
  bool strict = false; ///< For cluster_status.
};

/// `arguments` starts after the program's name. Errors are as parse_invocation() has them.
result<command_line> read_command_line(const std::vector<std::string>& arguments);

/// Whether the command reads this setting.
bool is_read_by(command what, const setting& s);

} // namespace busbar::app
