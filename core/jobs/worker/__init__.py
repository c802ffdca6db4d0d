"""The other process: it owns the model."""
