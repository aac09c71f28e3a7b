#include "postgres/connection.hpp"
#include "postgres/session.hpp"

#include <libpq-fe.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace busbar::postgres {

namespace {

// A path that does not exist: libpq reads no password file, certificate or key from the home
// directory of whoever runs the process unless the URL names one.
constexpr const char* no_file = "/nonexistent";

/// A machine that vanishes without a word is noticed within half a minute, unless the URL says
/// otherwise. The kernel's own patience is two hours where nothing is sent, and a quarter of an
/// hour for what is.
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> network_patience{
    {{"keepalives_idle", "10"},
     {"keepalives_interval", "5"},
     {"keepalives_count", "3"},
     {"tcp_user_timeout", "30000"}}};

std::string_view patience(std::string_view keyword) {
  for (const auto& [name, value] : network_patience)
    if (name == keyword)
      return value;
  return {};
}

struct option_list {
  PQconninfoOption* options = nullptr;
  explicit option_list(PQconninfoOption* taken) : options{taken} {}
  option_list(const option_list&) = delete;
  option_list& operator=(const option_list&) = delete;
  ~option_list() { PQconninfoFree(options); }

  std::string_view value(std::string_view keyword) const {
    for (const auto* o = options; o != nullptr && o->keyword != nullptr; ++o)
      if (keyword == o->keyword)
        return o->val == nullptr ? std::string_view{} : std::string_view{o->val};
    return {};
  }
};

auto refuse(std::string message) {
  return fail(errc::invalid_argument, "connection URL: " + std::move(message));
}

std::vector<std::string_view> split(std::string_view list) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto comma = list.find(',');
    parts.push_back(list.substr(0, comma));
    if (comma == std::string_view::npos)
      return parts;
    list.remove_prefix(comma + 1);
  }
}

bool is_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), port);
  return problem == std::errc{} && end == text.data() + text.size() && port >= 1 && port <= 65535;
}

/// Whether libpq knows a URL parameter of that name.
bool is_known_option(std::string_view keyword) {
  if (keyword == "ssl") // JDBC's spelling of sslmode=require, which libpq accepts in a URL
    return true;
  const option_list known{PQconndefaults()};
  for (const auto* o = known.options; o != nullptr && o->keyword != nullptr; ++o)
    if (keyword == o->keyword)
      return true;
  return false;
}

/// What libpq would say in a way that could repeat the password is said here first, without it.
result<void> check_before_libpq(std::string_view url) {
  const auto scheme_end = url.find("://");
  const auto scheme = url.substr(0, scheme_end);
  if (scheme_end == std::string_view::npos || (scheme != "postgres" && scheme != "postgresql"))
    return refuse("it must begin with postgresql:// or postgres://");
  const auto rest = url.substr(scheme_end + 3);
  const auto authority = rest.substr(0, rest.find('/'));
  const auto question =
      rest.find('?', authority.find('@') == std::string_view::npos ? 0 : authority.find('@') + 1);
  const auto query =
      question == std::string_view::npos ? std::string_view{} : rest.substr(question + 1);
  const bool credentials_cut = authority.find('@') == std::string_view::npos &&
                               rest.find('@') != std::string_view::npos &&
                               query.find("user=") == std::string_view::npos;
  if (credentials_cut || std::count(authority.begin(), authority.end(), '@') > 1)
    return refuse("special characters in the user name or password must be percent-encoded");
  for (auto left = query; !left.empty();) {
    const auto parameter = left.substr(0, left.find('&'));
    left.remove_prefix(std::min(left.size(), parameter.size() + 1));
    const auto name = parameter.substr(0, parameter.find('='));
    if (name.size() == parameter.size())
      return refuse("a query parameter has no value");
    if (name == "replication")
      return refuse("leave the option 'replication' out; Busbar sets it itself where it is needed");
    if (name == "service")
      return refuse("the option 'service' is not supported; write host and user into the URL");
    if (name.find('%') == std::string_view::npos && !is_known_option(name))
      return refuse("unknown option '" + std::string{name} + "'");
  }
  return {};
}

} // namespace

void append_option(std::string& out, std::string_view keyword, std::string_view value) {
  if (!out.empty())
    out.push_back(' ');
  out.append(keyword).append("='");
  for (const char c : value) {
    if (c == '\'' || c == '\\')
      out.push_back('\\');
    out.push_back(c);
  }
  out.push_back('\'');
}

