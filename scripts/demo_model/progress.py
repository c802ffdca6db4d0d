"""The progress of a training: one state file for each stage, replaced by rename, and one log.

The randomness of a step depends only on (seed, stage, step), so a state file needs no generator states. A run that was
killed and resumes from its last state makes exactly the weights of an uninterrupted run.
"""

import json
import time
from pathlib import Path
from typing import Any

import torch


class Progress:
    """The state and the log of one stage of a training, in a working directory."""

    def __init__(self, work: Path, stage: str) -> None:
        """Set the paths in `work`; no file is read or written yet."""
        self.work, self.stage = work, stage
        self.state_path = work / f"{stage}.pt"
        self.log_path = work / "log.jsonl"
        self.begun = time.monotonic()
        self.spent = 0.0

    def load(self) -> dict[str, Any] | None:
        """Return the stage's last saved state, or None at its first start."""
        if not self.state_path.exists():
            return None
        state = torch.load(self.state_path, map_location="cpu", weights_only=True)
        self.spent = state["seconds"]
        return state

    def seconds(self) -> float:
        """Wall-clock seconds of this stage, over all its runs."""
        return self.spent + time.monotonic() - self.begun

    def save(self, state: dict[str, Any]) -> None:
        """Replace the stage's state file in one rename."""
        part = self.state_path.with_suffix(".part")
        torch.save({**state, "seconds": self.seconds()}, part)
        part.replace(self.state_path)

    def log(self, step: int, **numbers: float) -> None:
        """Print a line and append it to the log."""
        row = {"stage": self.stage, "step": step, "seconds": round(self.seconds(), 1)}
        row |= {name: round(value, 5) for name, value in numbers.items()}
        print(" ".join(f"{name}={value}" for name, value in row.items()), flush=True)
        with self.log_path.open("a") as log:
            log.write(json.dumps(row) + "\n")


def one_cycle(step: int, steps: int, warm: float = 0.05, floor: float = 0.02) -> float:
    """Share of the peak learning rate at a step: a linear rise, then half a cosine down to `floor`."""
    position = step / max(1, steps)
    if position < warm:
        return max(position / warm, 0.02)
    turn = torch.cos(torch.tensor((position - warm) / (1 - warm) * torch.pi))
    return floor + (1 - floor) * 0.5 * (1 + float(turn))


def level_then_down(step: int, steps: int, warm: int = 100, last: float = 0.25) -> float:
    """Share of the peak learning rate: a short rise, level, then a straight fall over the `last` share."""
    fall = (steps - step) / max(1.0, last * steps)
    return min(1.0, (step + 1) / min(warm, max(1, steps // 4)), max(fall, 0.01))
