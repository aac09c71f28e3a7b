// busbar_storage_fill: how long our storage takes to make so many bytes of a shape's log durable,
// in groups, each synced, without PostgreSQL before it: what busbar_bare_rocksdb does with the same
// options. An entry is a transaction of its own, which is stored as one block, or all entries of a
// frame are one transaction.
#include "shapes/entry_block.hpp"
#include "storage/store.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace {

using namespace busbar;

/// What a materializer gathers before it commits, about.
constexpr std::size_t batch_bytes = 64 * 1024;

struct job {
  std::string directory;
  std::uint64_t bytes = 100'000'000;
  std::uint64_t entry_bytes = 400;
  std::uint64_t groups = 100;
  std::uint64_t together = 1;             ///< Entries of one transaction.
  std::uint64_t chunk_bytes = 10'000'000; ///< As BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD.
};

/// An entry as a client gets it: one JSON object of the wanted length.
std::string entry_of(std::size_t length) {
  std::string json{R"({"headers":{"operation":"insert"},"value":{"body":")"};
  const std::string end{R"("}})"};
  for (std::size_t i = 0; json.size() + end.size() < length; ++i)
    json += static_cast<char>('a' + i % 26);
  return json + end;
}

result<std::uint64_t> fill(const job& what, storage::store& store) {
  const auto id = store.next_shape_id();
  if (!id)
    return fail(error{id.error()});
  if (auto begun = store.begin_shapes(std::span{&*id, 1}); !begun)
    return fail(std::move(begun).error());
  const auto entry = entry_of(what.entry_bytes);
  const auto entries = std::max<std::uint64_t>(1, what.bytes / entry.size());
  storage::batch writes;
  block_builder block;
  std::uint64_t chunk = 0;
  std::uint64_t written = 0;
  std::uint64_t tx = 1'000'000;
  for (std::uint64_t group = 1; group <= what.groups; ++group) {
    const auto until = entries * group / what.groups;
    while (written < until) {
      ++tx;
      const auto count = std::min(what.together, until - written);
      for (std::uint64_t op = 0; op < count; ++op) {
        block.add(static_cast<std::int64_t>(op), entry);
        chunk += entry.size();
        const bool is_full = chunk >= what.chunk_bytes;
        if (is_full) {
          chunk = 0;
          writes.mark_boundary(*id, {tx, block.last_op()});
        }
        if (is_full || op + 1 == count || block.size_bytes() >= batch_bytes) {
          writes.append_block(*id, {tx, block.last_op()}, block.finish(chunk));
          block.clear();
        }
      }
      written += count;
      if (writes.size_bytes() >= batch_bytes || written == until)
        if (auto done = store.commit(writes); !done)
          return fail(std::move(done).error());
    }
    if (auto done = store.sync(lsn{tx}); !done)
      return fail(std::move(done).error());
  }
  return entries * entry.size();
}

} // namespace

int main(int argc, char** argv) {
  CLI::App app{"Fills the log of one shape and prints how long that takes"};
  job what;
  app.add_option("--directory", what.directory, "where; must not exist")->required();
  app.add_option("--bytes", what.bytes, "of all entries")->check(CLI::PositiveNumber);
  app.add_option("--entry-bytes", what.entry_bytes, "of one entry")->check(CLI::PositiveNumber);
  app.add_option("--groups", what.groups, "how often to sync")->check(CLI::PositiveNumber);
  app.add_option("--together", what.together, "entries of one transaction")
      ->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  storage::store_settings settings;
  settings.directory = what.directory;
  auto store = storage::store::open(settings);
  const auto begin = std::chrono::steady_clock::now();
  const auto bytes = store ? fill(what, **store) : result<std::uint64_t>{fail(store.error())};
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  if (!bytes) {
    std::fprintf(stderr, "%s\n", bytes.error().message.c_str());
    return 1;
  }
  std::printf("seconds=%.4f bytes=%llu groups=%llu\n", took.count(),
              static_cast<unsigned long long>(*bytes),
              static_cast<unsigned long long>(what.groups));
}