result<connection_url> connection_url::parse(std::string_view url) {
  if (auto checked = check_before_libpq(url); !checked)
    return fail(std::move(checked).error());
  if (url.find('\0') != std::string_view::npos)
    return refuse("it contains a NUL byte");
  char* problem = nullptr;
  const option_list given{PQconninfoParse(std::string{url}.c_str(), &problem)};
  if (given.options == nullptr) {
    // libpq quotes pieces of the URL, which may be the password; what it says before is harmless.
    std::string said = problem == nullptr ? "out of memory" : problem;
    PQfreemem(problem);
    said.resize(std::min(said.size(), said.find_first_of("\"\n")));
    while (!said.empty() && (said.back() == ' ' || said.back() == ':'))
      said.pop_back();
    return refuse(said + " (is everything percent-encoded that must be?)");
  }
  const auto user = given.value("user");
  const auto hosts = given.value("host").empty() ? given.value("hostaddr") : given.value("host");
  if (user.empty())
    return refuse("the user is missing");
  if (hosts.empty())
    return refuse("the host is missing");
  if (hosts.find('@') != std::string_view::npos)
    return refuse("special characters in the user name or password must be percent-encoded");
  if (!given.value("replication").empty() || !given.value("service").empty())
    return refuse("the options 'replication' and 'service' are not supported");
  const auto ports = split(given.value("port"));
  for (const auto port : ports)
    if (!port.empty() && !is_port(port))
      return refuse("a port is not a number from 1 to 65535");
  const auto host_list = split(hosts);
  if (ports.size() != 1 && ports.size() != host_list.size())
    return refuse("there must be one port, or one for each host");

  const auto sslmode = given.value("sslmode");
  constexpr std::array<std::string_view, 6> modes{"disable", "allow",     "prefer",
                                                  "require", "verify-ca", "verify-full"};
  if (!sslmode.empty() && std::find(modes.begin(), modes.end(), sslmode) == modes.end())
    return refuse("sslmode must be disable, allow, prefer, require, verify-ca or verify-full");
  const bool has_authority = !given.value("sslrootcert").empty();
  if (has_authority && sslmode == "disable")
    return refuse("sslrootcert is given, but sslmode=disable switches TLS off");

  connection_url checked;
  const std::string database{given.value("dbname").empty() ? user : given.value("dbname")};
  for (const auto* o = given.options; o->keyword != nullptr; ++o) {
    const std::string_view keyword = o->keyword;
    std::string_view value = o->val == nullptr ? std::string_view{} : std::string_view{o->val};
    if (keyword == "dbname")
      value = database;
    else if (keyword == "sslmode" && has_authority && !sslmode.starts_with("verify-"))
      value = "verify-full"; // whoever names an authority wants it checked (spec 1.2)
    else if (value.empty() && keyword == "gssencmode")
      value = "disable"; // else it depends on the tickets of whoever runs the process
    else if (value.empty() &&
             (keyword == "passfile" || keyword == "sslcert" || keyword == "sslkey"))
      value = no_file;
    else if (value.empty() && keyword == "sslrootcert" && !sslmode.starts_with("verify-"))
      value = no_file; // ~/.postgresql/root.crt would turn `require` into verification
    else if (value.empty() && keyword == "connect_timeout")
      value = "0"; // the caller's deadline counts
    else if (value.empty() && !patience(keyword).empty())
      value = patience(keyword);
    else if (value.empty() && o->compiled != nullptr)
      value = o->compiled;
    // An option that libpq would take from the environment is given even if it is empty, so that
    // the URL alone says where to connect and how. An empty service would be looked up, though; it
    // could only fill in what is missing, and nothing is.
    const bool from_environment = o->envvar != nullptr && keyword != "service";
    if (!value.empty() || from_environment)
      append_option(checked.conninfo_, keyword, value);
  }
  checked.database_ = database;
  checked.password_ = given.value("password");
  checked.display_ = std::string{user} + "@";
  for (std::size_t i = 0; i < host_list.size(); ++i) {
    const auto port = ports.size() == 1 ? ports[0] : ports[i];
    checked.display_.append(i == 0 ? "" : ",").append(host_list[i]);
    checked.display_.append(":").append(port.empty() ? "5432" : port);
  }
  checked.display_.append("/").append(database);
  return checked;
}

} // namespace busbar::postgres
