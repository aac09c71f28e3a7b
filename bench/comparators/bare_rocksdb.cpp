// busbar_bare_rocksdb: how long RocksDB by itself takes to write so many bytes in ascending keys,
// in groups, each synced. Options as by default, without compression, as ours.
#include <CLI/CLI.hpp>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

namespace {

std::string key_of(std::uint64_t number) {
  std::string key(24, '\0');
  for (int i = 0; i < 8; ++i)
    key[static_cast<std::size_t>(23 - i)] = static_cast<char>(number >> (8 * i));
  return key;
}

} // namespace

int main(int argc, char** argv) {
  CLI::App app{"Fills a new RocksDB in ascending keys and prints how long that takes"};
  std::string directory;
  std::uint64_t bytes = 100'000'000;
  std::uint64_t value_bytes = 400;
  std::uint64_t groups = 100;
  app.add_option("--directory", directory, "where; must not exist")->required();
  app.add_option("--bytes", bytes, "of all values")->check(CLI::PositiveNumber);
  app.add_option("--value-bytes", value_bytes, "of one value")->check(CLI::PositiveNumber);
  app.add_option("--groups", groups, "how often to sync")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  rocksdb::Options options;
  options.create_if_missing = true;
  options.compression = rocksdb::kNoCompression;
  rocksdb::DB* opened = nullptr;
  if (const auto status = rocksdb::DB::Open(options, directory, &opened); !status.ok()) {
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    return 1;
  }
  const std::unique_ptr<rocksdb::DB> db{opened};
  std::string value(value_bytes, '\0');
  for (std::size_t i = 0; i < value.size(); ++i)
    value[i] = static_cast<char>(' ' + i % 90);
  rocksdb::WriteOptions synced;
  synced.sync = true;
  const auto values = std::max<std::uint64_t>(1, bytes / value_bytes);
  const auto begin = std::chrono::steady_clock::now();
  std::uint64_t written = 0;
  for (std::uint64_t group = 1; group <= groups; ++group) {
    rocksdb::WriteBatch writes;
    for (; written < values * group / groups; ++written)
      writes.Put(key_of(written), value);
    if (const auto status = db->Write(synced, &writes); !status.ok()) {
      std::fprintf(stderr, "%s\n", status.ToString().c_str());
      return 1;
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("seconds=%.4f bytes=%llu groups=%llu\n", took.count(),
              static_cast<unsigned long long>(values * value_bytes),
              static_cast<unsigned long long>(groups));
}
