"""Audition: several seeds of one recipe, each in fewer steps, on one contact sheet to choose from.

The noise is a function of the seed alone. So a run that is finished later, with all its steps, begins with the
noise that its tile began with.
"""

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np

from core.domain.documents import read
from core.domain.progress import Progress
from core.domain.recipe import SEED_BITS, Recipe
from core.domain.request import VideoRequest
from core.domain.video import Origin, read_recipe
from core.errors import BadRequest, ClipError, InvalidFrames
from core.jobs.engine_protocol import Engine
from core.jobs.kinds.kind import Checks, Kind, Rendered, Stores, Tools, Words
from core.jobs.protocol import Head, Outcome
from core.jobs.queue.job import Job
from core.library.media.contact_sheet import columns, contact_sheet, tile
from core.library.storage.contact_sheets import ContactSheets

COUNTS = (4, 6, 9)
FEWEST, MOST = 2, 9
FEWEST_STEPS = 4


@dataclass(frozen=True)
class Audition:
    """The task of an audition: a recipe, the seeds to try, and the steps of each run.

    Attributes:
        recipe: of the finished video; its seed is tried first.
        seeds: in the order of the tiles: the seed of the recipe, and the seeds after it.
        num_inference_steps: of each short run.
        noise_sha256: of the initial noise of each seed, as in a receipt; empty until they have been made.
    """

    recipe: Recipe
    seeds: tuple[int, ...]
    num_inference_steps: int
    noise_sha256: tuple[str, ...] = ()
    kind: ClassVar[str] = "audition"
    parent: ClassVar[str | None] = None
    origin: ClassVar[Origin | None] = None

    @property
    def model(self) -> str:
        """The model it needs."""
        return self.recipe.model

    @property
    def title(self) -> str:
        """Its prompt."""
        return self.recipe.prompt

    def tried(self) -> dict[str, Any]:
        """The seeds, steps and noise as a JSON object, without the recipe."""
        return {"seeds": list(self.seeds), "num_inference_steps": self.num_inference_steps,
                "noise_sha256": list(self.noise_sha256)}

    def document(self) -> dict[str, Any]:
        """The task as a JSON object."""
        return {"kind": self.kind, "recipe": self.recipe.document(), **self.tried()}


@dataclass(frozen=True)
class AskedAudition:
    """An audition, asked for: how many seeds, and how many steps each (None: `short_steps`)."""

    request: VideoRequest
    seeds: int
    num_inference_steps: int | None = None


@dataclass(frozen=True)
class _Tried:
    seeds: tuple[int, ...]
    num_inference_steps: int
    noise_sha256: tuple[str, ...] = ()


def short_steps(num_inference_steps: int) -> int:
    """The steps of a short run where nobody chose: a third, at least `FEWEST_STEPS`, never more than all."""
    return min(num_inference_steps, max(FEWEST_STEPS, math.ceil(num_inference_steps / 3)))


class AuditionWords(Words[Audition]):
    """See `Words`."""

    writing = "Writing the contact sheet"

    def picture(self, task: Audition, job_id: str) -> str:
        """The sheet."""
        return f"audition/{job_id}"

    def opens(self, task: Audition, job_id: str) -> tuple[str, str]:
        """The card with a button for each seed."""
        return "job", job_id

    def label(self, task: Audition) -> str:
        """The kind of work, in words."""
        return "Trying seeds"

    def icon(self, task: Audition) -> str:
        """Tiles."""
        return "grid_view"

    def made_of(self, task: Audition) -> str:
        """`6 seeds at 7 steps`."""
        return f"{len(task.seeds)} seeds at {task.num_inference_steps} steps"

    def canvas(self, task: Audition) -> tuple[int, int]:
        """The size of the sheet."""
        across = columns(len(task.seeds))
        return task.recipe.width * across, task.recipe.height * math.ceil(len(task.seeds) / across)

    def step(self, task: Audition, done: int, total: int) -> str:
        """`Seed 3 of 6, step 4 of 7`."""
        seed = max(0, done - 1) // task.num_inference_steps
        return (f"Seed {seed + 1} of {len(task.seeds)}, step {done - seed * task.num_inference_steps} "
                f"of {task.num_inference_steps}")

    def steps_of(self, task: Audition) -> str:
        """` steps of 6 seeds`."""
        return f" steps of {len(task.seeds)} seeds"


