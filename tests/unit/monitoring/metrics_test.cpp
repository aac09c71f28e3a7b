#include "monitoring/exposer.hpp"
#include "monitoring/metrics.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <prometheus/text_serializer.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>

namespace busbar::monitoring {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string text_of(const metrics& m) {
  return prometheus::TextSerializer{}.Serialize(m.registry()->Collect());
}

/// The series alone, on loopback.
result<std::unique_ptr<exposer>> start(const metrics& m, std::uint16_t port = 0) {
  return exposer::start("127.0.0.1", port,
                        {{"/metrics", "text/plain", [&m] { return text_of(m); }}});
}

/// One HTTP/1.0 request over loopback, so that the server's close ends the answer.
std::string get(std::uint16_t port, const std::string& path) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  const timeval deadline{10, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
    if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) ==
        static_cast<ssize_t>(request.size())) {
      char buffer[4096];
      for (ssize_t n = 0; (n = ::recv(fd, buffer, sizeof buffer, 0)) > 0;)
        answer.append(buffer, static_cast<std::size_t>(n));
    }
  }
  ::close(fd);
  return answer;
}

TEST(Metrics, SeriesWithoutLabelsExistBeforeAnythingHasHappened) {
  const metrics m;
  const auto text = text_of(m);
  EXPECT_THAT(text, HasSubstr("\nbusbar_replication_transactions_total 0\n"));
  EXPECT_THAT(text, HasSubstr("\nbusbar_shapes 0\n"));
  EXPECT_THAT(text, HasSubstr("\nbusbar_leader_term 0\n"));
}

TEST(Metrics, AdmissionClassesAreSeriesOfOneFamily) {
  metrics m;
  m.admission_initial.Set(3);
  m.admission_existing.Set(7);
  m.admission_rejected_existing.Increment();
  const auto text = text_of(m);
  EXPECT_THAT(text, HasSubstr("busbar_admission_in_use{class=\"initial\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("busbar_admission_in_use{class=\"existing\"} 7\n"));
  EXPECT_THAT(text, HasSubstr("busbar_admission_rejected_total{class=\"initial\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("busbar_admission_rejected_total{class=\"existing\"} 1\n"));
}

TEST(Metrics, DurationsAreCountedFromOneMillisecondToTenMinutes) {
  metrics m;
  m.snapshot_seconds.Observe(0.0009);
  m.snapshot_seconds.Observe(599);
  m.snapshot_seconds.Observe(601);
  const auto text = text_of(m);
  EXPECT_THAT(text, HasSubstr("busbar_snapshot_seconds_bucket{le=\"0.001\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("busbar_snapshot_seconds_bucket{le=\"600\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("busbar_snapshot_seconds_bucket{le=\"+Inf\"} 3\n"));
}

TEST(Metrics, TwoSetsOfMetricsShareNothing) {
  metrics one;
  const metrics other;
  one.shapes.Set(5);
  EXPECT_THAT(text_of(other), HasSubstr("\nbusbar_shapes 0\n"));
}

TEST(Exposer, ServesTheSeriesToAScraper) {
  metrics m;
  m.http_requests.Add({{"route", "shape"}, {"status", "200"}}).Increment(4);
  auto server = start(m);
  ASSERT_TRUE(server) << server.error().message;
  ASSERT_NE((*server)->port(), 0);
  const auto answer = get((*server)->port(), "/metrics");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer, HasSubstr("busbar_http_requests_total{route=\"shape\",status=\"200\"} 4\n"));
}

TEST(Exposer, AnswersNothingButMetrics) {
  const metrics m;
  auto server = start(m);
  ASSERT_TRUE(server) << server.error().message;
  const auto answer = get((*server)->port(), "/");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(answer, Not(HasSubstr("busbar_")));
}

TEST(Exposer, ATakenPortIsOneLineThatNamesTheSetting) {
  const metrics m;
  auto first = start(m);
  ASSERT_TRUE(first) << first.error().message;
  auto second = start(m, (*first)->port());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, errc::misconfigured);
  EXPECT_EQ(second.error().field, "BUSBAR_METRICS_PORT");
  EXPECT_THAT(second.error().message, HasSubstr(std::to_string((*first)->port())));
  EXPECT_THAT(second.error().message, Not(HasSubstr("\n")));
}

TEST(Exposer, EndsPromptly) {
  const metrics m;
  auto server = start(m);
  ASSERT_TRUE(server) << server.error().message;
  EXPECT_THAT(get((*server)->port(), "/metrics"), HasSubstr("busbar_shapes")); // It is in its loop.
  const auto begin = std::chrono::steady_clock::now();
  server->reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds{1500});
}

TEST(Exposer, ThePortIsFreeAgainAfterItsEnd) {
  const metrics m;
  auto first = start(m);
  ASSERT_TRUE(first) << first.error().message;
  const auto port = (*first)->port();
  first->reset();
  const auto again = start(m, port);
  EXPECT_TRUE(again) << again.error().message;
}

} // namespace
} // namespace busbar::monitoring
