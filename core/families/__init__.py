"""What can be said of a model without torch: one folder for each family of models."""
