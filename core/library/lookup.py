"""One video by its id, in any state: looked up once, then passed on as a value."""

from dataclasses import dataclass

from core.domain.video import Video, is_id
from core.errors import DamagedVideo, NotFound, ReadOnly, StudioError
from core.library.library import Library
from core.library.search.entry import Entry

HERE, TRASHED, NEWER, DAMAGED, GONE = "here", "trashed", "newer", "damaged", "gone"


@dataclass(frozen=True)
class Lookup:
    """Everything known of one video.

    Attributes:
        state: HERE, TRASHED, NEWER (a newer studio wrote it), DAMAGED (a file is missing or unreadable), GONE.
        video: HERE: all of it; TRASHED: the content of its sidecar; NEWER: the readable part. None in the other
            states, and if it is unreadable.
        error: why it cannot be opened; None if it is HERE.
        entry: its index row, or None.
        has_sidecar: whether its sidecar is in the library, also a damaged one.
    """

    id: str
    state: str
    video: Video | None
    error: StudioError | None
    entry: Entry | None
    has_sidecar: bool

    @property
    def title(self) -> str:
        """Its prompt or the name of its file; "" if unknown."""
        return self.video.title if self.video else self.entry.prompt if self.entry else ""

    @property
    def created(self) -> str:
        """When it was made; "" if unknown."""
        return self.video.created if self.video else self.entry.created if self.entry else ""


def look_up(library: Library, video_id: str) -> Lookup:
    """Look up an id. A text that is no id is a video that is GONE."""
    if not is_id(video_id):
        return Lookup(video_id, GONE, None, NotFound(f"{video_id[:80]!r} is not the id of a video."), None, False)
    state, video = HERE, None
    error: StudioError | None = None
    try:
        video = library.get(video_id)
    except ReadOnly as newer:
        state, video, error = NEWER, library.glimpse(video_id), newer
    except DamagedVideo as damage:
        state, error = DAMAGED, damage
    except NotFound as gone:
        state, error = (TRASHED if library.trash.has(video_id) else GONE), gone
        video = library.trash.read(video_id)
    has_sidecar = state == HERE or library.has_sidecar(video_id)
    return Lookup(video_id, state, video, error, library.known(video_id), has_sidecar)
