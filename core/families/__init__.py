"""The torch-free half of the families of models: one folder for each."""
