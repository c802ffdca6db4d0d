"""Generate: a recipe becomes a video. A regeneration uses the recipe of its parent, and the two are compared."""

import time
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from core.domain.documents import read
from core.domain.progress import Progress
from core.domain.recipe import Recipe
from core.domain.request import VideoRequest
from core.domain.verdict import EQUIVALENT_PSNR_DB, Verdict, verdict
from core.domain.video import REGENERATE, REMIX, Origin, Result, Video, read_recipe
from core.errors import ClipError, StudioError
from core.faults import reach
from core.jobs.kinds.kind import Checks, Kind, Rendered, Stores, Tools, Words
from core.jobs.protocol import Head, Outcome
from core.jobs.queue.job import Job
from core.library.library import Library
from core.library.media import clip, metrics
from core.library.media.clip import finished
from core.library.media.encoding import Encoding
from core.library.sidecar import comment_of, video_of

MAX_PSNR_DB = 100.0  # two files can decode to the same frames although the frames before encoding differed


@dataclass(frozen=True)
class Generate:
    """A video to be made.

    Attributes:
        parent: id of the video it regenerates or remixes, or None; origin: the facts it stores about its parent.
    """

    recipe: Recipe
    parent: str | None = None
    origin: Origin | None = None
    kind: ClassVar[str] = "generate"

    @property
    def model(self) -> str:
        """The model it needs."""
        return self.recipe.model

    @property
    def title(self) -> str:
        """Its prompt."""
        return self.recipe.prompt

    @property
    def relation(self) -> str:
        """`REGENERATE`, `REMIX`, or "" without a parent."""
        return self.origin.kind if self.origin else ""

    def document(self) -> dict[str, Any]:
        """The task as a JSON object."""
        return {"kind": self.kind, "recipe": self.recipe.document(), "parent": self.parent,
                "origin": self.origin.document() if self.origin else None}


@dataclass(frozen=True)
class AskedVideo:
    """A video, asked for. `relation` to its parent: `REGENERATE` or `REMIX`."""

    request: VideoRequest
    parent: str | None = None
    relation: str = REMIX


@dataclass(frozen=True)
class _Parent:
    parent: str | None = None


class GenerateWords(Words[Generate]):
    """See `Words`."""

    def label(self, task: Generate) -> str:
        """The kind of work, in words."""
        return {REGENERATE: "Regenerating", REMIX: "Remix"}.get(task.relation, "")

    def icon(self, task: Generate) -> str:
        """An arrow, or a pen."""
        return {REGENERATE: "replay", REMIX: "edit"}.get(task.relation, "")

    def made_of(self, task: Generate) -> str:
        """Its seed."""
        return f"seed {task.recipe.seed}"

    def canvas(self, task: Generate) -> tuple[int, int]:
        """The size of a frame."""
        return task.recipe.width, task.recipe.height

    def after_steps(self, task: Generate) -> float:
        """Decoding and encoding."""
        return 0.15


