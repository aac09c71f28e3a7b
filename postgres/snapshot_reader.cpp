#include "postgres/snapshot_reader.hpp"
