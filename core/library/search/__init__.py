"""The half of the library that may be thrown away: the index, and what is found in it."""
