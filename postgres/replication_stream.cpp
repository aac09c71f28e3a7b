#include "postgres/replication_stream.hpp"
