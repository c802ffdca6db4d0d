"""What can be said of a request before it runs."""
