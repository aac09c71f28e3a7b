#include "cluster/link.hpp"
#include "cluster/listener.hpp"
#include "tests/unit/cluster/loopback.hpp"

#include <gmock/gmock.h>
#include <openssl/ssl.h>

#include <random>

namespace busbar::cluster {
namespace {

using std::chrono::steady_clock;
using testing::HasSubstr;

const std::string secret = "a secret of the cluster";

tls_identity identity_of(std::string_view words) {
  auto out = tls_identity::derive(words);
  EXPECT_TRUE(out) << out.error().message;
  return *out;
}

TEST(TlsIdentity, IsTheSameWhereverTheSecretIs) {
  EXPECT_EQ(identity_of(secret).certificate(), identity_of(secret).certificate());
  EXPECT_NE(identity_of(secret).certificate(), identity_of("another secret of ours").certificate());
  EXPECT_GT(identity_of(secret).certificate().size(), 100u);
}

/// A listener that hands its links to the test.
class LinkTest : public testing::Test {
protected:
  void listen(const std::function<void(listener_settings&)>& change = {}) {
    listener_settings settings;
    settings.address = port_.address();
    if (change)
      change(settings);
    auto started = listener::start(settings, identity_, [this](std::unique_ptr<link> from) {
      std::unique_lock lock{mutex_};
      arrived_.push_back(std::move(from));
      changed_.notify_all();
    });
    ASSERT_TRUE(started) << started.error().message;
    listener_ = std::move(*started);
  }
  result<std::unique_ptr<link>> dial(const tls_identity& as, deadline until = patience()) {
    return link::dial(as, port_.address(), until, stop_);
  }
  std::unique_ptr<link> next_arrival() {
    std::unique_lock lock{mutex_};
    EXPECT_TRUE(changed_.wait_until(lock, patience(), [this] { return !arrived_.empty(); }));
    if (arrived_.empty())
      return nullptr;
    auto out = std::move(arrived_.front());
    arrived_.erase(arrived_.begin());
    return out;
  }
  std::size_t arrivals() {
    const std::lock_guard lock{mutex_};
    return arrived_.size();
  }
  /// Both ends of one link.
  std::pair<std::unique_ptr<link>, std::unique_ptr<link>> connect() {
    listen();
    auto one = dial(identity_);
    EXPECT_TRUE(one) << one.error().message;
    return {one ? std::move(*one) : nullptr, next_arrival()};
  }
  /// The other side has closed; what it said before is let go.
  static bool is_closed(int fd) {
    pollfd wait{fd, POLLIN, 0};
    char bytes[4096];
    while (::poll(&wait, 1, 20'000) == 1)
      if (::recv(fd, bytes, sizeof bytes, 0) <= 0)
        return true;
    return false;
  }

  loopback_port port_;
  tls_identity identity_ = identity_of(secret);
  interrupt stop_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<link>> arrived_;
  std::unique_ptr<listener> listener_; // ends first
};

TEST_F(LinkTest, MessagesOfEverySizeArriveInOrderBothWaysAtOnce) {
  auto [one, other] = connect();
  ASSERT_TRUE(one && other);
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 chance{seed};
  std::vector<std::string> messages;
  for (const std::size_t size : {0, 1, 7, 16379, 16380, 16381, 16384, 32768, 1 << 20})
    messages.emplace_back(size, static_cast<char>('a' + messages.size()));
  for (int i = 0; i < 500; ++i)
    messages.emplace_back(chance() % (i % 50 == 0 ? 300'000 : 3'000), static_cast<char>(chance()));
  one->rekey_after(1u << 20);
  other->rekey_after(100'000);
  const auto send_all = [&](link& over) {
    for (const auto& message : messages) {
      const auto half = message.size() / 2;
      const std::string_view whole{message};
      const auto sent = over.send({whole.substr(0, half), whole.substr(half)}, patience());
      ASSERT_TRUE(sent) << sent.error().message;
    }
  };
  const auto receive_all = [&](link& over) {
    for (const auto& message : messages) {
      const auto got = over.receive(patience());
      ASSERT_TRUE(got) << got.error().message;
      ASSERT_TRUE(*got);
      ASSERT_TRUE(**got == message) << (*got)->size() << " instead of " << message.size();
    }
  };
  std::thread threads[] = {
      std::thread{send_all, std::ref(*one)}, std::thread{send_all, std::ref(*other)},
      std::thread{receive_all, std::ref(*one)}, std::thread{receive_all, std::ref(*other)}};
  for (auto& thread : threads)
    thread.join();
}

TEST_F(LinkTest, MessagesOfSeveralSendersAreNotMixed) {
  auto [one, other] = connect();
  ASSERT_TRUE(one && other);
  std::vector<std::thread> senders;
  for (char c = 'a'; c < 'e'; ++c)
    senders.emplace_back([&, c] {
      for (int i = 0; i < 50; ++i)
        EXPECT_TRUE(one->send(std::string(40'000, c), patience()));
    });
  for (int i = 0; i < 200; ++i) {
    const auto got = other->receive(patience());
    ASSERT_TRUE(got && *got);
    ASSERT_EQ((*got)->size(), 40'000u);
    EXPECT_EQ((*got)->find_first_not_of((*got)->front()), std::string::npos);
  }
  for (auto& sender : senders)
    sender.join();
}

TEST_F(LinkTest, AReceiveThatRunsOutOfTimeGoesOnWhereItWas) {
  auto [one, other] = connect();
  ASSERT_TRUE(one && other);
  EXPECT_EQ(*other->receive(steady_clock::now()), std::nullopt);
  const std::string large(20u << 20, 'x');
  std::thread sender{[&] { EXPECT_TRUE(one->send(large, patience())); }};
  result<std::optional<std::string>> got = std::nullopt;
  const auto until = patience();
  while (got && !*got && steady_clock::now() < until)
    got = other->receive(steady_clock::now()); // has no time at all
  sender.join();
  ASSERT_TRUE(got && *got);
  EXPECT_TRUE(**got == large);
}

TEST_F(LinkTest, AMessageThatIsTooLargeIsRefusedByBothSides) {
  auto [one, other] = connect();
  ASSERT_TRUE(one && other);
  const auto sent = one->send(std::string(link::message_bytes_max + 1, 'x'), patience());
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, errc::invalid_argument);
  ASSERT_TRUE(one->send("it still works", patience()));
  ASSERT_TRUE(one->send(std::string(1'001, 'x'), patience()));
  EXPECT_EQ(**other->receive(patience(), 1'000), "it still works");
  const auto got = other->receive(patience(), 1'000);
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().message, HasSubstr("1001 bytes"));
  EXPECT_FALSE(one->receive(patience())) << "that broke the link";
}

TEST_F(LinkTest, ShutWakesWhoReceivesAndWhoSends) {
  auto [one, other] = connect();
  ASSERT_TRUE(one && other);
  std::thread receiver{[&] { EXPECT_FALSE(one->receive(deadline::max())); }};
  std::thread sender{[&] {
    while (one->send(std::string(1u << 20, 'x'), deadline::max())) // nobody reads
      ;
  }};
  std::this_thread::sleep_for(50ms);
  one->shut();
  receiver.join();
  sender.join();
  EXPECT_FALSE(one->send("x", patience()));
}

TEST_F(LinkTest, ASendThatIsNotTakenInTimeBreaksTheLink) {
  auto [one, other] = connect();
  ASSERT_TRUE(one && other);
  const auto sent = one->send(std::string(60u << 20, 'x'), steady_clock::now() + 100ms);
  ASSERT_FALSE(sent);
  EXPECT_THAT(sent.error().message, HasSubstr("takes nothing"));
  const auto again = one->send("x", patience());
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message, HasSubstr("broken"));
}

TEST_F(LinkTest, TheEndOfOneSideIsNoticedByTheOther) {
  auto [one, other] = connect();
  ASSERT_TRUE(one && other);
  ASSERT_TRUE(one->send("last words", patience()));
  one.reset();
  EXPECT_EQ(**other->receive(patience()), "last words");
  const auto got = other->receive(patience());
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().message, HasSubstr("closed"));
}

TEST_F(LinkTest, WhoHasAnotherSecretFailsInTheHandshake) {
  listen();
  const auto stranger = dial(identity_of("another secret of ours"));
  ASSERT_FALSE(stranger);
  EXPECT_THAT(stranger.error().message, HasSubstr("BUSBAR_CLUSTER_SECRET"));
  ASSERT_TRUE(dial(identity_)); // after which the stranger's turn is certainly over
  ASSERT_TRUE(next_arrival());
  EXPECT_EQ(arrivals(), 0u);
}

/// Someone who does not mind who we are, and shows `certificate_of` (nullptr: nothing).
class tls_stranger {
public:
  tls_stranger(const std::string& address, const tls_identity* certificate_of)
      : fd_{connect_plainly(address)}, context_{SSL_CTX_new(TLS_client_method())} {
    if (certificate_of != nullptr) {
      SSL_CTX_use_certificate(context_, SSL_CTX_get0_certificate(certificate_of->context()));
      SSL_CTX_use_PrivateKey(context_, SSL_CTX_get0_privatekey(certificate_of->context()));
    }
    SSL_CTX_set_verify(context_, SSL_VERIFY_NONE, nullptr);
    ssl_ = SSL_new(context_);
    SSL_set_fd(ssl_, fd_);
  }
  ~tls_stranger() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    ::close(fd_);
  }
  /// In TLS 1.3 a client is done before the server has looked at it: so it must read.
  bool gets_in() {
    char byte;
    return SSL_connect(ssl_) == 1 && SSL_read(ssl_, &byte, 1) == 1;
  }
  bool agrees_on(int version) {
    SSL_set_min_proto_version(ssl_, version);
    SSL_set_max_proto_version(ssl_, version);
    return SSL_connect(ssl_) == 1;
  }

private:
  int fd_;
  SSL_CTX* context_;
  SSL* ssl_;
};

TEST_F(LinkTest, WhoShowsNoCertificateOrAnotherDoesNotGetIn) {
  listen();
  const auto other = identity_of("another secret of ours");
  EXPECT_FALSE(tls_stranger(port_.address(), nullptr).gets_in());
  EXPECT_FALSE(tls_stranger(port_.address(), &other).gets_in());
  EXPECT_FALSE(tls_stranger(port_.address(), &identity_).agrees_on(TLS1_2_VERSION));
  EXPECT_EQ(arrivals(), 0u);
  ASSERT_TRUE(dial(identity_));
  EXPECT_TRUE(next_arrival());
}

TEST_F(LinkTest, PlainTextAtThePortIsTurnedAway) {
  listen();
  for (const std::string text : {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff", "\0\0\0\x01x"}) {
    const int fd = connect_plainly(port_.address());
    ASSERT_GE(fd, 0);
    ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    ::shutdown(fd, SHUT_WR);
    EXPECT_TRUE(is_closed(fd));
    ::close(fd);
  }
  EXPECT_EQ(arrivals(), 0u);
}

TEST_F(LinkTest, WhoSaysNothingIsTurnedAwayAndDelaysNobody) {
  listen([](listener_settings& s) { s.handshake_time = 300ms; });
  const int silent = connect_plainly(port_.address());
  const int slow = connect_plainly(port_.address());
  std::atomic<bool> stop{false};
  std::thread drip{[&] { // a byte at a time
    const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for (std::size_t i = 0; !stop; i = (i + 1) % (sizeof hello - 1)) {
      ::send(slow, hello + i, 1, MSG_NOSIGNAL);
      std::this_thread::sleep_for(20ms);
    }
  }};
  EXPECT_TRUE(dial(identity_));
  EXPECT_TRUE(next_arrival());
  EXPECT_TRUE(is_closed(silent));
  EXPECT_TRUE(is_closed(slow));
  stop = true;
  drip.join();
  ::close(silent);
  ::close(slow);
}

TEST_F(LinkTest, HandshakesAndLinksAreBounded) {
  listen([](listener_settings& s) { s.handshakes_max = 2; });
  const int first = connect_plainly(port_.address());
  const int second = connect_plainly(port_.address());
  const int third = connect_plainly(port_.address());
  EXPECT_TRUE(is_closed(third));
  ::close(first);
  EXPECT_TRUE(eventually([&] { return dial(identity_).has_value(); })) << "there is room again";
  ::close(second);
  ::close(third);
}

TEST_F(LinkTest, ADialEndsInTimeAndWhenItIsInterrupted) {
  // A port at which somebody accepts, and says nothing.
  loopback_port mute;
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons(static_cast<std::uint16_t>(std::stoul(mute.number())));
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  ASSERT_EQ(::listen(fd, 4), 0);
  const auto late = link::dial(identity_, mute.address(), steady_clock::now() + 100ms, stop_);
  ASSERT_FALSE(late);
  EXPECT_THAT(late.error().message, HasSubstr("in time"));
  std::thread raiser{[&] {
    std::this_thread::sleep_for(50ms);
    stop_.raise();
  }};
  const auto interrupted = link::dial(identity_, mute.address(), deadline::max(), stop_);
  EXPECT_FALSE(interrupted);
  raiser.join();
  ::close(fd);
}

TEST_F(LinkTest, AListenerStopsWhileLinksAreBusy) {
  std::atomic<int> ended{0};
  listener_settings settings;
  settings.address = port_.address();
  auto busy = listener::start(settings, identity_, [&](std::unique_ptr<link> from) {
    EXPECT_FALSE(from->receive(deadline::max()));
    ++ended;
  });
  ASSERT_TRUE(busy) << busy.error().message;
  auto one = dial(identity_);
  auto two = dial(identity_);
  const int stranger = connect_plainly(port_.address());
  ASSERT_TRUE(one && two);
  const auto began = steady_clock::now();
  (*busy)->stop();
  EXPECT_LT(steady_clock::now() - began, 2s) << "shorter than a handshake may take";
  (*busy)->stop();
  EXPECT_LE(ended, 2);
  ::close(stranger);
}

TEST_F(LinkTest, APortThatIsTakenIsSaid) {
  listen();
  listener_settings settings;
  settings.address = port_.address();
  const auto second = listener::start(settings, identity_, [](auto) {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, errc::misconfigured);
  EXPECT_THAT(second.error().message, HasSubstr(port_.address()));
}

} // namespace
} // namespace busbar::cluster
