"""The definition of a kind of work. Each kind has four stations, all in one file beside this one.

    check   before acceptance: the input becomes a complete task, or is refused
    run     in the worker: the task becomes the bytes of a file
    keep    in the dispatcher: the file is stored
    words   on screens and the command line: the texts about it

A new kind is a new file here and one row in `core.jobs.kinds.registry`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from core.domain.progress import OnCheckpoint, OnProgress
from core.domain.recipe import Recipe
from core.domain.request import VideoRequest
from core.domain.task import Task
from core.domain.video import Origin, Video
from core.errors import NotFound
from core.jobs.engine_protocol import Engine
from core.jobs.protocol import Head, Outcome
from core.jobs.queue.job import Job
from core.library.library import Library
from core.library.storage.video_files import MP4, VideoFiles

Asked = TypeVar("Asked")
T = TypeVar("T", bound=Task)


class Checks(Protocol):
    """The questions a kind may ask the studio before it accepts something."""

    def recipe(self, request: VideoRequest) -> Recipe:
        """The complete recipe. Raises BadRequest: it cannot be made here."""

    def origin(self, parent: str | None, relation: str) -> Origin | None:
        """The facts about `parent` that a video made from it stores."""

    def video(self, video_id: str) -> Video:
        """A video of the library. Raises NotFound, DamagedVideo, ReadOnly: nothing can be made of it."""


@dataclass(frozen=True)
class Tools:
    """The things a worker gives to a running task.

    Attributes:
        checkpoint: the state to resume from; empty: begin at the first step.
        data_dir: the folder with the library, to read from; None: there is none.
    """

    engine: Engine
    on_progress: OnProgress
    on_checkpoint: OnCheckpoint
    checkpoint: bytes = b""
    data_dir: Path | None = None

    def mp4_path(self, video_id: str) -> Path:
        """The MP4 of a video of the library. Raises NotFound."""
        if self.data_dir is None:
            raise NotFound(f"There is no library in which to look for {video_id}.")
        return VideoFiles(self.data_dir / "library").existing(video_id, MP4)


@dataclass(frozen=True)
class Rendered:
    """The result of a task, not stored yet.

    Attributes:
        document: the facts about it that the dispatcher needs, as JSON.
        file: the bytes of the file.
        notes: sentences to show.
    """

    document: dict[str, Any]
    file: bytes
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stores:
    """The places where the dispatcher stores results.

    Attributes:
        note: writes a changed task back into its job while the job is being committed.
    """

    library: Library
    data_dir: Path
    note: Callable[[Job, Task], None]


class Words(ABC, Generic[T]):
    """The texts about a task on screens and the command line. They are text, not Markdown.

    Attributes:
        writing: the text while the file is written.
    """

    writing: str = "Writing the video"

    @abstractmethod
    def label(self, task: T) -> str:
        """The kind of work in a word or two; "" where that is obvious."""

    def icon(self, task: T) -> str:
        """The name of a Material icon beside the label, or ""."""
        return ""

    @abstractmethod
    def made_of(self, task: T) -> str:
        """A caption that tells it from another of the same title: `seed 42`."""

    def picture(self, task: T, job_id: str) -> str:
        """The place of its picture once it is done: a route of the media and a name, `poster/<id>`."""
        return f"poster/{job_id}"

    def opens(self, task: T, job_id: str) -> tuple[str, str]:
        """The place that shows the result: "video" and its id (the gallery), or "job" and the job's id (Generate)."""
        return "video", job_id

    @abstractmethod
    def canvas(self, task: T) -> tuple[int, int]:
        """Width and height of the resulting picture, to reserve a place for it."""

    def step(self, task: T, done: int, total: int) -> str:
        """The progress in steps: `Step 12 of 20`."""
        return f"Step {done} of {total}"

    def steps_of(self, task: T) -> str:
        """The words after the number of steps, with a space before, if not for one video: ` steps of 6 seeds`."""
        return ""

    def after_steps(self, task: T) -> float:
        """The time after the last step, as a fraction of the time of all steps."""
        return 0.0


class Kind(ABC, Generic[Asked, T]):
    """One kind of work.

    Attributes:
        key: its name in jobs and documents.
        words: the texts about it.
    """

    key: str
    words: Words[T]

    @abstractmethod
    def read(self, document: dict[str, Any]) -> T:
        """The task that `Task.document` wrote. Raises ValueError: it is something else."""

    @abstractmethod
    def check(self, asked: Asked, checks: Checks) -> T:
        """The complete task. Raises BadRequest and what `checks` raises: it is refused."""

    @abstractmethod
    def asked(self, task: T) -> Asked:
        """The input that asks for exactly this task."""

    @abstractmethod
    def run(self, task: T, head: Head, tools: Tools) -> Rendered:
        """Make it, in the worker. Raises StudioError; Cancelled and Paused from the callbacks."""

    @abstractmethod
    def keep(self, job: Job, outcome: Outcome, stores: Stores) -> str:
        """Store the result. Returns a sentence for the person, or "". May be repeated after a crash.

        Raises:
            ClipError: the worker made something else than was asked for.
            DiskFull, ReadOnly, StudioError: it could not be stored.
        """

    @abstractmethod
    def is_kept(self, job: Job, stores: Stores) -> bool:
        """Whether the result of that job is stored and complete."""

    def with_recipe(self, task: T, recipe: Recipe) -> Asked:
        """The input that asks for the same with another recipe, for tasks that have one."""
        raise NotImplementedError(f"{self.key} is not made by a recipe")
