"""The one thread that runs the queue and writes the library."""
