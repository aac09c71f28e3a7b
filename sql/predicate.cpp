#include "sql/predicate.hpp"
