"""The repairs when a library is opened: leftovers of a crash, and a missing, damaged or outdated index.

The MP4 is the commit point. If an MP4 is in the trash, its other files follow it there. A sidecar beside an
`.mp4.part` is the rest of an interrupted publish or delete, and is removed. For any other sidecar without an MP4,
another program removed the MP4; such a sidecar moves to `library/lost`.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.errors import ClipError, DamagedVideo, DiskFull, NotFound, ReadOnly, StudioError
from core.library import sidecar
from core.library.atomic_files import disk_errors, file_sha256, write_file
from core.library.media import clip, posters
from core.library.search.entry import Entry
from core.library.search.gc_pause import uncollected
from core.library.search.index import Index
from core.library.storage.newer_video import glimpse
from core.library.storage.trash import Trash
from core.library.storage.video_files import ANIMATION, MP4, POSTER, SIDECAR, Folder, VideoFiles


@dataclass(frozen=True)
class OpeningReport:
    """The repairs, as numbers of videos or files, and as sentences for a person. No sentence: all is well.

    Attributes:
        videos: in the index now.
        added: rows made or renewed from sidecars; dropped: rows removed because their files are gone.
        leftovers: files of interrupted writes removed.
        remade: sidecars rebuilt from the settings inside an MP4; posters: videos whose pictures were made again.
        lost: sidecars whose MP4 disappeared, moved to `library/lost`.
        damaged: unreadable sidecars; newer: sidecars of a newer studio, only shown and never changed.
    """

    videos: int = 0
    added: int = 0
    dropped: int = 0
    leftovers: int = 0
    remade: int = 0
    posters: int = 0
    lost: int = 0
    damaged: int = 0
    newer: int = 0
    sentences: tuple[str, ...] = ()


class Sweep:
    """One pass over all files of a library. With `mend`, no other process may write at the same time.

    Args:
        trust: reuse an index row if its sidecar has not been written since; False reads every sidecar.
        mend: change files; False only reads (a library that another studio owns).
    """

    def __init__(self, video_files: VideoFiles, index: Index, trust: bool, mend: bool) -> None:
        self._video_files = video_files
        self._index = index
        self._trust = trust
        self._mend = mend
        self._entries: list[Entry] = []
        self._known = 0  # reused rows
        self._count = dict.fromkeys(("added", "leftovers", "remade", "posters", "lost", "damaged", "newer"), 0)

    @uncollected()
    def run(self) -> OpeningReport:
        """Repair the files, renew the index, and return the report."""
        before, why = self._index.all(), self._index.problem
        if self._mend:
            self._count["leftovers"] += Trash(self._video_files).settle()
        for path in self._video_files.folders():
            with disk_errors(str(path)):
                self._folder(self._video_files.folder(path))
        same = self._known == len(before) == len(self._entries)  # the usual case; counting is quicker
        dropped = 0 if same else len({row.id for row in before} - {entry.id for entry in self._entries})
        if why or dropped or self._count["added"]:
            self._index.replace_all(self._entries)
        counts: dict[str, Any] = {**self._count, "videos": len(self._entries), "dropped": dropped}
        report = OpeningReport(**counts)
        return replace(report, sentences=self._sentences(report, why))

    def _folder(self, folder: Folder) -> None:
        if self._mend:
            for part in folder.parts:
                self._remove(part)
        having = folder.having
        whole = folder.whole
        if self._trust:  # this covers nearly all rows, so it comes first
            known = [row for video_id in whole if (row := self._index.get(video_id)) is not None
                     and row.sidecar_ns == folder.stamps[video_id]]
            self._entries += known
            self._known += len(known)
            whole = whole.difference(row.id for row in known)
        for video_id in sorted(whole):
            self._whole(video_id, folder.stamps[video_id])
        for video_id in sorted(having[MP4] - having[SIDECAR]):
            self._without_sidecar(video_id)
        if self._mend:
            without = having[SIDECAR] | having[POSTER] | having[ANIMATION]
            for video_id in sorted(without - having[MP4]):
                self._without_mp4(video_id, folder)
            for video_id in sorted(having[MP4] - (having[POSTER] & having[ANIMATION])):
                self._posters(video_id)

    def _whole(self, video_id: str, stamp: int) -> None:
        row = self._index.get(video_id)
        try:
            entry = Entry.of(self._video_files.read(video_id), stamp)
        except (DamagedVideo, NotFound):
            self._count["damaged"] += 1
            if row is not None:
                self._entries.append(row)  # the gallery shows this row, marked as damaged
            return
        except ReadOnly:
            self._count["newer"] += 1
            seen = None if row is not None and row.sidecar_ns == -stamp else glimpse(self._video_files, video_id)
            if seen is not None:
                entry = Entry.of(seen, -stamp)
            elif row is not None:
                entry = row
            else:
                return
        self._count["added"] += entry != row
        self._entries.append(entry)

    def _read(self, video_id: str) -> Entry:
        return Entry.of(self._video_files.read(video_id), self._video_files.stamp(video_id))

    def _without_sidecar(self, video_id: str) -> None:
        path, mp4 = self._video_files.path(video_id, SIDECAR), self._video_files.path(video_id, MP4)
        try:
            decoded = clip.read(mp4)
            video = sidecar.video_from_comment(decoded.comment, mp4, decoded.video_sha256,
                                               bytes=mp4.stat().st_size, mp4_sha256=file_sha256(mp4))
            if video.id != video_id:
                raise ClipError(f"{mp4.name} is the video {video.id} under another name.")
            if self._mend:
                write_file(path, sidecar.dump(video.document()))
        except (ClipError, ReadOnly, DiskFull):
            self._count["damaged"] += 1
            if (row := self._index.get(video_id)) is not None:
                self._entries.append(row)  # as above
            return
        if self._mend:
            self._entries.append(self._read(video_id))
            self._count["remade"] += 1
            self._count["added"] += 1

    def _without_mp4(self, video_id: str, folder: Folder) -> None:
        path = self._video_files.path(video_id, SIDECAR)
        if video_id in folder.having[SIDECAR]:
            try:
                self._video_files.read(video_id)
            except ReadOnly:
                self._count["newer"] += 1
                return
            except DamagedVideo:
                pass  # the damaged sidecar may still be useful to a person
            if f"{video_id}{MP4}" in folder.unfinished:
                self._remove(path)
            else:
                self._video_files.set_aside(video_id)
                self._count["lost"] += 1
                return
        for suffix in (POSTER, ANIMATION):
            if video_id in folder.having[suffix]:
                self._remove(self._video_files.path(video_id, suffix))

    def _posters(self, video_id: str) -> None:
        try:
            whole = clip.read(self._video_files.path(video_id, MP4))
            write_file(self._video_files.path(video_id, POSTER), posters.poster(whole.frames))
            write_file(self._video_files.path(video_id, ANIMATION), posters.animation(whole.frames, whole.fps))
        except StudioError:
            return  # a damaged MP4: verify names it; no room for a picture: the next start tries again
        self._count["posters"] += 1

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._count["leftovers"] += 1

    def _sentences(self, report: OpeningReport, why: str) -> tuple[str, ...]:
        sentences = []
        if why and (report.videos or why == "damaged"):
            kept = f" The damaged file is kept as {self._index.quarantine.name}." if self._index.quarantine else ""
            sentences.append(f"The index was {why} and has been rebuilt from {_count(report.videos, 'sidecar')}.{kept}")
        elif report.added or report.dropped:
            sentences.append(f"The index was behind the files and has caught up: {report.added} added or renewed, "
                             f"{report.dropped} dropped.")
        if report.remade:
            sentences.append(f"{_count(report.remade, 'sidecar')} had disappeared and came back from inside the MP4.")
        if report.lost:
            sentences.append(f"The MP4 of {_count(report.lost, 'video')} has disappeared; the settings are kept in "
                             "library/lost.")
        if report.damaged:
            sentences.append(f"{_count(report.damaged, 'video')} cannot be read. The filter Damaged only lists them; "
                             "python -m core verify names the files.")
        if report.newer:
            sentences.append(f"{_count(report.newer, 'video')} of a newer studio can only be looked at; update the "
                             "studio to know how it was made." if report.newer == 1 else
                             f"{report.newer} videos of a newer studio can only be looked at; update the studio to "
                             "know how they were made.")
        return tuple(sentences)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
