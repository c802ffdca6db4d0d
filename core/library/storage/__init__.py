"""The half of the library that is the truth: files on the disk."""
