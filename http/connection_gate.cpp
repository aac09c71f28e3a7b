// The gate half of a connection: who asks, and what may they have?
#include "http/connection.hpp"
#include "http/worker.hpp"

namespace busbar::http {

namespace {

/// What follows the scheme `Bearer`; empty if that is not what the header says.
std::string_view bearer_of(std::string_view authorization) noexcept {
  const auto space = authorization.find(' ');
  if (space == std::string_view::npos ||
      !equals_ignoring_case(authorization.substr(0, space), "bearer"))
    return {};
  return trim(authorization.substr(space));
}

/// Takes as long whichever of the secrets it is.
bool is_secret(std::string_view given, const server_settings& settings) noexcept {
  bool good = settings.secret && secret_matches(given, *settings.secret);
  for (const auto& secret : settings.more_secrets)
    good = secret_matches(given, secret) || good;
  return good;
}

constexpr std::string_view forbidden_body =
    R"({"code":"forbidden","message":"this token does not allow what is asked for"})";

} // namespace

/// False if the request has been answered. A secret opens everything, a token what its bearer may
/// have; where both are given it is the token that counts.
bool connection::authenticate(const request_head& head, const query& parameters) {
  const auto& settings = worker_.settings();
  auto* porter = worker_.porter();
  personal_ = porter != nullptr;
  if (!settings.secret && settings.more_secrets.empty() && !porter)
    return true;
  if (head.authorized_twice) {
    answer_unauthorized();
    return false;
  }
  if (const auto bearer = bearer_of(head.authorization); !bearer.empty()) {
    if (is_secret(bearer, settings)) {
      personal_ = true;
      return true;
    }
    if (porter)
      return admit_bearer(*porter, bearer);
  }
  const auto* given = parameters.find("secret");
  if (!given)
    given = parameters.find("api_secret");
  if (given && given->is == query_value::form::text && is_secret(given->text, settings))
    return true;
  if (porter)
    porter->keeper().count(gate::outcome::no_token);
  answer_unauthorized();
  return false;
}

/// For what tokens do not open. Where there are tokens and no secret, nobody has it.
bool connection::has_secret(const request_head& head, const query& parameters) const {
  const auto& settings = worker_.settings();
  if (!settings.secret && settings.more_secrets.empty())
    return worker_.porter() == nullptr;
  if (head.authorized_twice)
    return false;
  if (is_secret(bearer_of(head.authorization), settings))
    return true;
  const auto* given = parameters.find("secret");
  if (!given)
    given = parameters.find("api_secret");
  return given && given->is == query_value::form::text && is_secret(given->text, settings);
}

bool connection::admit_bearer(gate::porter& porter, std::string_view token) {
  auto bearer = porter.admit(token, worker_.precise_wall_clock());
  if (!bearer) {
    porter.keeper().count(bearer.error().because);
    if (bearer.error().because == gate::outcome::no_keys) {
      auto answer = begin_head(503);
      add_error_cache_headers(answer, verb_);
      answer.add("content-type", json_type).add("retry-after", 1);
      end_short(answer, message_body("the keys of tokens are being fetched: try again"));
    } else {
      answer_unauthorized();
    }
    return false;
  }
  const auto& who = **bearer;
  if (who.tenant)
    if (const auto over = who.tenant->enter(who.limits(), worker_.now())) {
      limit(*over);
      return false;
    }
  pass_ = std::make_unique<gate_pass>(*this, *std::move(bearer));
  worker_.keep(*pass_);
  return true;
}

/// What is asked for becomes what may be had. False if the request has been answered.
bool connection::confine(shape_read& read) {
  auto& porter = *worker_.porter();
  if (!read.later.empty()) {
    // Nobody looks at a table for a request that cannot be served anyway.
    answer_invalid(read.later);
    return false;
  }
  auto& query = read.query;
  const auto& confined =
      porter.confine(*pass_->bearer, {std::move(query.shape), std::move(query.subset)});
  if (!confined) {
    const auto& refusal = confined.error();
    if (refusal.forbidden)
      answer_forbidden();
    else
      answer_refused({refusal.why});
    return false;
  }
  query.shape = confined->shape;
  query.subset = confined->subset;
  if (const auto& tenant = pass_->bearer->tenant) {
    auto over = tenant->read(pass_->bearer->limits(), porter.digest_of(query.shape),
                             query.subset.has_value(), worker_.now());
    if (!over && query.live && !query.subset)
      over = pass_->begin_live();
    if (over) {
      limit(*over);
      return false;
    }
  }
  porter.keeper().count(gate::outcome::admitted);
  return true;
}

void connection::answer_unauthorized() {
  auto head = begin_head(401);
  head.add("cache-control", default_cache_control).add("content-type", json_type);
  if (worker_.porter())
    head.add("www-authenticate", "Bearer");
  end_short(head, message_body(worker_.porter() ? "the token or the secret is missing or not valid"
                                                : "the secret is missing or wrong"));
}

/// The same whatever was asked for: nobody learns what there is.
void connection::answer_forbidden() {
  worker_.porter()->keeper().count(gate::outcome::forbidden);
  auto head = begin_head(403);
  add_error_cache_headers(head, verb_);
  head.add("content-type", json_type);
  end_short(head, forbidden_body);
}

/// The answer comes after a pause: who asks again as soon as he has it would otherwise take from
/// the others with refusals what he is denied in rows.
void connection::limit(const gate::over_limit& over) {
  auto& keeper = worker_.porter()->keeper();
  keeper.count(gate::outcome::limited);
  keeper.count(over.which);
  leave_admission(); // whoever waits for nothing holds no place
  question_ = std::make_unique<open_question>(open_question{std::nullopt, {}, over});
  state_ = state::waiting;
  worker_.arm(*this, phase::limited);
}

void connection::answer_limited(const gate::over_limit& over) {
  auto head = begin_head(429);
  add_error_cache_headers(head, verb_);
  head.add("content-type", json_type)
      .add("electric-internal-known-error", "true")
      .add("retry-after", over.retry_after);
  std::string body = R"({"code":"tenant_limit_exceeded","limit":")";
  body += name_of(over.which);
  body += R"(","message":"the limit of this tenant is reached: try again"})";
  end_short(head, body);
}

/// The token has expired, or its key or the policy are others now: the client comes again, and is
/// judged anew. An answer that is being written is finished.
void connection::on_pass_ended() {
  if (broken_)
    return;
  if (state_ == state::streaming) {
    on_lifetime_expired();
  } else if (state_ == state::waiting) {
    phase_timer::disarm();
    leave_session();
    answer_unauthorized();
  }
}

void connection::look_at_pass() {
  if (!pass_)
    return;
  auto& porter = *worker_.porter();
  const auto& who = *pass_->bearer;
  if (!porter.may_stay(who, worker_.precise_wall_clock())) {
    porter.keeper().count(gate::outcome::bad_token);
    return on_pass_ended();
  }
  if (state_ == state::streaming && !ending_ && who.tenant &&
      who.tenant->overdrawn(who.limits(), worker_.now())) {
    porter.keeper().count(gate::limit::bytes);
    on_pass_ended();
  }
}

} // namespace busbar::http
