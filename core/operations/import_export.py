"""In and out: files that come into the library, and forms in which its videos leave it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.domain.video import Video
from core.errors import NotFound
from core.library.changes import ChangeVideo, FoundFile, ImportVideo, MergeVideos
from core.library.folder_exchange import Found, TransferStep, Twins, export, find, manifest
from core.library.incoming import REFUSED, ImportResult
from core.library.media.export_formats import EXPORT_FORMATS, OnFrame
from core.library.search.query import Query
from core.library.storage.derived_files import DerivedFiles
from core.operations.leadership import Leadership

BATCH_FILES = 16
BATCH_BYTES = 32 * 2**20


def _quietly(_done: int, _total: int) -> None:
    """Nobody watches."""


class Transfer:
    """Import into and export from the library that `leadership` leads or reads. Safe in threads."""

    def __init__(self, leadership: Leadership, derived: DerivedFiles) -> None:
        self._leadership = leadership
        self._derived = derived

    # Out

    def rendition(self, video_id: str, kind: str, on_frame: OnFrame = _quietly) -> Path:
        """The video in another form. It is made now unless it still exists.

        Args:
            kind: a key of `EXPORT_FORMATS`.

        Raises:
            NotFound: no such video or form.
            ClipError, DamagedVideo, DiskFull: it cannot be made.
        """
        if kind not in EXPORT_FORMATS:
            raise NotFound(f"There is no form {kind!r}; choose one of {', '.join(EXPORT_FORMATS)}.")
        video, mp4 = self._leadership.library.get(video_id), self._leadership.library.mp4_path(video_id)
        return self._derived.get(self._name(video, kind),
                                 lambda path: EXPORT_FORMATS[kind].make(video, mp4, path, on_frame))

    def has_rendition(self, video: Video, kind: str) -> bool:
        """Whether that form still exists."""
        return self._derived.find(self._name(video, kind)) is not None

    def _name(self, video: Video, kind: str) -> str:
        return f"{video.id}-{video.result.mp4_sha256[:16]}{EXPORT_FORMATS[kind].suffix}"

    def export(self, query: Query, folder: Path) -> Iterator[TransferStep]:
        """Copy the videos that match into a folder another studio can open, one a step. It can be repeated.

        Raises:
            BadRequest: the folder is not one to export into.
            DiskFull, ReadOnly, StudioError: the disk refused; the videos copied before are complete.
        """
        return export(self._leadership.library, tuple(self._leadership.library.found(query)), folder)

    # In

    def import_mp4(self, path: Path, name: str = "", unknown: bool = False, owner: str = "") -> ImportResult:
        """Take an MP4 of this or another studio into the library, from the recipe inside it.

        Args:
            name: what the person calls the file; the name of `path` when empty.
            unknown: store a video of another program too, as one without a recipe, of `owner`.

        Raises:
            ClipError: it is refused; the sentence gives the reason.
        """
        answer: dict[str, Any] = self._leadership.change(
            ImportVideo(str(Path(path).resolve()), name, unknown, owner))
        return ImportResult(Video.from_document(answer["video"]), answer["outcome"])

    def import_folder(self, folder: Path, unknown: bool = False) -> Iterator[TransferStep]:
        """Import every MP4 below a folder, one a step. A sidecar beside it brings its tags and favourite along.

        If the frames of a video are here already under another id, only its tags and favourite are added.
        This does not apply to two videos of the folder itself, such as a video and its identical regeneration.

        Args:
            unknown: store videos of other programs too, without a recipe.

        Raises:
            BadRequest: there is no such folder.
            DiskFull, ReadOnly: the library could not store them; the videos imported before stay.
        """
        found, listed = find(folder), manifest(folder)["videos"]
        missing = sorted({row["id"] for row in listed} - {each.path.stem for each in found})
        total, done = len(found) + len(missing), 0
        twins = Twins(self._leadership.library, {each.video.id for each in found if each.video})
        with self._leadership.staying():
            for batch in _batches(found):
                asked = tuple(FoundFile(str(each.path.resolve()), str(each.beside.resolve()) if each.beside else None,
                                        twins.of(each.video)) for each in batch)
                answers = self._leadership.change(MergeVideos(asked, unknown))
                for each, answer in zip(batch, answers, strict=True):
                    done += 1
                    yield TransferStep(done, total, each.path.name, answer["outcome"], answer.get("reason", ""))
        for video_id in missing:
            done += 1
            yield TransferStep(done, total, video_id, REFUSED,
                               "The folder's manifest names it, but its MP4 is not there.")

    def import_bytes(self, data: bytes | memoryview, name: str, unknown: bool = False, owner: str = "") -> ImportResult:
        """The same for a file that was dropped on a page."""
        with self._derived.passing(data) as path:
            return self.import_mp4(path, name, unknown, owner)

    def renew_settings(self, video_id: str) -> ImportResult:
        """Make the damaged sidecar of a video again, from inside its MP4, with the tags the index knows.

        Returns: the video whose settings are in the MP4, which may be another one.

        Raises:
            NotFound: its MP4 is not here.
            ClipError: the MP4 holds no settings, or is damaged, too.
        """
        known = self._leadership.library.known(video_id)
        kept = self.import_mp4(self._leadership.library.mp4_path(video_id))
        if known is None or kept.video.id != video_id or not (known.tags or known.favorite):
            return kept
        self._leadership.change(ChangeVideo(video_id, known.tags, known.favorite))
        return replace(kept, video=self._leadership.library.get(video_id))


def _batches(found: Sequence[Found]) -> Iterator[list[Found]]:
    """A few files each, so that the leader never gets more than a moment of work at once."""
    batch: list[Found] = []
    size = 0
    for each in found:
        batch.append(each)
        size += each.path.stat().st_size if each.path.is_file() else 0
        if len(batch) == BATCH_FILES or size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
