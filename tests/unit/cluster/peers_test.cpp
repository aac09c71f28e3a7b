#include "cluster/greeting.hpp"
#include "cluster/wire.hpp"
#include "tests/unit/cluster/loopback.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <iterator>
#include <random>

namespace busbar::cluster {
namespace {

using std::chrono::steady_clock;
using testing::AllOf;
using testing::HasSubstr;

/// Members that know each other's addresses; none is started.
class Peers : public testing::Test {
protected:
  void make(std::size_t count, const std::function<void(peers_settings&)>& change = {}) {
    std::vector<std::string> addresses;
    for (std::size_t i = 0; i < count; ++i) {
      ports_.push_back(std::make_unique<loopback_port>());
      addresses.push_back(ports_.back()->address());
    }
    for (const auto& address : addresses)
      nodes_.push_back(std::make_unique<node>(address, addresses, change));
  }
  void start() {
    for (auto& one : nodes_)
      one->start();
  }
  node& at(std::size_t i) { return *nodes_[i]; }
  testing::AssertionResult sees(std::size_t one, std::size_t other) {
    if (eventually([&] { return at(one).sees(at(other).name()); }))
      return testing::AssertionSuccess();
    return testing::AssertionFailure() << one << " does not see " << other;
  }
  testing::AssertionResult loses(std::size_t one, std::size_t other) {
    if (eventually([&] { return !at(one).sees(at(other).name()); }))
      return testing::AssertionSuccess();
    return testing::AssertionFailure() << one << " still sees " << other;
  }
  /// A link to member i by somebody who has the secret, after saying `mine`.
  std::unique_ptr<link> dial(std::size_t i, const hello& mine) {
    auto over = link::dial(*tls_identity::derive("a secret of the cluster"), at(i).name(),
                           patience(), stop_);
    EXPECT_TRUE(over) << over.error().message;
    if (!over)
      return nullptr;
    const auto theirs = greet(**over, mine, patience());
    refusal_ = theirs ? "" : theirs.error().what.message;
    return std::move(*over);
  }
  static hello somebody() {
    hello out;
    out.name = "somebody:1";
    out.instance = 1;
    out.stream_id = "default";
    out.storage_format = 1;
    return out;
  }
  /// The other side hears nothing more and is told so by the end of the link.
  static bool ends(link& over) {
    const auto until = patience();
    while (steady_clock::now() < until)
      if (!over.receive(until))
        return true;
    return false;
  }