class GenerateKind(Kind[AskedVideo, Generate]):
    """See `Kind`."""

    key = Generate.kind
    words = GenerateWords()

    def read(self, document: dict[str, Any]) -> Generate:
        """See `Kind`."""
        origin = document.get("origin")
        return Generate(read_recipe(document.get("recipe")), read(_Parent, document).parent,
                        Origin.from_document(origin) if origin else None)

    # check

    def check(self, asked: AskedVideo, checks: Checks) -> Generate:
        """See `Kind`."""
        return Generate(checks.recipe(asked.request), asked.parent, checks.origin(asked.parent, asked.relation))

    def asked(self, task: Generate) -> AskedVideo:
        """See `Kind`."""
        return AskedVideo(task.recipe.request(), task.parent, task.relation or REMIX)

    def with_recipe(self, task: Generate, recipe: Recipe) -> AskedVideo:
        """See `Kind`. A regeneration with another recipe is a remix."""
        return AskedVideo(recipe.request(), task.parent)

    # run

    def run(self, task: Generate, head: Head, tools: Tools) -> Rendered:
        """Make the video, with its settings inside."""
        recipe = task.recipe
        with Encoding(recipe.fps) as encoding:  # works while the model still decodes
            made = tools.engine.generate(recipe, tools.on_progress, tools.checkpoint, tools.on_checkpoint, encoding.add)
            count, height, width, _ = made.frames.shape
            tools.on_progress(Progress("encoding", 0, count))
            video = Video(
                id=head.id, created=head.created, owner=head.owner, parent=task.parent, origin=task.origin,
                recipe=recipe, receipt=made.receipt,
                runtime=replace(made.runtime, queued_s=round(head.queued_s, 3)),
                result=Result(count, width, height, recipe.fps, round(count / recipe.fps, 6), 0, ""))
            started = time.perf_counter()
            mp4, result = finished(encoding, made.frames, recipe.fps, comment_of(video))
        encode_s = time.perf_counter() - started
        tools.on_progress(Progress("encoding", count, count))
        runtime = replace(video.runtime, encode_s=encode_s, total_s=made.runtime.total_s + encode_s)
        return Rendered(replace(video, result=result, runtime=runtime).document(), mp4, made.notes)

    # keep

    def keep(self, job: Job, outcome: Outcome, stores: Stores) -> str:
        """Check the video, compare it with its parent, publish it."""
        task = _of(job)
        video = _checked(job, task, outcome)
        compared, note = compare(stores.library, task, video, outcome.file)
        reach("jobs:verdict")
        stores.library.publish(replace(video, verdict=compared), outcome.file)
        return " ".join(filter(None, (outcome.reason, note)))

    def is_kept(self, job: Job, stores: Stores) -> bool:
        """Whether the library holds the video of that job, sidecar and file."""
        try:
            return stores.library.get(job.id).recipe == _of(job).recipe
        except StudioError:
            return False


def _of(job: Job) -> Generate:
    assert isinstance(job.task, Generate)
    return job.task


def compare(library: Library, task: Generate, video: Video, mp4: bytes) -> tuple[Verdict | None, str]:
    """The verdict on a regeneration and its parent; None, and the reason, when it cannot be compared."""
    if task.relation != REGENERATE or task.parent is None:
        return None, ""
    try:
        parent = library.get(task.parent)
    except StudioError:
        return None, f"The video it regenerates ({task.parent}) is gone or damaged, so they were not compared."
    psnr_db = _psnr(library, parent.id, mp4)
    same = parent.receipt.frames_sha256 == video.receipt.frames_sha256
    if same and (psnr_db is None or psnr_db < EQUIVALENT_PSNR_DB):
        return None, (f"The file of {parent.id} does not show the frames its receipt speaks of: it is damaged, or "
                      "was exchanged. They were not compared.")
    return verdict(parent.receipt, video.receipt, psnr_db), ""


def _psnr(library: Library, parent_id: str, mp4: bytes) -> float | None:
    try:
        before = clip.read(library.mp4_path(parent_id)).frames
        return min(MAX_PSNR_DB, metrics.psnr(before, clip.read(mp4).frames))
    except StudioError:
        return None  # the parent's file is gone or damaged, or has another size: not measured


def _checked(job: Job, task: Generate, outcome: Outcome) -> Video:
    """The video of an outcome. A worker may be wrong or old; the library then checks the bytes themselves."""
    try:
        video = video_of(outcome.document)
    except StudioError as error:
        raise ClipError(f"The worker described its video wrongly; it was not stored. {error}") from error
    recipe, result = task.recipe, video.result
    shape: tuple[float, ...] = (result.num_frames, result.width, result.height, result.fps)
    asked: tuple[float, ...] = (recipe.num_frames, recipe.width, recipe.height, recipe.fps)
    if video.id != job.id or video.recipe != recipe:
        raise ClipError("The worker made another video than the one that was asked for; it was not stored.")
    if shape != asked:
        raise ClipError(f"The worker made {result.num_frames} frames of {result.width}×{result.height} at "
                        f"{result.fps} fps, which was not asked for; the video was not stored.")
    return video
