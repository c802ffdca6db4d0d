"""A small honest engine without torch: it draws its frames from the seed. Prompts tell it to misbehave.

Run as a program it is a worker process like `python -m core.jobs.worker`, up in half a second.
"""

import hashlib
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.domain.progress import OnCheckpoint, OnFrames, OnProgress, Progress
from core.domain.receipt import Environment, LoadedModel, Receipt
from core.domain.recipe import Recipe
from core.domain.resources import Resources
from core.domain.task import Task
from core.domain.video import REMIX, Origin, Runtime, new_id
from core.errors import InvalidFrames, ModelUnavailable, OutOfMemory, WorkerLost
from core.jobs.kinds.generate import Generate
from core.jobs.protocol import Head
from core.jobs.worker.checkpoint_cadence import Cadence

AT_ONCE = Cadence(steps=1, seconds=0.0)
MACHINE = Environment("cpu", "A drawing hand", "float32", "none", "resident", 1, {"studio": "0.1.0"})
RECIPE = Recipe("a drawing", "", "drawn", 4, 3, 5.0, 8, 7, 32, 32, "ddim", "exact")
TASK = Generate(RECIPE)


@dataclass(frozen=True)
class Drawing:
    """The result of an engine."""

    frames: np.ndarray
    receipt: Receipt
    runtime: Runtime
    notes: tuple[str, ...] = ()


class DrawnEngine:
    """The signature of `core.diffusion.engine.Engine`; `folder` remembers things across processes."""

    def __init__(self, folder: Path) -> None:
        self.loaded = ""
        self._folder = folder

    @property
    def warm(self) -> LoadedModel | None:
        return LoadedModel(self.loaded, "folder", "", "0" * 64) if self.loaded else None

    def environment(self) -> Environment:
        return MACHINE

    def resources(self) -> Resources:
        return Resources(8 * 10**9, 6 * 10**9, 10**11)

    def load(self, key: str, on_progress: OnProgress) -> None:
        if key == self.loaded:
            return
        self.loaded = ""
        for done in range(20 if key == "large" else 1):
            on_progress(Progress("loading", done, 20))
            time.sleep(0.02)
        if key == "missing":
            raise ModelUnavailable("The model is not on this machine.")
        self.loaded = key

    def prepare(self, alive: Callable[[], None]) -> None:
        """There is nothing to prepare. With the model "prepared" it lasts until `alive` raises."""
        while self.loaded == "prepared":
            alive()
            (self._folder / "preparing").touch()
            time.sleep(0.01)

    def generate(self, recipe: Recipe, on_progress: OnProgress, checkpoint: bytes = b"",
                 on_checkpoint: OnCheckpoint = lambda step, make: None,
                 on_frames: OnFrames = lambda frames: None) -> Drawing:
        self.load(recipe.model, on_progress)
        begun, remark = self._go_on(recipe, checkpoint)
        for step in range(begun + 1, recipe.num_inference_steps + 1):
            if step == 2:
                self._misbehave(recipe.prompt)
            self._count(recipe, step)
            on_progress(Progress("denoising", step, recipe.num_inference_steps, b"RIFF picture %d" % step))
            on_checkpoint(step, lambda step=step: f"{recipe.seed} {step}".encode())
            time.sleep(0.05 if "slowly" in recipe.prompt else 0.002)
        count = recipe.num_frames + ("one frame more" in recipe.prompt)
        steps = np.random.default_rng(recipe.seed).integers(1, 5, (count, 1, 1, 3))
        ramp = np.add.outer(np.arange(recipe.height), np.arange(recipe.width))[None, :, :, None]
        frames = (ramp * steps % 256).astype(np.uint8)
        if "badly" in recipe.prompt:
            frames = frames * np.float32(np.nan)
        for part in (frames[:0], frames[:1], frames[1:]):
            on_frames(part)
        digest = hashlib.sha256(frames.tobytes()).hexdigest()
        receipt = Receipt(digest, digest, recipe.model, "folder", "", "0" * 64, {"seed": recipe.seed}, MACHINE)
        notes = ("The prompt is a joke.",) if "joke" in recipe.prompt else ()
        return Drawing(frames, receipt, Runtime(denoise_s=0.01, total_s=0.01), (*notes, *remark))

    def _go_on(self, recipe: Recipe, checkpoint: bytes) -> tuple[int, tuple[str, ...]]:
        if not checkpoint:
            return 0, ()
        seed, _, step = checkpoint.decode("ascii", "replace").partition(" ")
        if seed != str(recipe.seed) or not step.isdigit():
            return 0, ("The job began again with its first step: its checkpoint was damaged.",)
        return int(step), (f"Continued after step {step}.",)

    def _count(self, recipe: Recipe, step: int) -> None:
        """Every step ever made, in the order they were made, by any process."""
        if self._folder.is_dir():
            with (self._folder / f"steps of {recipe.seed}").open("a") as file:
                file.write(f"{step}\n")

    def _misbehave(self, prompt: str) -> None:
        if "raise" in prompt:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
        if "no memory" in prompt:
            raise OutOfMemory("The memory ran out.")
        if "black" in prompt:
            raise InvalidFrames("The model produced a clip of one flat colour.")
        if "die" in prompt:
            os.kill(os.getpid(), signal.SIGKILL)
        if "lose the GPU" in prompt and self._first_time("gpu"):
            raise WorkerLost("The GPU stopped with an error.")
        if "print" in prompt:
            print("a line on stdout")
            os.write(1, b"another, below Python\n")
        if "hang" in prompt:
            time.sleep(600)

    def _first_time(self, name: str) -> bool:
        try:
            (self._folder / name).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def main() -> None:
    from core.jobs.worker.process import serve
    from core.jobs.worker.renderer import Renderer
    from core.settings import Settings

    folder = Settings.from_env().data_dir
    serve(lambda: Renderer(DrawnEngine(folder), folder), AT_ONCE)


def command() -> tuple[str, ...]:
    """How to start this file as a worker."""
    return (sys.executable, "-c", f"import sys; sys.path[:0] = ['', {str(Path(__file__).parent)!r}]; "
                                  "import drawn; drawn.main()")


def video_of(recipe: Recipe, parent: str | None = None, relation: str = REMIX) -> Generate:
    """The task of a video; of its parent it stores only the relation."""
    return Generate(recipe, parent, Origin(relation) if parent else None)


def head(task: Task = TASK, **changes: object) -> dict[str, object]:
    """The head that `start` needs beside the task."""
    return replace(Head(new_id(), "2026-11-22T08:13:01.000+00:00", model=task.model), **changes).document()


def alive(pid: int) -> bool:
    """Whether a process still runs; one that has ended and was not collected by its parent does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def until(condition, seconds: float = 60.0, every: float = 0.01):
    """Wait for `condition()` to be true and return it; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(every)
    return found