  interrupt stop_;
  std::string refusal_;
  std::vector<std::unique_ptr<loopback_port>> ports_;
  std::vector<std::unique_ptr<node>> nodes_;
};

TEST_F(Peers, MembersSeeEachOtherAndWhatTheySayOfThemselves) {
  make(3);
  start();
  at(0).set([](member_status& s) {
    s.role = member_role::leader;
    s.term = 7;
    s.sequence = 123;
    s.last_seen = lsn{456};
  });
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j)
      EXPECT_TRUE(i == j || sees(i, j));
  ASSERT_TRUE(
      eventually([&] { return at(1).view_of(at(0).name())->status.role == member_role::leader; }));
  const auto view = *at(1).view_of(at(0).name());
  EXPECT_EQ(view.status.term, 7u);
  EXPECT_EQ(view.status.sequence, 123u);
  EXPECT_EQ(view.status.last_seen, lsn{456});
  EXPECT_EQ(view.status.version, "0.1.0");
  EXPECT_EQ(at(1)->members().size(), 2u);
  EXPECT_EQ(at(0)->leader(), at(0).name());
  EXPECT_TRUE(eventually([&] { return at(2)->leader() == at(0).name(); }));
  EXPECT_TRUE(eventually([&] { return at(1).view_of(at(0).name())->round_trip > 0us; }));
}

TEST_F(Peers, AChangeOfRoleIsToldAtOnce) {
  make(2, [](peers_settings& s) { s.limits.heartbeat = 1h; });
  start();
  ASSERT_TRUE(sees(0, 1));
  const int before = at(0).changes;
  at(1).set([](member_status& s) { s.draining = true; });
  EXPECT_TRUE(eventually([&] { return at(0).view_of(at(1).name())->status.draining; }));
  EXPECT_TRUE(eventually([&] { return at(0).changes > before; }));
}

TEST_F(Peers, AMemberThatStopsIsAwayAndOneThatStartsAgainIsBack) {
  make(2, [](peers_settings& s) { s.limits.away_after = 600ms; });
  start();
  ASSERT_TRUE(sees(0, 1));
  at(1).set([](member_status& s) { s.role = member_role::leader; });
  ASSERT_TRUE(eventually([&] { return at(0)->leader() == at(1).name(); }));
  at(1).stop();
  EXPECT_TRUE(loses(0, 1));
  EXPECT_EQ(at(0)->leader(), std::nullopt);
  const int before = at(0).changes;
  at(1).start();
  EXPECT_TRUE(sees(0, 1));
  EXPECT_TRUE(sees(1, 0));
  EXPECT_TRUE(eventually([&] { return at(0).changes > before; }));
}

TEST_F(Peers, OneDirectionIsEnough) {
  make(2);
  nodes_[1] = std::make_unique<node>(at(1).name(), std::vector<std::string>{});
  start();
  EXPECT_TRUE(sees(0, 1));
  EXPECT_TRUE(sees(1, 0));
  EXPECT_EQ(*at(1).ask(at(0).name(), "hello"), at(0).name() + " says hello");
}

TEST_F(Peers, MembersAreFoundByName) {
  make(1);
  start();
  // Every host of 127.0.0.0/8 is this machine's: the name leads to the first member, not to this.
  const loopback_port port{INADDR_LOOPBACK};
  node other{"127.0.0.2:" + ports_[0]->number(), {}, [&](peers_settings& s) {
               s.members.dns = "localhost:" + ports_[0]->number();
             }};
  other.start();
  EXPECT_TRUE(eventually([&] { return other.sees(at(0).name()); }));
  EXPECT_TRUE(eventually([&] { return at(0).sees(other.name()); }));
}

TEST_F(Peers, AMemberIsNotItsOwnPeer) {
  const loopback_port port;
  node alone{"127.0.0.1:" + port.number(), {}, [&](peers_settings& s) {
               s.self = "localhost:" + port.number(); // which it does not recognise by its letters
               s.members.dns = "localhost:" + port.number();
             }};
  std::atomic<bool> asked{false};
  alone.start();
  auto self = link::dial(*tls_identity::derive("a secret of the cluster"), port.address(),
                         patience(), stop_); // it listens
  ASSERT_TRUE(self) << self.error().message;
  std::this_thread::sleep_for(300ms); // in which it has dialled itself
  EXPECT_TRUE(alone->members().empty());
}

TEST_F(Peers, AQuestionIsAnsweredByTheMemberThatWasAsked) {
  make(2);
  start();
  ASSERT_TRUE(sees(0, 1));
  const auto answer = at(0).ask(at(1).name(), "hello");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(*answer, at(1).name() + " says hello");
}

TEST_F(Peers, ManyQuestionsAtOnceGetEachItsAnswer) {
  // Answers come from other threads, and out of order.
  std::mutex mutex;
  std::vector<std::pair<std::string, std::function<void(std::string)>>> waiting;
  make(2, [&](peers_settings& s) {
    s.on_request = [&](std::string request, std::function<void(std::string)> reply) {
      const std::lock_guard lock{mutex};
      waiting.emplace_back(std::move(request), std::move(reply));
    };
  });
  start();
  ASSERT_TRUE(sees(0, 1));
  std::atomic<int> right{0};
  std::atomic<int> wrong{0};
  std::atomic<bool> done{false};
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::thread answerer{[&, chance = std::mt19937{seed}]() mutable {
    while (!done) {
      decltype(waiting) taken;
      {
        const std::lock_guard lock{mutex};
        taken.swap(waiting);
      }
      std::shuffle(taken.begin(), taken.end(), chance);
      for (auto& [request, reply] : taken)
        reply("re: " + request);
      std::this_thread::sleep_for(1ms);
    }
  }};
  std::vector<std::thread> askers;
  for (int a = 0; a < 8; ++a)
    askers.emplace_back([&, a] {
      for (int i = 0; i < 500; ++i) {
        const auto what = std::to_string(a) + "/" + std::to_string(i);
        at(a % 2)->ask(at(1 - a % 2).name(), what, patience(), [&, what](result<std::string> said) {
          ++(said && *said == "re: " + what ? right : wrong);
        });
      }
    });
  for (auto& asker : askers)
    asker.join();
  EXPECT_TRUE(eventually([&] { return right + wrong == 4'000; }));
  EXPECT_EQ(right, 4'000);
  done = true;
  answerer.join();
  nodes_.clear();
}

TEST_F(Peers, AQuestionWithoutAnAnswerEndsInTime) {
  std::mutex mutex;
  std::vector<std::function<void(std::string)>> kept;
  make(2, [&](peers_settings& s) {
    s.on_request = [&](std::string request, std::function<void(std::string)> reply) {
      const std::lock_guard lock{mutex};
      if (request == "keep")
        kept.push_back(std::move(reply));
    };
  });
  start();
  ASSERT_TRUE(sees(0, 1));
  const auto late = at(0).ask(at(1).name(), "keep", steady_clock::now() + 100ms);
  ASSERT_FALSE(late);
  EXPECT_THAT(late.error().message, HasSubstr("in time"));
  EXPECT_EQ(late.error().code, errc::unavailable);
  const auto dropped = at(0).ask(at(1).name(), "drop");
  ASSERT_FALSE(dropped);
  EXPECT_THAT(dropped.error().message, HasSubstr("not answered"));
  nodes_.clear();
  for (auto& reply : kept)
    reply("too late, and nobody minds");
}

TEST_F(Peers, WhoeverCannotBeAskedIsSaidSo) {
  make(2, [](peers_settings& s) {
    s.limits.pending_max = 0;
    s.limits.body_bytes_max = 1'000;
  });
  start();
  ASSERT_TRUE(sees(0, 1));
  EXPECT_THAT(at(0).ask("nobody:1", "hello").error().message, HasSubstr("no link with nobody:1"));
  EXPECT_THAT(at(0).ask(at(1).name(), "hello").error().message, HasSubstr("too many"));
  EXPECT_EQ(at(0).ask(at(1).name(), std::string(1'001, 'x')).error().code, errc::invalid_argument);
}

TEST_F(Peers, WhoAsksTooMuchIsToldSo) {
  std::mutex mutex;
  std::vector<std::function<void(std::string)>> kept;
  make(2, [&](peers_settings& s) {
    s.limits.unanswered_max = 1;
    s.on_request = [&](std::string, std::function<void(std::string)> reply) {
      const std::lock_guard lock{mutex};
      kept.push_back(std::move(reply));
    };
  });
  start();
  ASSERT_TRUE(sees(0, 1));
  std::atomic<int> refused{0};
  for (int i = 0; i < 5; ++i)
    at(0)->ask(at(1).name(), "x", patience(), [&](result<std::string> said) {
      refused += !said && said.error().message.find("too many") != std::string::npos;
    });
  // There may be two links, each with a question that waits.
  EXPECT_TRUE(eventually([&] { return refused >= 3; }));
  nodes_.clear();
}

TEST_F(Peers, AChannelCarriesMessagesBothWays) {
  std::promise<std::pair<std::string, purpose>> came;
  make(2, [&](peers_settings& s) {
    s.on_channel = [&](std::unique_ptr<link> from, purpose why, const hello& theirs) {
      came.set_value({theirs.name, why});
      for (;;) {
        const auto message = from->receive(deadline::max());
        if (!message || !from->send({"echo ", **message}, patience()))
          return;
      }
    };
  });
  start();
  auto channel = at(0)->open_channel(at(1).name(), purpose::follow, patience());
  ASSERT_TRUE(channel) << channel.error().message;
  const std::string large(5u << 20, 'x');
  ASSERT_TRUE((*channel)->send("small", patience()));
  ASSERT_TRUE((*channel)->send(large, patience()));
  EXPECT_EQ(**(*channel)->receive(patience()), "echo small");
  EXPECT_TRUE(**(*channel)->receive(patience()) == "echo " + large);
  EXPECT_EQ(came.get_future().get(), std::pair(at(0).name(), purpose::follow));
  at(1).stop();
  EXPECT_FALSE((*channel)->receive(patience())) << "stop() ends the channels that came";
}

TEST_F(Peers, AMemberOfTheNextStorageFormatCopiesFromOneOfThisAndNotTheOtherWayRound) {
  std::atomic<int> channels{0};
  const auto counts = [&](peers_settings& s) {
    s.on_channel = [&](std::unique_ptr<link>, purpose, const hello&) { ++channels; };
  };
  make(2, counts);
  nodes_[1] = std::make_unique<node>(at(1).name(), std::vector<std::string>{at(0).name()},
                                     [&](peers_settings& s) {
                                       counts(s);
                                       s.oldest_storage_format = s.storage_format;
                                       s.storage_format += 1;
                                     });
  start();
  ASSERT_TRUE(sees(0, 1));
  ASSERT_TRUE(sees(1, 0));
  for (const auto why : {purpose::follow, purpose::copy}) {
    const auto upwards = at(1)->open_channel(at(0).name(), why, patience());
    EXPECT_TRUE(upwards) << upwards.error().message;
    const auto downwards = at(0)->open_channel(at(1).name(), why, patience());
    ASSERT_FALSE(downwards);
    EXPECT_THAT(downwards.error().message,
                AllOf(HasSubstr("the storage format differs: 2 at " + at(1).name()),
                      HasSubstr("1 at " + at(0).name())));
  }
  EXPECT_TRUE(eventually([&] { return channels == 2; }));
}

TEST_F(Peers, AChannelToNobodyIsAnError) {
  make(1);
  start();
  const loopback_port nobody;
  EXPECT_FALSE(at(0)->open_channel(nobody.address(), purpose::copy, patience()));
  EXPECT_FALSE(at(0)->open_channel(at(0).name(), purpose::copy, patience()));
}

TEST_F(Peers, WhoHasAnotherSecretIsNoMember) {
  make(2);
  nodes_[1] =
      std::make_unique<node>(at(1).name(), std::vector<std::string>{at(0).name()},
                             [](peers_settings& s) { s.secret = "another secret of ours"; });
  start();
  std::this_thread::sleep_for(400ms); // several attempts
  EXPECT_FALSE(at(0).view_of(at(1).name())->heard);
  EXPECT_FALSE(at(1).view_of(at(0).name())->heard);
  EXPECT_FALSE(at(0)->open_channel(at(1).name(), purpose::follow, patience()));
}

TEST_F(Peers, WhoDoesNotAgreeIsRefusedWithTheReason) {
  make(1);
  start();
  auto other = somebody();
  other.stream_id = "blue";
  dial(0, other);
  EXPECT_THAT(refusal_, HasSubstr("BUSBAR_REPLICATION_STREAM_ID"));
  other = somebody();
  other.storage_format = 2;
  dial(0, other);
  EXPECT_THAT(refusal_, HasSubstr("storage format"));
  other = somebody();
  other.oldest_protocol = other.newest_protocol = protocol_newest + 1;
  dial(0, other);
  EXPECT_THAT(refusal_, HasSubstr("no common version"));
  other = somebody();
  other.name = at(0).name();
  dial(0, other);
  EXPECT_THAT(refusal_, HasSubstr("call themselves"));
  dial(0, somebody());
  EXPECT_EQ(refusal_, "");
}

TEST_F(Peers, TwoThatAreAliveCannotHaveOneName) {
  make(1);
  start();
  const auto first = dial(0, somebody());
  ASSERT_EQ(refusal_, "");
  wire::heartbeat alive;
  alive.number = 1;
  ASSERT_TRUE(first->send(wire::encode(alive), patience()));
  ASSERT_TRUE(eventually([&] { return at(0).sees("somebody:1"); }));
  auto impostor = somebody();
  impostor.instance = 2;
  const auto second = dial(0, impostor);
  ASSERT_TRUE(second);
  bool told = false;
  while (const auto message = second->receive(patience())) {
    const auto said = wire::decode(**message);
    told = told || (said && *said && std::holds_alternative<wire::refusal>(**said));
  }
  EXPECT_TRUE(told);
}

TEST_F(Peers, WhoFollowsAnotherDatabaseIsLetGoOnceThatIsKnown) {
  make(2);
  start();
  ASSERT_TRUE(sees(0, 1));
  at(0).set([](member_status& s) { s.system_id = "111"; });
  at(1).set([](member_status& s) { s.system_id = "222"; });
  EXPECT_TRUE(loses(0, 1));
  EXPECT_TRUE(loses(1, 0));
}

TEST_F(Peers, MessagesOfANewerVersionAreIgnored) {
  make(1);
  start();
  const auto over = dial(0, somebody());
  ASSERT_TRUE(over);
  for (const auto* name : {"2/farewell", "2/hello-watch", "2/heartbeat-observer"}) {
    std::ifstream file{std::string{BUSBAR_TEST_DATA} + "/link/" + name, std::ios::binary};
    const std::string bytes{std::istreambuf_iterator<char>{file}, {}};
    ASSERT_TRUE(over->send(bytes, patience()));
  }
  ASSERT_TRUE(over->send(wire::encode(wire::request{9, "are you there"}), patience()));
  for (;;) {
    const auto message = over->receive(patience());
    ASSERT_TRUE(message && *message) << "it hung up";
    const auto said = wire::decode(**message);
    ASSERT_TRUE(said && *said);
    if (const auto* answer = std::get_if<wire::reply>(&**said)) {
      EXPECT_EQ(answer->id, 9u);
      EXPECT_EQ(answer->body, at(0).name() + " says are you there");
      return;
    }
  }
}

TEST_F(Peers, AnAnswerThatNobodyAskedForIsLetGo) {
  make(1);
  start();
  const auto over = dial(0, somebody());
  ASSERT_TRUE(over);
  ASSERT_TRUE(over->send(wire::encode(wire::reply{77, "surprise"}), patience()));
  ASSERT_TRUE(over->send(wire::encode(wire::heartbeat{}), patience()));
  EXPECT_TRUE(eventually([&] { return at(0).sees("somebody:1"); }));
}

TEST_F(Peers, AMemberThatSendsNonsenseIsHungUpOn) {
  make(1);
  start();
  for (const auto& bytes : {std::string{"seven b"}, std::string(64, '\xff'), std::string{}}) {
    const auto over = dial(0, somebody());
    ASSERT_TRUE(over);
    ASSERT_TRUE(over->send(bytes, patience()));
    EXPECT_TRUE(ends(*over));
  }
  const auto over = dial(0, somebody());
  ASSERT_TRUE(over->send(std::string(9u << 20, 'x'), patience()) || true);
  EXPECT_TRUE(ends(*over)) << "more than any message may have";
}

TEST_F(Peers, ALinkThatIsSilentIsGivenUpWithItsQuestions) {
  make(1, [](peers_settings& s) { s.limits.give_up_after = 300ms; });
  start();
  const auto over = dial(0, somebody());
  ASSERT_TRUE(over);
  ASSERT_TRUE(over->send(wire::encode(wire::heartbeat{}), patience()));
  ASSERT_TRUE(eventually([&] { return at(0).sees("somebody:1"); }));
  const auto answer = at(0).ask("somebody:1", "are you there");
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("silent"));
  EXPECT_TRUE(ends(*over));
}

TEST_F(Peers, TheySayGoodbyeInTimeWhileEverythingIsBusy) {
  std::mutex mutex;
  std::vector<std::function<void(std::string)>> kept;
  make(3, [&](peers_settings& s) {
    s.on_request = [&](std::string, std::function<void(std::string)> reply) {
      const std::lock_guard lock{mutex};
      kept.push_back(std::move(reply));
    };
    s.on_channel = [](std::unique_ptr<link> from, purpose, const hello&) {
      while (from->send(std::string(1u << 20, 'x'), deadline::max())) // which nobody reads
        ;
    };
  });
  start();
  ASSERT_TRUE(sees(0, 1) && sees(0, 2));
  const loopback_port nobody;
  auto channel = at(1)->open_channel(at(0).name(), purpose::follow, patience());
  ASSERT_TRUE(channel);
  const int stranger = connect_plainly(at(0).name());
  std::atomic<int> ended{0};
  for (int i = 0; i < 1'000; ++i)
    at(0)->ask(at(1 + i % 2).name(), "x", deadline::max(), [&](result<std::string> said) {
      EXPECT_FALSE(said);
      ++ended;
    });
  const auto began = steady_clock::now();
  at(0)->stop();
  EXPECT_LT(steady_clock::now() - began, 2'500ms) << "less than any of its patience";
  EXPECT_EQ(ended, 1'000);
  at(0)->ask(at(1).name(), "x", patience(), [&](result<std::string> said) { ended += !said; });
  EXPECT_EQ(ended, 1'001) << "answered in the call";
  EXPECT_FALSE(at(0)->open_channel(at(1).name(), purpose::copy, patience()));
  ::close(stranger);
  nodes_.clear(); // they use what is ours
}

} // namespace
} // namespace busbar::cluster
