// postgres/pgoutput.hpp: decodes pgoutput (protocol version 1, messages on) into Frames.
// Format: PostgreSQL documentation, "Logical Replication Message Formats"; spec 1.12.
#pragma once

#include "base/lsn.hpp"
#include "base/result.hpp"
#include "postgres/catalog.hpp"
#include "schema/frame.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace busbar::postgres {

/// A change is `keyOnly` if its old image is missing or holds only the identity (frame.capnp); also
/// if its images together exceed what a frame can hold (512 MB): it then has neither.
///
/// Gathers decoded messages until take() turns them into one Frame. No I/O, no clock; one thread.
class pgoutput_decoder {
public:
  explicit pgoutput_decoder(std::uint64_t term);
  ~pgoutput_decoder();

  /// One message as it stands in an XLogData after its header. errc::corrupt names the tag and what
  /// is wrong; the decoder must then be thrown away with its stream.
  result<void> consume(std::string_view message);

  /// Bytes gathered so far, to decide when to take().
  std::size_t pending_bytes() const noexcept;
  bool in_transaction() const noexcept;

  struct description {
    std::uint32_t oid = 0;
    std::uint32_t xid = 0; ///< Of the transaction that it came with, which may have made the table.
  };
  /// The relations that PostgreSQL has described since the last take(). It repeats descriptions
  /// also when a table was attached or detached, so before take() each has to be given its place
  /// anew.
  std::vector<description> described() const;
  /// What stands above `oid`. A relation that is never given a place keeps the one that it had, at
  /// first none.
  void place(std::uint32_t oid, const std::vector<partition_ancestor>& above);

  /// What the catalog says of the relations described and the tables above them, for the frame.
  void tell(catalog_facts facts);

  /// Everything gathered, as a Frame; empty if there is nothing. May be called in the middle of a
  /// transaction: the rest follows in later frames (Transaction.begins / ends).
  frame take();

  /// End of the last transaction that was decoded to its end.
  lsn last_end() const noexcept;

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace busbar::postgres
