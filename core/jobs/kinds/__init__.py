"""The kinds of work: one file for each, with all that it does at its stations."""
