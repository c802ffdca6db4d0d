"""What a worker handed over becomes a video of the library: checked, compared with its parent, published."""

from dataclasses import replace

from core.domain.audition import Audition
from core.domain.modes import mode_of
from core.domain.receipt import EQUIVALENT_PSNR_DB, Verdict, verdict
from core.domain.request import VideoRequest
from core.domain.video import Video
from core.errors import ClipError, StudioError
from core.faults import reach
from core.jobs.protocol import Outcome
from core.jobs.queue.job import Job
from core.jobs.queue.ledger import Ledger
from core.library.library import Library
from core.library.media import clip, metrics
from core.library.sidecar import video_of
from core.library.storage.contact_sheets import ContactSheets

MAX_PSNR_DB = 100.0  # two files can decode to the same frames although the frames before encoding differed


def publish(library: Library, job: Job, outcome: Outcome) -> str:
    """Publish the outcome of a job; a sentence for the person, or "". May be repeated after a crash.

    Raises:
        ClipError: the worker handed over something other than what the job asked for.
        DiskFull, ReadOnly, StudioError: the library could not keep it.
    """
    video = _checked(job, outcome)
    compared, note = compare(library, job, video, outcome.file)
    reach("jobs:verdict")
    library.publish(replace(video, verdict=compared), outcome.file)
    return " ".join(filter(None, (outcome.reason, note)))


def keep_audition(ledger: Ledger, sheets: ContactSheets, job: Job, outcome: Outcome) -> str:
    """Keep the contact sheet of an audition, and in the ledger what it tried; a sentence for the person, or "".

    May be repeated after a crash.

    Raises:
        ClipError: the worker tried other seeds than those that were asked for.
        DiskFull, ReadOnly, StudioError: the sheet could not be kept.
    """
    made = Audition.from_document(outcome.document)
    if replace(made, noise_sha256=()) != replace(job.audition, noise_sha256=()) or not outcome.file:
        raise ClipError("The worker tried other seeds than those that were asked for; nothing was kept.")
    sheets.keep(job.id, outcome.file)
    ledger.remember(job.id, job.attempt, made)
    return outcome.reason


def is_kept(library: Library, job: Job) -> bool:
    """Whether the library holds the video of that job, sidecar and file."""
    try:
        return library.get(job.id).request == _as_run(job)
    except StudioError:
        return False


def compare(library: Library, job: Job, video: Video, mp4: bytes) -> tuple[Verdict | None, str]:
    """How a regeneration compares with its parent; None, and why, when it cannot be compared."""
    if job.kind != "regenerate" or job.parent is None:
        return None, ""
    try:
        parent = library.get(job.parent)
    except StudioError:
        return None, f"The video it regenerates ({job.parent}) is gone or damaged, so they were not compared."
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


def _as_run(job: Job) -> VideoRequest:
    """The request as a worker runs it: one that was queued before there were modes has the mode of then."""
    return replace(job.request, mode=mode_of(job.request.mode).key)


def _checked(job: Job, outcome: Outcome) -> Video:
    """The video of an outcome. A worker may be wrong or old; the library then checks the bytes themselves."""
    try:
        video = video_of(outcome.document)
    except StudioError as error:
        raise ClipError(f"The worker described its video wrongly; it was not kept. {error}") from error
    request, result = _as_run(job), video.result
    shape = (result.num_frames, result.width, result.height, result.fps)
    if video.id != job.id or video.request != request:
        raise ClipError("The worker made another video than the one that was asked for; it was not kept.")
    if shape != (request.num_frames, request.width, request.height, request.fps):
        raise ClipError(f"The worker made {result.num_frames} frames of {result.width}×{result.height} at "
                        f"{result.fps} fps, which was not asked for; the video was not kept.")
    return video
