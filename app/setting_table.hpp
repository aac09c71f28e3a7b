// app/setting_table.hpp: the one declaration of every setting. Flags, environment, help and
// describe() are read off it.
#pragma once

#include "app/settings.hpp"

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace busbar::app {

/// What is read before it is checked as a whole.
struct draft {
  settings config;
  bool insecure = false;
};

struct setting {
  std::string name;                  ///< In the environment.
  std::vector<std::string> synonyms; ///< Electric's names for it.
  std::string meaning;               ///< A sentence or two for the operator.
  std::string takes;                 ///< What may be written, e.g. "0 to 65535"; may be empty.
  std::string shown_default;         ///< For help; empty: read off settings{} by `write`.
  bool is_switch = false;            ///< The flag alone means true.
  std::function<result<void>(draft&, std::string_view)> read;
  std::function<std::string(const settings&)> write; ///< Secrets come out masked.

  std::string flag() const; ///< BUSBAR_METRICS_PORT is --metrics-port.
};

/// In the order of help and describe().
const std::vector<setting>& setting_table();

/// A variable of Electric's that we know and have no use for.
struct unused_name {
  std::string_view name;
  /// Empty if ignoring it changes nothing that its owner could miss. Otherwise a sentence for the
  /// log, if its value is not "false".
  std::string_view note = {};
};
std::span<const unused_name> unused_names();

} // namespace busbar::app
