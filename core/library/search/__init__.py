"""The part of the library that can be rebuilt at any time: the index and the search in it."""
