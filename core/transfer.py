"""In and out: files that come into the library, and forms in which its videos leave it."""

from pathlib import Path
from typing import Any

from core.errors import NotFound
from core.leading import Leading
from core.library.derived import Derived
from core.library.library import Kept
from core.library.renditions import RENDITIONS, OnFrame
from core.video import Video


def _quietly(_done: int, _total: int) -> None:
    """Nobody watches."""


class Transfer:
    """What goes in and out of the library that `leading` leads or reads. Safe in threads."""

    def __init__(self, leading: Leading, derived: Derived) -> None:
        self._leading = leading
        self._derived = derived

    # Out

    def rendition(self, video_id: str, kind: str, on_frame: OnFrame = _quietly) -> Path:
        """The video in another form, made now unless it is still there from before.

        Args:
            kind: a key of `RENDITIONS`.

        Raises:
            NotFound: no such video or form.
            ClipError, DamagedVideo, DiskFull: it cannot be made.
        """
        if kind not in RENDITIONS:
            raise NotFound(f"There is no form {kind!r}; choose one of {', '.join(RENDITIONS)}.")
        video, mp4 = self._leading.library.get(video_id), self._leading.library.mp4_path(video_id)
        return self._derived.get(self._name(video, kind),
                                 lambda path: RENDITIONS[kind].make(video, mp4, path, on_frame))

    def has_rendition(self, video: Video, kind: str) -> bool:
        """Whether that form is still there from before."""
        return self._derived.find(self._name(video, kind)) is not None

    def _name(self, video: Video, kind: str) -> str:
        return f"{video.id}-{video.result.mp4_sha256[:16]}{RENDITIONS[kind].suffix}"

    # In

    def import_mp4(self, path: Path, name: str = "", unknown: bool = False, owner: str = "") -> Kept:
        """Take an MP4 of this or another studio into the library, from the recipe inside it.

        Args:
            name: what the person calls the file; the name of `path` when empty.
            unknown: keep a video of another program too, as one without a recipe, of `owner`.

        Raises:
            ClipError: the sentence says why it is refused.
        """
        answer: dict[str, Any] = self._leading.change(
            "import", {"path": str(Path(path).resolve()), "name": name, "unknown": unknown, "owner": owner})
        return Kept(Video.from_document(answer["video"]), answer["outcome"])

    def import_bytes(self, data: bytes | memoryview, name: str, unknown: bool = False, owner: str = "") -> Kept:
        """The same with a file that was dropped on a page."""
        with self._derived.passing(data) as path:
            return self.import_mp4(path, name, unknown, owner)
