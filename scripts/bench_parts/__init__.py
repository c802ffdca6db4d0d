"""The parts of scripts/bench. Each has `measure(models_dir, repeats) -> dict` of named figures."""
