// app/cluster_status.hpp: `busbar cluster status`: the members of the cluster, for people at a
// terminal and for scripts.
#pragma once

#include "app/settings.hpp"
#include "base/result.hpp"

#include <iosfwd>
#include <string>
#include <string_view>

namespace busbar::app {

/// What GET /v1/cluster says, and what it comes to.
struct cluster_status {
  std::string json;           ///< As it was answered.
  std::string table;          ///< The same for people; its last line tells who leads.
  bool has_leader = false;    ///< That can be reached by the node that was asked, and has a stream.
  bool all_reachable = false; ///< By the node that was asked.
};

/// What the answer to GET /v1/cluster comes to; errc::unavailable if it is none.
result<cluster_status> read_cluster_status(int http_status, std::string_view body);

/// Asks the node at the port and the address of `config`, with its secret, prints to `out` and
/// returns the exit status: 0 if a node leads and, if `strict`, all are reachable, else 1. Why
/// there is no answer goes to `trouble`.
int run_cluster_status(const invocation& call, std::ostream& out, std::ostream& trouble);

std::string cluster_help_text();

} // namespace busbar::app
