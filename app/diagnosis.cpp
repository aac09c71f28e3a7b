#include "app/diagnosis.hpp"

#include "app/setting_values.hpp"
#include "postgres/known_faults.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>

namespace busbar::app {

namespace {

using postgres::quote_identifier;
using postgres::quote_literal;

constexpr std::int64_t gigabyte = std::int64_t{1} << 30;
constexpr std::size_t shown_of_a_kind = 10;

/// One digit behind the point is enough for a human.
std::string human(std::uint64_t bytes) {
  constexpr const char* units[] = {"bytes", "kB", "MB", "GB", "TB"};
  std::size_t unit = 0;
  std::uint64_t tenths = bytes * 10;
  while (tenths >= 10'240 && unit + 1 < std::size(units)) {
    tenths /= 1024;
    ++unit;
  }
  const auto fraction = unit == 0 ? std::string{} : "." + std::to_string(tenths % 10);
  return std::to_string(tenths / 10) + fraction + " " + units[unit];
}

std::string of(int used, int most) {
  return std::to_string(used) + " of " + std::to_string(most) + " used";
}

std::string system_setting(const std::string& name, const std::string& value, bool at_restart) {
  return "ALTER SYSTEM SET " + name + " = " + value + "; " +
         (at_restart ? "-- then restart PostgreSQL" : "SELECT pg_reload_conf();");
}

/// The schema of a name as SQL writes it: "a.b".c is in "a.b".
std::string schema_of(const std::string& name) {
  bool quoted = false;
  const auto dot = std::ranges::find_if(name, [&](char c) {
    quoted ^= c == '"';
    return c == '.' && !quoted;
  });
  return {name.begin(), dot};
}

std::string drop_slot(const our_names& names) {
  return "SELECT pg_drop_replication_slot(" + quote_literal(names.slot) + ");";
}

} // namespace

finding judge_refusal(std::string check, const std::string& display,
                      const postgres::pg_error& why) {
  finding out{verdict::wrong, std::move(check), display + ": " + why.to_error().message, {}};
  const auto is = [&](std::string_view state) { return why.sqlstate == state; };
  if (is("28P01"))
    out.mend = {"write the role's password into the URL, or: ALTER ROLE … PASSWORD '…';"};
  else if (is("28000"))
    out.mend = {"a line in pg_hba.conf that lets this role in from this host (for replication, "
                "too), then: SELECT pg_reload_conf();"};
  else if (is("3D000"))
    out.mend = {"write a database that exists into the URL, or: CREATE DATABASE …;"};
  else if (why.kind != postgres::trouble::fatal)
    out.is = verdict::unknown;
  if (out.mend.empty())
    out.mend = {out.is == verdict::unknown
                    ? "see that PostgreSQL runs and can be reached from here, then ask again"
                    : "correct the URL or the server by what it says"};
  return out;
}

findings judge_server(const postgres::server_inspection& server) {
  findings out;
  const auto what = "PostgreSQL " + server.version_text;
  if (server.version < 140'000)
    out.push_back(
        {verdict::wrong, "version", what + ": 14 or newer is required", {"upgrade PostgreSQL"}});
  else if (const auto fault = postgres::decoding_fault(server.version); !fault.empty())
    out.push_back({verdict::warn,
                   "version",
                   what + ": " + std::string{fault},
                   {"upgrade to the newest minor release of PostgreSQL " +
                    std::to_string(server.version / 10'000)}});
  else
    out.push_back({verdict::ok, "version", what, {}});
  if (server.in_recovery)
    out.push_back({verdict::wrong,
                   "role of server",
                   "a standby, which takes no publication and no logical message",
                   {"connect to the primary; with several hosts in the URL, add "
                    "target_session_attrs=read-write"}});
  else
    out.push_back({verdict::ok, "role of server", "a primary", {}});
  if (server.wal_level != "logical")
    out.push_back({verdict::wrong,
                   "wal_level",
                   "it is '" + server.wal_level + "'",
                   {system_setting("wal_level", "'logical'", true) +
                    " (managed services: rds.logical_replication = 1, "
                    "cloudsql.logical_decoding = on, and the like)"}});
  else
    out.push_back({verdict::ok, "wal_level", "logical", {}});
  return out;
}

findings judge_capacity(const postgres::server_inspection& server, bool needs_slot) {
  findings out;
  const auto judge = [&](const std::string& name, int used, int most) {
    finding f{verdict::ok, name, of(used, most), {}};
    const int free = most - used;
    const int wanted = needs_slot ? 1 : 0;
    if (free < wanted || most == 0) {
      f.is = verdict::wrong;
      f.says += ": none is left for Busbar";
    } else if (free == wanted) {
      f.is = verdict::warn;
      f.says += needs_slot ? ": Busbar takes the last one" : ": none is left for a second node";
    }
    if (f.is != verdict::ok)
      f.mend = {system_setting(name, std::to_string(most + 5), true)};
    out.push_back(std::move(f));
  };
  judge("max_replication_slots", server.slots_used, server.slots_max);
  judge("max_wal_senders", server.senders_used, server.senders_max);
  return out;
}

findings judge_clock(const postgres::server_inspection& server) {
  const auto skew = server.clock_ahead;
  finding out{verdict::ok,
              "clock",
              "the server's differs from ours by " + std::to_string(std::abs(skew.count())) + " ms",
              {}};
  if (std::chrono::abs(skew) > std::chrono::seconds{2} + server.round_trip) {
    out.is = verdict::warn;
    out.says = "the server's is " + std::to_string(std::abs(skew.count())) + " ms " +
               (skew.count() > 0 ? "ahead of" : "behind") + " ours: lag will be measured wrongly";
    out.mend = {"synchronise both machines' clocks (chrony, systemd-timesyncd)"};
  }
  return {out};
}

findings judge_role(const postgres::role_inspection& role,
                    const std::optional<postgres::publication_inspection>& publication,
                    const our_names& names) {
  findings out;
  const auto who = quote_identifier(role.name);
  if (role.replication)
    out.push_back({verdict::ok,
                   "replication privilege",
                   "role " + who + (role.superuser ? " is a superuser" : " has it"),
                   {}});
  else
    out.push_back({verdict::wrong,
                   "replication privilege",
                   "role " + who + " has none",
                   {role.has_managed_replication ? "GRANT rds_replication TO " + who + ";"
                                                 : "ALTER ROLE " + who + " REPLICATION;"}});
  if (publication || role.creates_in_database)
    out.push_back({verdict::ok,
                   "create privilege",
                   publication ? "not needed: the publication is there" : "role " + who + " has it",
                   {}});
  else
    out.push_back(
        {verdict::wrong,
         "create privilege",
         "role " + who + " may not create a publication in this database",
         {"GRANT CREATE ON DATABASE " + quote_identifier(role.database) + " TO " + who + ";",
          "or, as an administrator: CREATE PUBLICATION " + quote_identifier(names.publication) +
              ";"}});
  return out;
}

findings judge_slot(const std::optional<postgres::slot_inspection>& slot, const our_names& names) {
  const auto name = "replication slot " + names.slot;
  if (!slot)
    return {{verdict::ok, "slot", name + " is not there yet: the first start makes it", {}}};
  finding out{verdict::ok, "slot", name, {}};
  if (slot->plugin != "pgoutput" || slot->type != "logical" || !slot->is_here) {
    out.is = verdict::wrong;
    out.says += " is somebody else's: " + slot->type +
                (slot->plugin.empty() ? "" : ", plugin " + slot->plugin) +
                (slot->database.empty() ? "" : ", database " + slot->database);
    out.mend = {"BUSBAR_REPLICATION_STREAM_ID=<another id>",
                "or, if nobody needs it: " + drop_slot(names)};
    return {out};
  }
  if (slot->wal_status == "lost" || !slot->invalidated.empty()) {
    out.is = verdict::wrong;
    out.says += " is lost" + (slot->invalidated.empty() ? "" : " (" + slot->invalidated + ")") +
                ": all shapes begin anew with a new one";
    out.mend = {"start Busbar, which makes it anew, or: " + drop_slot(names),
                "against the next time: " +
                    system_setting("max_slot_wal_keep_size", "'50GB'", false)};
    return {out};
  }
  const auto retained = static_cast<std::uint64_t>(std::max<std::int64_t>(0, slot->retained_bytes));
  out.says += slot->active_pid ? ", streaming (process " + std::to_string(*slot->active_pid) + ")"
                               : ", nobody streams";
  out.says += ", WAL " + slot->wal_status + ", " + human(retained) + " kept";
  if (slot->safe_wal_bytes)
    out.says +=
        ", " + human(static_cast<std::uint64_t>(std::max<std::int64_t>(0, *slot->safe_wal_bytes))) +
        " more until it is lost";
  const bool runs_out = slot->wal_status == "unreserved" ||
                        (slot->safe_wal_bytes && *slot->safe_wal_bytes < gigabyte);
  if (!slot->confirmed)
    out.says += ", not ready: it waits for transactions that were open when it was made";
  if (runs_out || slot->retained_bytes > 10 * gigabyte || !slot->confirmed)
    out.is = verdict::warn;
  if (runs_out)
    out.mend.push_back(system_setting("max_slot_wal_keep_size", "'50GB'", false));
  if (runs_out || slot->retained_bytes > 10 * gigabyte)
    out.mend.push_back(slot->active_pid ? "see in Busbar's log and metrics why it does not keep up"
                                        : "start Busbar; if it is retired, run: busbar cleanup");
  if (!slot->confirmed)
    out.mend.push_back("end the oldest of: SELECT pid, xact_start, query FROM pg_stat_activity "
                       "WHERE backend_xid IS NOT NULL ORDER BY xact_start;");
  return {out};
}

findings judge_retention(const postgres::server_inspection& server) {
  findings out;
  const auto advice = system_setting("max_slot_wal_keep_size", "'50GB'", false) +
                      " -- less than the server's disk has free";
  if (server.slot_wal_keep_mb < 0)
    out.push_back({verdict::warn,
                   "max_slot_wal_keep_size",
                   "unlimited: while Busbar is away, WAL gathers until the server's disk is full",
                   {advice}});
  else if (server.slot_wal_keep_mb < 1024)
    out.push_back({verdict::warn,
                   "max_slot_wal_keep_size",
                   std::to_string(server.slot_wal_keep_mb) +
                       " MB: after that much WAL without Busbar all shapes begin anew",
                   {advice}});
  else
    out.push_back({verdict::ok,
                   "max_slot_wal_keep_size",
                   human(static_cast<std::uint64_t>(server.slot_wal_keep_mb) << 20),
                   {}});
  if (server.idle_slot_timeout != 0)
    out.push_back({verdict::warn,
                   "idle_replication_slot_timeout",
                   "a slot that nobody reads for a while is invalidated, and all shapes begin anew",
                   {system_setting("idle_replication_slot_timeout", "0", false)}});
  const auto timeout = std::chrono::milliseconds{server.sender_timeout_ms};
  if (timeout.count() == 0)
    out.push_back({verdict::warn,
                   "wal_sender_timeout",
                   "0: a node that vanishes keeps its slot until the network gives it up",
                   {system_setting("wal_sender_timeout", "'60s'", false)}});
  else if (timeout < std::chrono::seconds{5})
    out.push_back({verdict::warn,
                   "wal_sender_timeout",
                   write_duration(timeout) + ": a short pause may end the stream",
                   {system_setting("wal_sender_timeout", "'60s'", false)}});
  else
    out.push_back({verdict::ok, "wal_sender_timeout", write_duration(timeout), {}});
  return out;
}

findings judge_publication(const std::optional<postgres::publication_inspection>& publication,
                           const postgres::role_inspection& role, const our_names& names) {
  const auto name = quote_identifier(names.publication);
  if (!publication)
    return {{verdict::ok, "publication", name + " is not there yet: the first start makes it", {}}};
  findings out;
  const auto owner = publication->owned
                         ? std::string{" -- as "} + quote_identifier(role.name)
                         : " -- as its owner, " + quote_identifier(publication->owner);
  if (!publication->has_all_operations || publication->via_root)
    out.push_back(
        // What is ours, a start puts right; but then the slot is made anew.
        {publication->owned ? verdict::warn : verdict::wrong,
         "publication",
         name +
             (publication->via_root ? " publishes partitions via their root"
                                    : " does not publish all operations") +
             (publication->owned ? ": the next start changes that, and all shapes begin anew" : ""),
         {"ALTER PUBLICATION " + name +
          " SET (publish = 'insert, update, delete, truncate', publish_via_partition_root = "
          "false);" +
          owner}});
  if (publication->without_generated)
    out.push_back(
        {verdict::warn,
         "publication",
         name + " leaves stored generated columns out: tables with one are refused",
         {"ALTER PUBLICATION " + name + " SET (publish_generated_columns = stored);" + owner}});
  if (!publication->owned)
    out.push_back({verdict::warn,
                   "publication owner",
                   name + " belongs to " + quote_identifier(publication->owner) +
                       ": Busbar cannot add tables to it",
                   {"ALTER PUBLICATION " + name + " OWNER TO " + quote_identifier(role.name) + ";",
                    "or, for each table that is to be followed, as its owner: ALTER PUBLICATION " +
                        name + " ADD TABLE …; ALTER TABLE … REPLICA IDENTITY FULL;"}});
  if (out.empty())
    out.push_back({verdict::ok,
                   "publication",
                   name + (publication->all_tables        ? ", all tables"
                           : publication->schemas.empty() ? ""
                                                          : ", schemas " + publication->schemas),
                   {}});
  return out;
}

findings judge_leaves(const std::vector<postgres::leaf_inspection>& leaves,
                      const postgres::role_inspection& role, const our_names& names) {
  findings out;
  std::map<std::string, std::size_t> of_a_kind;
  const auto report = [&](verdict is, const std::string& check, std::string says,
                          std::vector<std::string> mend) {
    if (++of_a_kind[check] <= shown_of_a_kind)
      out.push_back({is, check, std::move(says), std::move(mend)});
  };
  const auto us = quote_identifier(role.name);
  const auto publication = quote_identifier(names.publication);
  for (const auto& leaf : leaves) {
    const auto as_owner = leaf.owned ? std::string{} : " -- as " + quote_identifier(leaf.owner);
    if (leaf.identity != 'f') {
      // Without any identity PostgreSQL refuses the application's own statements.
      const bool harms = leaf.identity == 'n' || (leaf.identity == 'd' && !leaf.has_key);
      report(leaf.owned && !harms ? verdict::warn : verdict::wrong, "replica identity",
             leaf.name + (harms ? " has none: UPDATE and DELETE of it fail"
                                : " is not FULL: its next change ends its shapes"),
             {"ALTER TABLE " + leaf.name + " REPLICA IDENTITY FULL;" + as_owner});
    }
    if (leaf.partial)
      report(verdict::wrong, "row filter or column list",
             leaf.root + " is published with one: its shapes would miss changes",
             {"ALTER PUBLICATION " + publication + " DROP TABLE " + leaf.root +
              "; ALTER PUBLICATION " + publication + " ADD TABLE " + leaf.root + ";"});
    if (leaf.row_security)
      report(verdict::wrong, "row security",
             leaf.root + " has policies that apply to this role, but not to replication",
             {"ALTER ROLE " + us + " BYPASSRLS;",
              "or: ALTER TABLE " + leaf.root + " DISABLE ROW LEVEL SECURITY;" + as_owner});
    if (!leaf.readable)
      report(verdict::wrong, "select privilege", "role " + us + " may not read " + leaf.root,
             {"GRANT USAGE ON SCHEMA " + schema_of(leaf.root) + " TO " + us + "; GRANT SELECT ON " +
              leaf.root + " TO " + us + ";"});
    if (!leaf.owned)
      report(verdict::warn, "ownership",
             "role " + us + " does not own " + leaf.name +
                 ": Busbar cannot mend its replica identity",
             {"GRANT " + quote_identifier(leaf.owner) + " TO " + us + ";"});
  }
  for (const auto& [check, count] : of_a_kind)
    if (count > shown_of_a_kind)
      out.push_back({verdict::warn,
                     check,
                     "and " + std::to_string(count - shown_of_a_kind) + " more",
                     {"the same for each of them"}});
  if (out.empty())
    out.push_back(
        {verdict::ok,
         "tables",
         std::to_string(leaves.size()) +
             (leaves.size() == 1 ? " table or partition is" : " tables and partitions are") +
             " published, with REPLICA IDENTITY FULL",
         {}});
  return out;
}

findings judge_pooled_reading(const std::vector<postgres::leaf_inspection>& leaves,
                              const postgres::role_inspection& role) {
  findings out;
  const auto us = quote_identifier(role.name);
  for (const auto& leaf : leaves) {
    if (out.size() == shown_of_a_kind)
      break;
    if (leaf.row_security)
      out.push_back({verdict::wrong,
                     "pooled role",
                     leaf.root + " has policies that apply to role " + us + ": it is not read",
                     {"ALTER ROLE " + us + " BYPASSRLS;"}});
    else if (!leaf.readable)
      out.push_back({verdict::wrong,
                     "pooled role",
                     "role " + us + " may not read " + leaf.root,
                     {"GRANT USAGE ON SCHEMA " + schema_of(leaf.root) + " TO " + us +
                      "; GRANT SELECT ON " + leaf.root + " TO " + us + ";"}});
  }
  return out;
}

findings judge_storage(const std::string& directory, const storage::directory_inspection& storage,
                       const std::optional<postgres::system_inspection>& server,
                       const std::optional<postgres::slot_inspection>& slot,
                       const std::string& stream_id) {
  finding out{verdict::ok, "storage", directory, {}};
  switch (storage.state) {
  case storage::directory_state::missing:
    out.says += " is not there yet: the first start makes it";
    return {out};
  case storage::directory_state::empty:
    out.says += " holds nothing yet";
    return {out};
  case storage::directory_state::in_use:
    out.says += " is in use" +
                (storage.holder > 0 ? " by process " + std::to_string(storage.holder) : "") +
                ", so its contents were not looked at";
    return {out};
  case storage::directory_state::unreadable:
    out.is = verdict::wrong;
    out.says += " cannot be opened: " + storage.problem;
    out.mend = {"see that this user may read it; if it is damaged, set BUSBAR_STORAGE_DIR to "
                "another directory: all shapes begin anew there"};
    return {out};
  case storage::directory_state::readable:
    break;
  }
  out.says +=
      storage.format == 0 ? " holds no shapes yet" : ", format " + std::to_string(storage.format);
  if (!storage.identity || !server)
    return {out};
  const auto& stored = *storage.identity;
  const std::vector<std::string> elsewhere{
      "BUSBAR_STORAGE_DIR=<another directory>, or DATABASE_URL=<the database it belongs to>"};
  if (stored.system_id != server->system_id || stored.database != server->database ||
      stored.stream_id != stream_id) {
    out.is = verdict::wrong;
    out.says += " belongs to another database: system " + stored.system_id + ", database " +
                stored.database + ", stream " + stored.stream_id + "; here are system " +
                server->system_id + ", database " + server->database + ", stream " + stream_id;
    out.mend = elsewhere;
  } else if (stored.timeline != server->timeline) {
    out.is = verdict::warn;
    out.says += ", of timeline " + std::to_string(stored.timeline) + ", but the server is on " +
                std::to_string(server->timeline) +
                ": it was restored or failed over, and shapes may have to begin anew";
    out.mend = {"nothing, if that was intended"};
  } else if (slot && slot->confirmed && *slot->confirmed > storage.durable) {
    out.is = verdict::warn;
    out.says += ", older than the slot: an older copy? All shapes begin anew";
    out.mend = {"nothing, if that was intended"};
  }
  return {out};
}

findings judge_disk(const disk_inspection& disk) {
  if (!disk.problem.empty())
    return {{verdict::unknown,
             "disk",
             disk.directory + ": " + disk.problem,
             {"see that this user may read it"}}};
  findings out;
  finding kind{verdict::ok, "file system", disk.directory + ": " + disk.file_system, {}};
  if (disk.is_network || disk.is_memory) {
    kind.is = verdict::warn;
    kind.says += disk.is_network
                     ? ", reached over a network or a daemon: slow, and locks may not hold"
                     : ", in memory: all shapes begin anew after a restart of the machine";
    kind.mend = {"BUSBAR_STORAGE_DIR=<a directory on a disk of this machine>"};
  }
  out.push_back(std::move(kind));
  finding space{verdict::ok,
                "disk space",
                human(disk.free_bytes) + " of " + human(disk.total_bytes) + " free",
                {}};
  if (disk.free_bytes < (256u << 20))
    space.is = verdict::wrong;
  else if (disk.free_bytes < 2 * std::uint64_t{gigabyte} || disk.free_bytes < disk.total_bytes / 20)
    space.is = verdict::warn;
  if (space.is != verdict::ok)
    space.mend = {"make room, or BUSBAR_STORAGE_DIR=<a directory on a larger disk>"};
  out.push_back(std::move(space));
  if (!disk.is_writable) {
    out.push_back({verdict::wrong,
                   "disk writes",
                   disk.directory + " cannot be written by this user",
                   {"chown it to the user that runs Busbar"}});
  } else if (!disk.sync_time) {
    out.push_back({verdict::wrong,
                   "disk writes",
                   disk.directory + " refuses a small write",
                   {"make room, or see what the kernel's log says of the disk"}});
  } else {
    const auto micros = disk.sync_time->count();
    finding sync{verdict::ok,
                 "disk writes",
                 "a small sync takes " + std::to_string(micros / 1000) + "." +
                     std::to_string(micros / 100 % 10) + " ms",
                 {}};
    if (micros > 20'000) {
      sync.is = verdict::warn;
      sync.says += ": changes are confirmed to PostgreSQL that much later";
      sync.mend = {"BUSBAR_STORAGE_DIR=<a directory on a faster disk, such as local NVMe>"};
    }
    out.push_back(std::move(sync));
  }
  return out;
}

} // namespace busbar::app
