#include "tests/integration/postgres_server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

namespace busbar::testing {

namespace {

int free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("no free port");
  close(fd);
  return ntohs(address.sin_port);
}

/// PostgreSQL refuses to run as root; then an unprivileged user takes over.
const passwd* server_user() {
  if (geteuid() != 0)
    return nullptr;
  const passwd* found = getpwnam("postgres");
  return found != nullptr ? found : getpwnam("nobody");
}

std::string program(const std::string& name) {
  const char* chosen = std::getenv("BUSBAR_TEST_POSTGRES_BIN");
  return std::string{chosen != nullptr ? chosen : BUSBAR_TEST_POSTGRES_BIN} + "/" + name;
}

} // namespace

postgres_server& postgres_server::shared() {
  static postgres_server server;
  return server;
}

postgres_server::postgres_server() : port_{free_port()} {
  auto path = (std::filesystem::temp_directory_path() / "busbar_test_XXXXXX").string();
  if (mkdtemp(path.data()) == nullptr)
    throw std::runtime_error("no temporary directory");
  directory_ = path;
  std::ofstream{directory_ + "/password"} << "secret\n";
  if (const auto* user = server_user())
    for (const auto& made : {directory_, directory_ + "/password"})
      if (chown(made.c_str(), user->pw_uid, user->pw_gid) != 0)
        throw std::runtime_error("chown " + made);
  run({program("initdb"), "-D", directory_ + "/data", "-U", "busbar", "--no-sync", "-E", "UTF8",
       "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256",
       "--pwfile=" + directory_ + "/password"},
      true);
  std::ofstream{directory_ + "/data/pg_hba.conf"} << "local all all trust\n"
                                                     "host all stranger 127.0.0.1/32 reject\n"
                                                     "hostnossl all careful all reject\n"
                                                     "host all all ::1/128 scram-sha-256\n"
                                                     "host all all 127.0.0.1/32 scram-sha-256\n";
  start();
}