class AuditionKind(Kind[AskedAudition, Audition]):
    """See `Kind`."""

    key = Audition.kind
    words = AuditionWords()

    def read(self, document: dict[str, Any]) -> Audition:
        """See `Kind`."""
        return Audition(read_recipe(document.get("recipe")), **vars(read(_Tried, document)))

    # check

    def check(self, asked: AskedAudition, checks: Checks) -> Audition:
        """See `Kind`. Also raises BadRequest with the field "seeds" or "audition_steps"."""
        recipe, seeds = checks.recipe(asked.request), asked.seeds
        if isinstance(seeds, bool) or not isinstance(seeds, int) or not FEWEST <= seeds <= MOST:
            raise BadRequest("seeds", f"{seeds!r} is not a number of seeds to try: {FEWEST} to {MOST}.")
        full = recipe.num_inference_steps
        steps = short_steps(full) if asked.num_inference_steps is None else asked.num_inference_steps
        if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= full:
            raise BadRequest("audition_steps", f"{steps!r} is not a number of steps to try with: 1 to {full}, "
                                               "the steps of the finished video.")
        return Audition(recipe, tuple((recipe.seed + number) % 2**SEED_BITS for number in range(seeds)), steps)

    def asked(self, task: Audition) -> AskedAudition:
        """See `Kind`."""
        return self.with_recipe(task, task.recipe)

    def with_recipe(self, task: Audition, recipe: Recipe) -> AskedAudition:
        """See `Kind`."""
        return AskedAudition(recipe.request(), len(task.seeds), task.num_inference_steps)

    # run

    def run(self, task: Audition, head: Head, tools: Tools) -> Rendered:
        """Try every seed, one short run after another in the warm model, and put them on one sheet.

        Progress counts the steps of all runs together. A checkpoint holds the finished tiles, and the engine's own
        checkpoint of the next seed. It is not used unless everything is the same.

        Raises:
            InvalidFrames: no seed at all became a picture.
        """
        tiles, sheet, note = try_seeds(task, tools)
        return Rendered(replace(task, noise_sha256=tiles.noise_sha256).document(), sheet, (note,) if note else ())

    # keep

    def keep(self, job: Job, outcome: Outcome, stores: Stores) -> str:
        """Store the contact sheet, and write the finished task into the job."""
        made = self.read(outcome.document)
        if replace(made, noise_sha256=()) != replace(_of(job), noise_sha256=()) or not outcome.file:
            raise ClipError("The worker tried other seeds than those that were asked for; nothing was stored.")
        ContactSheets(stores.data_dir).keep(job.id, outcome.file)
        stores.note(job, made)
        return outcome.reason

    def is_kept(self, job: Job, stores: Stores) -> bool:
        """Whether the sheet is stored: the noise is written into the job only after that."""
        return bool(_of(job).noise_sha256)


def _of(job: Job) -> Audition:
    assert isinstance(job.task, Audition)
    return job.task


@dataclass(frozen=True)
class Tiles:
    """The tiles made so far: for each seed the hash of its noise and its small frames.

    Attributes:
        noise_sha256: "" where the model made no picture.
        clips: uint8 (F, h, w, 3) each, None where the model made no picture.
    """

    noise_sha256: tuple[str, ...] = ()
    clips: tuple[np.ndarray | None, ...] = ()

    def and_one(self, noise_sha256: str, clip: np.ndarray | None) -> "Tiles":
        """These tiles and one more."""
        return Tiles((*self.noise_sha256, noise_sha256), (*self.clips, clip))


