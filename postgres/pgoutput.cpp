#include "postgres/pgoutput.hpp"