postgres_server::~postgres_server() {
  stop(SIGINT);
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void postgres_server::run(const std::vector<std::string>& command, bool wait_for_end) {
  const auto* user = server_user();
  const auto log = directory_ + "/log";
  pid_ = fork();
  if (pid_ == 0) {
    const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(out, 1);
    dup2(out, 2);
    if (user != nullptr &&
        (setgroups(0, nullptr) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0))
      _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGQUIT); // a crashed test leaves no server behind
    if (chdir(directory_.c_str()) != 0)
      _exit(126);
    std::vector<char*> arguments;
    for (const auto& argument : command)
      arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  if (pid_ < 0)
    throw std::runtime_error("fork failed");
  if (!wait_for_end)
    return;
  int status = 0;
  waitpid(std::exchange(pid_, -1), &status, 0);
  if (status != 0) {
    std::ifstream text{log};
    throw std::runtime_error(command[0] +
                             " failed: " + std::string{std::istreambuf_iterator<char>{text}, {}});
  }
}

std::vector<std::string> postgres_server::tls_settings() {
  if (access("/usr/bin/openssl", X_OK) != 0)
    return {};
  const auto key = directory_ + "/server.key";
  if (!std::filesystem::exists(key)) {
    const auto running = std::exchange(pid_, -1); // run() keeps its child's id in pid_
    run({"/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=busbar", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out",
         certificate()},
        true);
    pid_ = running;
    std::filesystem::permissions(key, std::filesystem::perms::owner_read);
  }
  return {"ssl=on", "ssl_key_file=" + key, "ssl_cert_file=" + certificate()};
}

void postgres_server::start(const std::vector<std::string>& settings) {
  std::vector<std::string> command{program("postgres"), "-D", directory_ + "/data"};
  for (const auto& setting :
       {"port=" + std::to_string(port_), "unix_socket_directories=" + directory_,
        std::string{"listen_addresses=127.0.0.1"}, std::string{"wal_level=logical"},
        std::string{"max_wal_senders=20"}, std::string{"max_replication_slots=20"},
        std::string{"max_prepared_transactions=10"}, std::string{"fsync=off"},
        std::string{"lc_messages=C"}})
    command.insert(command.end(), {"-c", setting});
  for (const auto& setting : settings)
    command.insert(command.end(), {"-c", setting});
  run(command, false);
  const auto target = postgres::connection_url::parse(socket_url("postgres")).value();
  for (const auto until = in(30s); std::chrono::steady_clock::now() < until;) {
    if (postgres::connection::open(target, "fixture", in(5s)))
      return;
    if (waitpid(pid_, nullptr, WNOHANG) == pid_)
      break;
    std::this_thread::sleep_for(20ms);
  }
  std::ifstream text{directory_ + "/log"};
  throw std::runtime_error("PostgreSQL did not start: " +
                           std::string{std::istreambuf_iterator<char>{text}, {}});
}

void postgres_server::stop(int signal) {
  if (pid_ <= 0)
    return;
  kill(pid_, signal);
  waitpid(std::exchange(pid_, -1), nullptr, 0);
}

std::string postgres_server::url(const std::string& database, const std::string& user,
                                 const std::string& password) const {
  return "postgresql://" + user + ":" + password + "@127.0.0.1:" + std::to_string(port_) + "/" +
         database;
}

std::string postgres_server::socket_url(const std::string& database,
                                        const std::string& user) const {
  return "postgresql://" + user + "@/" + database + "?host=" + directory_ +
         "&port=" + std::to_string(port_);
}

void PostgresTest::SetUp() {
  static int count = 0;
  database_ = "test_" + std::to_string(++count);
  const auto root = postgres::connection_url::parse(server().socket_url("postgres")).value();
  auto session = must(postgres::connection::open(root, "fixture", in(10s)));
  must(session.command("CREATE DATABASE " + database_, in(30s)));
  admin_ = connect("admin");
}

void PostgresTest::TearDown() {
  admin_.reset();
  const auto root = postgres::connection_url::parse(server().socket_url("postgres")).value();
  auto session = must(postgres::connection::open(root, "fixture", in(10s)));
  const auto ours = " WHERE database = '" + database_ + "'";
  must(session.command("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots" + ours +
                           " AND active",
                       in(10s)));
  for (const auto until = in(10s);;) {
    auto left = must(session.command(
        "SELECT count(*) FROM pg_replication_slots" + ours + " AND active", in(10s)));
    if (left.text(0, 0) == "0")
      break;
    ASSERT_LT(std::chrono::steady_clock::now(), until) << "a slot stays in use";
  }
  must(session.command(
      "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots" + ours, in(10s)));
  must(session.command("SELECT 1", in(10s)));
  auto prepared = must(session.command("SELECT gid FROM pg_prepared_xacts" + ours, in(10s)));
  for (int row = 0; row < prepared.count(); ++row) {
    const auto target = postgres::connection_url::parse(server().socket_url(database_)).value();
    auto inside = must(postgres::connection::open(target, "fixture", in(10s)));
    must(inside.command("ROLLBACK PREPARED " + postgres::quote_literal(prepared.text(row, 0)),
                        in(10s)));
  }
  must(session.command("DROP DATABASE " + database_ + " WITH (FORCE)", in(30s)));
}

postgres::connection_url PostgresTest::url() const {
  return postgres::connection_url::parse(server().url(database_)).value();
}

postgres::connection PostgresTest::connect(const std::string& purpose) const {
  return must(postgres::connection::open(url(), purpose, in(10s)));
}

postgres::stream_settings PostgresTest::stream_settings() const {
  return {.url = url(), .stream_id = database_};
}

postgres::rows PostgresTest::sql(const std::string& statements) {
  return must(admin_->command(statements, in(30s)));
}

void PostgresTest::wait_until(const std::string& query, const std::string& wanted) {
  std::string last;
  for (const auto until = in(10s); std::chrono::steady_clock::now() < until;) {
    last = value(query);
    if (last == wanted)
      return;
    std::this_thread::sleep_for(10ms);
  }
  FAIL() << query << " yields " << last << ", not " << wanted;
}

} // namespace busbar::testing
