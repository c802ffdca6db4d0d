"""The queue: SQLite and its rows."""
