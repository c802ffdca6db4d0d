"""The parts of scripts/bench: each has `measure(models_dir, repeats) -> dict` of named figures."""
