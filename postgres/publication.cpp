#include "postgres/publication.hpp"
