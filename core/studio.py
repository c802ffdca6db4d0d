"""The studio, wired: all actions of pages and the command line, and the one line of a video.

    submit → resolve → ledger → dispatcher → worker → library → the gallery → regenerate → the same line
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from core.domain.models import ModelSpec
from core.domain.receipt import Environment
from core.domain.request import VideoRequest
from core.domain.video import REGENERATE, REMIX, Video
from core.errors import StudioError
from core.families.catalog import catalog
from core.families.registry import default_model
from core.jobs.kinds.audition import AskedAudition, Audition
from core.jobs.kinds.generate import AskedVideo, Generate
from core.jobs.kinds.registry import KINDS
from core.jobs.protocol import WorkerStatus
from core.jobs.queue.job import UNFINISHED, Job
from core.jobs.queue.job_files import previews
from core.jobs.queue.ledger import Ledger
from core.library.atomic_files import disk_errors
from core.library.changes import ChangeVideo, Reindex
from core.library.comparison import Comparisons
from core.library.examples import shipped, shipped_path
from core.library.library import Library
from core.library.lineage import Lineage, lineage
from core.library.lookup import Lookup, look_up
from core.library.search.facets import Facets
from core.library.search.query import Page, Query
from core.library.search.saved_searches import SavedSearches
from core.library.storage.contact_sheets import ContactSheets
from core.library.storage.derived_files import DerivedFiles
from core.library.verification import Finding
from core.operations import auditions
from core.operations.acceptance import Acceptance
from core.operations.bulk_actions import BulkActions
from core.operations.import_export import Transfer
from core.operations.leadership import Leadership
from core.operations.planner import Planner
from core.operations.readiness import readiness
from core.settings import Settings


class Studio:
    """One studio on one data directory.

    Args:
        settings: where things are.
        role: "run" leads if it can and runs jobs, else stands by to take over. "visit" reads, submits, and asks for
            changes, but runs nothing.
    """

    def __init__(self, settings: Settings, role: str = "run") -> None:
        self.settings = settings
        self.searches = SavedSearches(settings.data_dir / "searches.json")
        with ExitStack() as undo, disk_errors(f"the data folder {settings.data_dir}"):
            settings.data_dir.mkdir(parents=True, exist_ok=True)
            self.ledger = Ledger(settings.data_dir / "jobs.sqlite")
            undo.callback(self.ledger.close)
            self._leadership = Leadership(settings, self.ledger, role)
            self.derived = DerivedFiles(settings.data_dir / "derived")
            self.transfer = Transfer(self._leadership, self.derived)
            self.comparisons = Comparisons(lambda: self.library, self.derived)
            self.bulk_actions = BulkActions(settings, self.ledger, self._leadership, self.regenerate)
            undo.pop_all()
        self.planner = Planner(settings, self.worker, lambda: self.library, self.device)
        self._acceptance = Acceptance(settings, self.planner, lambda: self.library, self.device, self.default_model)

    @property
    def leads(self) -> bool:
        """Whether this process owns the library and runs the jobs."""
        return self._leadership.leads

    @property
    def newer(self) -> str:
        """Why nothing may be changed here, as a sentence, when a newer studio wrote the library; else ""."""
        return self.library.newer

    @property
    def library(self) -> Library:
        """The videos: paths, sidecars, search. Changes go through this class; screens ask only this class."""
        return self._leadership.library

    def close(self) -> None:
        """Stop the worker, write the index, release the data directory. Safe to call twice."""
        self._leadership.close()
        self.ledger.close()

    # Asking for videos

    def models(self) -> dict[str, ModelSpec]:
        """Every model that can be asked for."""
        return catalog(self.settings.models_dir)

    def default_model(self) -> str:
        """The model of a request that names none: the setting, else ModelScope 1.7B on a GPU, else the demo."""
        return self.settings.model or default_model(self.device())

    def device(self) -> str:
        """"cuda" or "cpu": the device of the worker, or its expected device before it has reported one."""
        environment = self.environment()
        if environment is not None:
            return environment.device
        asked = self.settings.device
        return "cuda" if asked.startswith("cuda") or asked == "auto" and shutil.which("nvidia-smi") else "cpu"

    def submit(self, request: VideoRequest, owner: str = "", parent: str | None = None, relation: str = REMIX) -> Job:
        """Queue a video; the id is returned only after the commit.

        `parent`: id of the video it comes from; `relation`: how, "regenerate" or "remix".

        Raises:
            BadRequest: refused, with the field and the reason; nothing is left behind.
            DiskFull: less disk is free than `T2V_MIN_FREE_MB`.
        """
        return self.accept(Generate.kind, AskedVideo(request, parent, relation), owner)

    def accept(self, kind: str, asked: object, owner: str = "") -> Job:
        """Accept work of any kind: check it, then queue it. Raises as `submit`.

        `kind`: a key of `core.jobs.kinds.registry.KINDS`; `asked`: the input of that kind's `check`.
        """
        job = self.ledger.add(self._acceptance.task(kind, asked), owner, self.settings.max_queued)
        self._leadership.wake()
        return job

    def regenerate(self, video_id: str, owner: str = "") -> Job:
        """Queue the same recipe again, seed included; the video it becomes carries the verdict."""
        request = self.video(video_id).known_recipe().request()
        return self.submit(request, owner, parent=video_id, relation=REGENERATE)

    def audition(self, request: VideoRequest, seeds: int = 6, num_inference_steps: int | None = None,
                 owner: str = "") -> Job:
        """Queue short runs of one request with several seeds: its own, or a drawn one, and those after it.

        Raises as `submit`. `num_inference_steps`: of each short run; None: a third of the request's.
        """
        return self.accept(Audition.kind, AskedAudition(request, seeds, num_inference_steps), owner)

    def finish(self, job_id: str, seed: int, owner: str = "") -> Job:
        """Queue the video of one seed of an audition: the same noise, all the steps."""
        return self.submit(auditions.finished(self.job(job_id), seed), owner)

    def forget_audition(self, job_id: str) -> None:
        """Remove an audition that has ended, and its sheet; its videos stay. Raises NotFound, NewerLibrary."""
        self._acceptance.may_change()
        auditions.forget(self.ledger, self.settings.data_dir, job_id)

    def cancel(self, job_id: str) -> Job:
        """Cancel a waiting job at once, a running one within one step."""
        job = self.ledger.request_cancel(job_id)
        self._leadership.wake()
        return job

    def pause(self, job_id: str) -> Job:
        """Pause a waiting job at once, a running one after its present step. The next job runs during the pause."""
        job = self.ledger.request_pause(job_id)
        self._leadership.wake()
        return job

    def resume(self, job_id: str) -> Job:
        """Put a paused job back in its place in the queue. It resumes at the next step."""
        job = self.ledger.resume(job_id)
        self._leadership.wake()
        return job

    def retry(self, job_id: str) -> Job:
        """Queue an ended job again, as a new job with the same task; refused as `submit` refuses."""
        task = self.ledger.get(job_id).task
        self._acceptance.task(task.kind, KINDS[task.kind].asked(task))
        job = self.ledger.retry(job_id, max_queued=self.settings.max_queued)
        self._leadership.wake()
        return job

    def job(self, job_id: str) -> Job:
        """One job. Raises NotFound."""
        return self.ledger.get(job_id)

    def unfinished(self) -> int:
        """How many jobs run, wait or are paused."""
        counts = self.ledger.counts()
        return sum(counts.get(state, 0) for state in UNFINISHED)

    def jobs(self, states: tuple[str, ...] | None = None, limit: int = 100,
             oldest_first: bool = False) -> tuple[Job, ...]:
        """Jobs, newest first or in the order they run; `states` chooses."""
        return self.ledger.list(states, limit, oldest_first)

    def wait(self, job_id: str, poll_s: float = 0.1) -> Iterator[Job]:
        """Yield the job each time it changed, until it has ended."""
        last: Job | None = None
        while last is None or last.ended is None:
            job = self.ledger.get(job_id)
            if job != last:
                yield job
            elif self._leadership.failure:
                raise StudioError(f"The studio stopped running jobs: {self._leadership.failure}")
            else:
                time.sleep(poll_s)
            last = job

    def preview_path(self, job_id: str) -> Path:
        """The preview of a running job: an animated WebP. Raises NotFound."""
        return previews(self.settings.data_dir).path(job_id)

    def contact_sheet_path(self, job_id: str) -> Path:
        """The contact sheet of an audition that has ended: an animated WebP. Raises NotFound."""
        return ContactSheets(self.settings.data_dir).path(job_id)

    # The machine

    def worker(self) -> WorkerStatus | None:
        """The worker's last sign of life; None while there is none, or another process has it."""
        return self._leadership.status

    def environment(self) -> Environment | None:
        """The facts the worker reported about its machine, or None before that."""
        status = self.worker()
        return status.environment if status is not None else None

    def ready(self) -> dict[str, Any]:
        """Whether the studio can take and run jobs now: `{"ready": bool, …}` with the problems."""
        return readiness(self.settings, self._leadership, self.ledger.counts())

    # The library

    def search(self, query: Query) -> Page:
        """A page of videos."""
        return self.library.search(query)

    def video(self, video_id: str) -> Video:
        """One video, read from its sidecar. Raises NotFound, DamagedVideo, ReadOnly."""
        return self.library.get(video_id)

    def look_up(self, video_id: str) -> Lookup:
        """One video, in whatever state it is, and why it cannot be opened."""
        return look_up(self.library, video_id)

    def lineage(self, video: Video) -> Lineage:
        """The videos that a video came from, and the videos made from it."""
        return lineage(self.library, video)

    def facets(self) -> Facets:
        """The values that occur in the library, for the filters to offer."""
        return self.library.facets()

    def delete(self, video_id: str) -> bool:
        """Move a video into the trash, or remove it if the trash is off; whether it is in the trash now."""
        return self.bulk_actions.delete_one(video_id)

    def change(self, video_id: str, tags: tuple[str, ...] | None = None, favorite: bool | None = None) -> Video:
        """Set tags or favourite, in the sidecar first."""
        self._leadership.change(ChangeVideo(video_id, tags, favorite))
        return self.video(video_id)

    def reindex(self) -> dict[str, Any]:
        """Make the index again from the sidecars; returns the report as an object."""
        report: dict[str, Any] = self._leadership.change(Reindex())
        return report

    def verify(self, video_ids: tuple[str, ...] | None = None) -> list[Finding]:
        """Compare files with sidecars; an empty list means all is well."""
        return self.library.verify(video_ids)

    def notices(self) -> tuple[str, ...]:
        """The repairs made while opening the files, in sentences to show once."""
        report = self.library.report
        return tuple(filter(None, (self.ledger.notice, *(report.sentences if report is not None else ()))))

    # The shipped examples

    def examples(self) -> tuple[Video, ...]:
        """The videos that ship with the studio."""
        return shipped()

    def example_path(self, video_id: str) -> Path:
        """The MP4 of a shipped example. Raises NotFound."""
        return shipped_path(video_id)

    def add_examples(self) -> int:
        """Import every shipped example; returns how many there are."""
        return len([self.transfer.import_mp4(shipped_path(video.id)) for video in shipped()])


@contextmanager
def open_studio(settings: Settings, role: str = "run") -> Iterator[Studio]:
    """A studio for the length of a `with` block."""
    studio = Studio(settings, role)
    try:
        yield studio
    finally:
        studio.close()