def try_seeds(task: Audition, tools: Tools) -> tuple[Tiles, bytes, str]:
    """Make the tiles and the contact sheet (animated WebP), with a sentence for the person or "".

    Raises:
        InvalidFrames: no seed at all became a picture. StudioError; Cancelled and Paused from the callbacks.
    """
    engine, recipe, on_progress = tools.engine, task.recipe, tools.on_progress
    engine.load(recipe.model, on_progress)
    origin = _origin(engine, task)
    tiles, inside = _unpack(tools.checkpoint, origin)
    problem = ""
    steps, total = task.num_inference_steps, len(task.seeds) * task.num_inference_steps
    for number in range(len(tiles.clips), len(task.seeds)):
        one = replace(recipe, seed=task.seeds[number], num_inference_steps=steps)
        before, so_far = number * steps, tiles

        def report(progress: Progress, before: int = before) -> None:
            done = {"denoising": progress.done, "decoding": steps}.get(progress.phase, 0)
            on_progress(Progress("denoising", before + done, total))

        def keep(step: int, make: Callable[[], bytes], before: int = before, so_far: Tiles = so_far) -> None:
            tools.on_checkpoint(before + step, lambda: _pack(so_far, origin, make()))

        try:
            made = engine.generate(one, report, inside, keep)
            tiles = tiles.and_one(made.receipt.noise_sha256, tile(made.frames))
        except InvalidFrames as error:
            problem, tiles = str(error), tiles.and_one("", None)
        inside = b""
        on_progress(Progress("denoising", before + steps, total, _so_far(tiles, task)))
    empty = [str(seed) for seed, clip in zip(task.seeds, tiles.clips, strict=True) if clip is None]
    if len(empty) == len(task.seeds):
        raise InvalidFrames(problem)
    on_progress(Progress("encoding"))
    sheet = contact_sheet(tiles.clips, recipe.fps)
    note = f"After {steps} steps there is no picture yet of seed {', '.join(empty)}." if empty else ""
    return tiles, sheet, note


def _so_far(tiles: Tiles, task: Audition) -> bytes | None:
    if all(clip is None for clip in tiles.clips):
        return None
    waiting = (None,) * (len(task.seeds) - len(tiles.clips))
    return contact_sheet((*tiles.clips, *waiting), task.recipe.fps, method=0)


def _origin(engine: Engine, task: Audition) -> str:
    """A hash of everything that decides the tiles. Tiles of two origins are never mixed."""
    warm = asdict(engine.warm) if engine.warm else {}
    document = [task.recipe.document(), task.tried(), warm, asdict(engine.environment())]
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _pack(tiles: Tiles, origin: str, inside: bytes) -> bytes:
    """Tiles, and the engine's own checkpoint of the next seed."""
    arrays = {f"clip_{number}": clip for number, clip in enumerate(tiles.clips) if clip is not None}
    out = io.BytesIO()
    arrays |= {"about": np.array(json.dumps([origin, tiles.noise_sha256])), "inside": np.frombuffer(inside, np.uint8)}
    np.savez(out, allow_pickle=False, **arrays)
    return out.getvalue()


def _unpack(checkpoint: bytes, origin: str) -> tuple[Tiles, bytes]:
    """Read the bytes of `_pack`. Nothing if they are damaged or belong to something else than this audition."""
    if not checkpoint:
        return Tiles(), b""
    try:
        with np.load(io.BytesIO(checkpoint), allow_pickle=False) as file:
            found, noise_sha256 = json.loads(str(file["about"]))
            if found != origin:
                return Tiles(), b""
            inside = file["inside"].tobytes()
            clips = tuple(file[f"clip_{number}"] if noise else None for number, noise in enumerate(noise_sha256))
    except (ValueError, KeyError, OSError, zipfile.BadZipFile):
        return Tiles(), b""
    return Tiles(tuple(noise_sha256), clips), inside
