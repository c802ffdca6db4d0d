"""Where workers run: one file for each way."""
