"""The shared fixtures: a models folder with a real, tiny model in it."""

from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Warnings are errors, except those of the pinned libraries that we cannot mend."""
    # diffusers' schedulers call np.array(tensor), and torch's __array__ does not know NumPy 2's copy keyword
    config.addinivalue_line("filterwarnings", "ignore:__array__ implementation doesn't accept:DeprecationWarning")


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder that holds one real model, "tiny" (32×32 frames, random weights). Read only."""
    import torch
    from tiny import make_checkpoint

    torch.set_num_threads(1)  # its matrices are so small that threads only wait for each other
    folder = tmp_path_factory.mktemp("models")
    make_checkpoint(folder / "tiny")
    return folder
