#include "app/doctor.hpp"

#include "app/diagnosis.hpp"
#include "postgres/replication_stream.hpp"

#include <chrono>
#include <ostream>

namespace busbar::app {

namespace {

using postgres::connection;
using postgres::connection_url;
using postgres::pg_result_of;

constexpr std::chrono::seconds connect_max{5};
constexpr std::chrono::seconds answer_max{10};

postgres::deadline in(std::chrono::seconds time) {
  return std::chrono::steady_clock::now() + time;
}

/// What was asked of the server and answered, for checks that need several answers.
struct examination {
  findings found;
  std::optional<postgres::system_inspection> system;
  std::optional<postgres::slot_inspection> slot;

  void add(findings more) {
    found.insert(found.end(), std::make_move_iterator(more.begin()),
                 std::make_move_iterator(more.end()));
  }
  void add(finding one) { found.push_back(std::move(one)); }

  /// The answer, or nullptr and a finding that says what could not be asked.
  template <class T>
  const T* answer(const std::string& check, const pg_result_of<T>& asked) {
    if (asked)
      return &*asked;
    add({verdict::unknown, check, asked.error().to_error().message, {"ask again"}});
    return nullptr;
  }
};

void examine_settings(examination& exam, const invocation& call) {
  if (call.fault)
    exam.add({verdict::wrong,
              "settings",
              call.fault->message,
              {(call.fault->field.empty() ? "the setting that it names" : call.fault->field) +
               "; `busbar serve --help` says what it takes"}});
  for (const auto& note : call.notes)
    exam.add({verdict::warn, "settings", note, {"unset it once it is known"}});
  if (!call.fault && call.notes.empty())
    exam.add({verdict::ok, "settings", "complete, and none contradicts another", {}});
}

std::string tls(const connection& session) {
  return session.is_encrypted() ? ", TLS" : ", not encrypted";
}

/// The session that replication will use: a pooler shows here.
void examine_replication(examination& exam, const connection_url& url) {
  auto walsender = connection::open_replication(url, in(connect_max));
  auto system = walsender ? postgres::inspect_system(*walsender, in(answer_max))
                          : tl::unexpected<postgres::pg_error>{walsender.error()};
  if (system) {
    exam.system = *system;
    exam.add({verdict::ok,
              "replication connection",
              "system " + system->system_id + ", timeline " + std::to_string(system->timeline),
              {}});
    return;
  }
  auto refused = judge_refusal("replication connection", url.display(), system.error());
  // A pooler's words for what it does not know: our parameter, or the first command.
  if (system.error().sqlstate == "42601" ||
      system.error().message.find("startup parameter") != std::string::npos) {
    refused.is = verdict::wrong;
    refused.mend = {"DATABASE_URL must lead to PostgreSQL itself; a pooler's address belongs into "
                    "BUSBAR_POOLED_DATABASE_URL"};
  }
  exam.add(std::move(refused));
}

void examine_pooled(examination& exam, const settings& config, connection& direct,
                    const our_names& names) {
  if (config.snapshot_database_url == config.database_url)
    return;
  const auto url = connection_url::parse(config.snapshot_database_url);
  if (!url)
    return exam.add(
        {verdict::wrong, "pooled connection", url.error().message, {"BUSBAR_POOLED_DATABASE_URL"}});
  auto pooled = connection::open(*url, "doctor", in(connect_max));
  if (!pooled)
    return exam.add(judge_refusal("pooled connection", url->display(), pooled.error()));
  const auto same = postgres::is_same_database(direct, *pooled, in(answer_max));
  const auto* is = exam.answer("pooled connection", same);
  if (is == nullptr)
    return;
  if (!*is)
    return exam.add(
        {verdict::wrong,
         "pooled connection",
         url->display() + " leads to another database than DATABASE_URL, or to a standby",
         {"BUSBAR_POOLED_DATABASE_URL=<the same database on the same primary, or unset>"}});
  exam.add({verdict::ok,
            "pooled connection",
            url->display() + tls(*pooled) + ", leads to the same database",
            {}});
  const auto role = postgres::inspect_role(*pooled, in(answer_max));
  const auto leaves = postgres::inspect_leaves(*pooled, names.publication, in(answer_max));
  const auto* known_role = exam.answer("pooled role", role);
  const auto* known_leaves = exam.answer("pooled role", leaves);
  if (known_role != nullptr && known_leaves != nullptr)
    exam.add(judge_pooled_reading(*known_leaves, *known_role));
}

void examine_database(examination& exam, const settings& config) {
  const auto url = connection_url::parse(config.database_url);
  if (!url)
    return exam.add({verdict::wrong, "connection", url.error().message, {"DATABASE_URL"}});
  auto opened = connection::open(*url, "doctor", in(connect_max));
  if (!opened)
    return exam.add(judge_refusal("connection", url->display(), opened.error()));
  auto& session = *opened;
  exam.add({verdict::ok, "connection", url->display() + tls(session), {}});

  const postgres::stream_settings stream{.url = *url, .stream_id = config.stream_id};
  const our_names names{.slot = stream.slot(), .publication = stream.publication()};
  const auto server = postgres::inspect_server(session, in(answer_max));
  const auto role = postgres::inspect_role(session, in(answer_max));
  const auto* known_server = exam.answer("server", server);
  const auto* known_role = exam.answer("role", role);
  if (known_server != nullptr)
    exam.add(judge_server(*known_server));
  if (known_server == nullptr || known_server->version < 140'000)
    return;
  examine_replication(exam, *url);
  if (exam.system) // else the session may be a pooler's, which would keep the lock of the question
    examine_pooled(exam, config, session, names);

  const auto slot = postgres::inspect_slot(session, names.slot, in(answer_max));
  const auto* known_slot = exam.answer("slot", slot);
  exam.add(judge_capacity(*known_server, known_slot != nullptr && !*known_slot));
  if (known_slot != nullptr) {
    exam.slot = *known_slot;
    exam.add(judge_slot(*known_slot, names));
  }
  exam.add(judge_retention(*known_server));
  const auto publication =
      postgres::inspect_publication(session, names.publication, in(answer_max));
  const auto* known_publication = exam.answer("publication", publication);
  if (known_role != nullptr && known_publication != nullptr) {
    exam.add(judge_role(*known_role, *known_publication, names));
    exam.add(judge_publication(*known_publication, *known_role, names));
    if (*known_publication) {
      const auto leaves = postgres::inspect_leaves(session, names.publication, in(answer_max));
      if (const auto* known_leaves = exam.answer("tables", leaves))
        exam.add(judge_leaves(*known_leaves, *known_role, names));
    }
  }
  exam.add(judge_clock(*known_server));
}

} // namespace

findings examine(const invocation& call) {
  examination exam;
  examine_settings(exam, call);
  if (!call.config.database_url.empty())
    examine_database(exam, call.config);
  const auto& directory = call.config.storage_dir;
  exam.add(judge_storage(directory, storage::inspect(directory), exam.system, exam.slot,
                         call.config.stream_id));
  exam.add(judge_disk(inspect_disk(directory)));
  return std::move(exam.found);
}

int run_doctor(const invocation& call, std::ostream& out) {
  const auto found = examine(call);
  out << (call.json ? as_json(found) : as_text(found)) << std::flush;
  return exit_status(found);
}

} // namespace busbar::app
