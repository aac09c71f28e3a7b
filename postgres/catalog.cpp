#include "postgres/catalog.hpp"
