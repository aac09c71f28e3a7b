#include "http/event_loop.hpp"
#include "http/socket_writer.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace busbar::http {
namespace {

class SocketWriter : public testing::Test {
protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    ours_ = owned_fd{ends[0]};
    theirs_ = owned_fd{ends[1]};
  }

  /// Two ends, of which the first does not block; the kernel's buffers grow to megabytes.
  static std::pair<owned_fd, owned_fd> tcp_pair() {
    const owned_fd listener{::socket(AF_INET, SOCK_STREAM, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const name = reinterpret_cast<sockaddr*>(&address);
    owned_fd sender{::socket(AF_INET, SOCK_STREAM, 0)};
    EXPECT_EQ(::bind(listener.get(), name, size), 0);
    EXPECT_EQ(::listen(listener.get(), 1), 0);
    EXPECT_EQ(::getsockname(listener.get(), name, &size), 0);
    EXPECT_EQ(::connect(sender.get(), name, size), 0);
    EXPECT_EQ(::fcntl(sender.get(), F_SETFL, O_NONBLOCK), 0);
    owned_fd receiver{::accept(listener.get(), nullptr, nullptr)};
    return {std::move(sender), std::move(receiver)};
  }

  std::string read_all() {
    std::string text;
    std::array<char, 65536> buffer;
    while (true) {
      const auto count = ::recv(theirs_.get(), buffer.data(), buffer.size(), 0);
      if (count <= 0)
        return text;
      text.append(buffer.data(), static_cast<std::size_t>(count));
    }
  }

  owned_fd ours_;
  owned_fd theirs_;
  held_pieces held_; // before who holds
  socket_writer writer_;
  std::uint64_t sent_ = 0;
};

TEST_F(SocketWriter, SendsFragmentsInOrder) {
  const auto body = share("body");
  const std::array<fragment, 4> fragments{{{"head "}, {""}, {*body, &body}, {" tail"}}};
  EXPECT_EQ(writer_.send(ours_.get(), fragments, sent_, held_), socket_writer::outcome::sent);
  EXPECT_TRUE(writer_.idle());
  EXPECT_EQ(read_all(), "head body tail");
  EXPECT_EQ(sent_, 14u);
}

TEST_F(SocketWriter, WhatDoesNotFitIsSentLaterUnchanged) {
  std::string expected;
  std::string received;
  for (int i = 0; i < 40; ++i) {
    std::string head = "head" + std::to_string(i);
    const auto body = share(std::string(100'000, static_cast<char>('a' + i % 26)));
    expected += head + *body;
    const std::array<fragment, 2> fragments{{{head}, {*body, &body}}};
    ASSERT_NE(writer_.send(ours_.get(), fragments, sent_, held_), socket_writer::outcome::broken);
    head.assign(head.size(), '#'); // the caller's buffer is its own again
  }
  EXPECT_FALSE(writer_.idle());
  EXPECT_EQ(writer_.backlog_bytes() + sent_, expected.size());
  for (int turns = 0; !writer_.idle() && turns < 1000; ++turns) {
    received += read_all();
    ASSERT_NE(writer_.flush(ours_.get(), sent_), socket_writer::outcome::broken);
  }
  received += read_all();
  EXPECT_TRUE(received == expected);
  EXPECT_EQ(sent_, expected.size());
}

TEST_F(SocketWriter, SharedBytesAreNotCopied) {
  const auto body = share(std::string(4'000'000, 'x'));
  const std::array<fragment, 1> fragments{{{*body, &body}}};
  EXPECT_EQ(writer_.send(ours_.get(), fragments, sent_, held_), socket_writer::outcome::stalled);
  EXPECT_EQ(body.use_count(), 2);
  writer_.drop();
  EXPECT_EQ(body.use_count(), 1);
}

TEST_F(SocketWriter, ALargeBodyLeavesTurnsToOthersHoweverMuchTheKernelWouldTake) {
  const auto [sender, receiver] = tcp_pair();
  std::atomic<std::size_t> received{0};
  std::thread reader{[&received, fd = receiver.get()] {
    std::vector<char> buffer(1 << 20);
    for (ssize_t count = 1; count > 0; received += static_cast<std::size_t>(count))
      count = ::recv(fd, buffer.data(), buffer.size(), 0);
  }};
  body_files files{16 << 20};
  const auto body = share(std::string(8'000'000, 'x'));
  for (const bool in_file : {false, true}) {
    body_file file;
    for (int i = 0; in_file && i < 4; ++i)
      file = files.find(body);
    ASSERT_EQ(bool(file), in_file);
    const auto before = sent_;
    const std::array<fragment, 2> fragments{{{"head"}, {*body, &body, file}}};
    auto outcome = writer_.send(sender.get(), fragments, sent_, held_);
    int paused = 0;
    for (auto last = before; !writer_.idle();) {
      ASSERT_NE(outcome, socket_writer::outcome::broken);
      EXPECT_LE(sent_ - last, socket_writer::turn_bytes_max);
      EXPECT_EQ(outcome == socket_writer::outcome::paused,
                sent_ - last == socket_writer::turn_bytes_max);
      paused += outcome == socket_writer::outcome::paused ? 1 : 0;
      pollfd ready{sender.get(), POLLOUT, 0};
      ASSERT_EQ(::poll(&ready, 1, 10'000), 1);
      last = sent_;
      outcome = writer_.flush(sender.get(), sent_);
    }
    EXPECT_EQ(outcome, socket_writer::outcome::sent);
    EXPECT_EQ(sent_ - before, body->size() + 4);
    EXPECT_GT(paused, 0);
  }
  ::shutdown(sender.get(), SHUT_WR);
  reader.join();
  EXPECT_EQ(received.load(), sent_);
}

// F55
TEST_F(SocketWriter, WhatWaitsIsCountedOnceForAllWhoHoldIt) {
  const auto body = share(std::string(4'000'000, 'x'));
  const std::array<fragment, 1> fragments{{{*body, &body}}};
  EXPECT_EQ(writer_.send(ours_.get(), fragments, sent_, held_), socket_writer::outcome::stalled);
  EXPECT_EQ(held_.bytes(), body->size());
  socket_writer other;
  EXPECT_EQ(other.send(ours_.get(), fragments, sent_, held_), socket_writer::outcome::stalled);
  EXPECT_EQ(held_.bytes(), body->size());
  writer_.drop();
  EXPECT_EQ(held_.bytes(), body->size());
  other.drop();
  EXPECT_EQ(held_.bytes(), 0u);
}

TEST_F(SocketWriter, WhatLiesInFilesArrivesInOrderHoweverOftenItStalls) {
  body_files files{1 << 20};
  std::vector<shared_bytes> bodies;
  for (char c = 'a'; c < 'd'; ++c) {
    bodies.push_back(share(std::string(200'000, c)));
    for (int i = 0; i < 3; ++i)
      files.find(bodies.back());
  }
  std::string expected;
  std::string received;
  for (int i = 0; i < 40; ++i) {
    const std::string head = "head" + std::to_string(i);
    const auto& body = bodies[static_cast<std::size_t>(i) % bodies.size()];
    const auto file = files.find(body);
    ASSERT_TRUE(file);
    const std::string tail = i % 3 == 0 ? "]" : i % 3 == 1 ? "]more" : ""; // the file ends with ]
    expected += head + *body + tail;
    const std::array<fragment, 3> fragments{{{head}, {*body, &body, file}, {tail}}};
    ASSERT_NE(writer_.send(ours_.get(), fragments, sent_, held_), socket_writer::outcome::broken);
    if (i % 4 == 3)
      received += read_all();
    ASSERT_NE(writer_.flush(ours_.get(), sent_), socket_writer::outcome::broken);
  }
  for (int turns = 0; !writer_.idle() && turns < 1000; ++turns) {
    received += read_all();
    ASSERT_NE(writer_.flush(ours_.get(), sent_), socket_writer::outcome::broken);
  }
  received += read_all();
  EXPECT_TRUE(received == expected);
  EXPECT_EQ(sent_, expected.size());
}

TEST_F(SocketWriter, AClosedPeerIsBroken) {
  theirs_.reset();
  const std::array<fragment, 1> fragments{{{"x"}}};
  EXPECT_EQ(writer_.send(ours_.get(), fragments, sent_, held_), socket_writer::outcome::broken);
}

} // namespace
} // namespace busbar::http
