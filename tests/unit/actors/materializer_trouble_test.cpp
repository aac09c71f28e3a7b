// What a disk that refuses for a while does to a MATERIALIZER.
#include "tests/unit/actors/materializer_fixture.hpp"

#include <gmock/gmock.h>

namespace busbar {
namespace {

using ::testing::Contains;
using testing::frame_builder;
using ::testing::Not;

class MaterializerTroubleTest : public testing::MaterializerTest {
protected:
  void SetUp() override {
    auto with_fault = settings();
    with_fault.refuses = [this] { return refuses_; };
    auto opened = storage::store::open(with_fault);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
    start();
  }
  void idle(std::uint64_t position) {
    caf::anon_send(materializer(), idle_atom_v, lsn{position});
    run();
  }
  bool refuses_ = false;
};

// F01, F12
TEST_F(MaterializerTroubleTest, NothingIsReportedWhileSomethingIsUnwrittenWhateverItCameFrom) {
  const auto shape = live_shape(1);
  apply(described().begin(200, 120).insert(oid, row(1)).commit());
  auto facts = testing::facts_of(*shape->definition().table);
  facts.table.columns[1].not_null = !facts.table.columns[1].not_null;
  refuses_ = true;
  catalog_facts found;
  found.tables = {std::make_shared<const table_facts>(facts)};
  found.seen = {.xmin = 130, .xmax = 130, .xip = {}};
  note(found);
  idle(500);
  EXPECT_THAT(applied_, Not(Contains(lsn{500})));
  refuses_ = false;
  retry();
  idle(600);
  EXPECT_EQ(applied_.back(), lsn{600});
}

// F01, F12
TEST_F(MaterializerTroubleTest, AFrameThatIsRefusedIsWrittenAndReportedLater) {
  const auto shape = live_shape(1);
  const auto before = applied_.size();
  refuses_ = true;
  apply(described().begin(200, 120).insert(oid, row(1)).commit());
  apply(frame_builder{}.begin(300, 121).insert(oid, row(2)).commit());
  idle(500);
  EXPECT_EQ(applied_.size(), before);
  EXPECT_EQ(log_of(shape).size(), 0u);
  refuses_ = false;
  retry();
  EXPECT_EQ(log_of(shape).size(), 2u);
  EXPECT_GT(applied_.size(), before);
  crash();
  EXPECT_EQ(log_of(shapes_.at(0)).size(), 2u);
}

} // namespace
} // namespace busbar
