"""What tests of several rooms share: a models folder with a real, tiny checkpoint in it."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder that holds one real model, "tiny" (32×32 frames, random weights). Read only."""
    from tiny import make_checkpoint

    folder = tmp_path_factory.mktemp("models")
    make_checkpoint(folder / "tiny")
    return folder
