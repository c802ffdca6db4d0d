"""The part of the library that holds the truth: the files on the disk."""
