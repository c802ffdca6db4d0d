"""Make the videos of `data/examples` again with the shipped weights: `python -m scripts.demo_model.examples`.

The studio makes them like any other video. The old ones are removed only when all the new ones are there.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from core.library.examples import FOLDER

SHOWN = {
    "a red ball bouncing on a white background": 1,
    "shooting stars over a night sky": 2,
    "snow over a neon city at night": 1,
    "a campfire at night": 1,
    "a boat with a white sail on the sea": 1,
    "a yellow star spinning on a navy background": 1,
}
"""Prompt and seed of each example."""


def main() -> None:
    """Make them one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        for prompt, seed in SHOWN.items():
            command = [sys.executable, "-m", "core", "--json", "--data-dir", folder, "generate", prompt]
            done = subprocess.run([*command, "--seed", str(seed)], check=True, capture_output=True, text=True)
            print(prompt, json.loads(done.stdout)["id"], flush=True)
        made = [path for path in Path(folder, "library").rglob("*") if path.suffix in {".mp4", ".json"}]
        assert len(made) == 2 * len(SHOWN), made
        for path in FOLDER.iterdir():
            path.unlink()
        for path in made:
            shutil.copy2(path, FOLDER / path.name)


if __name__ == "__main__":
    main()
