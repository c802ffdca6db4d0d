"""The known family of one video: its ancestors, its siblings and its children.

A sidecar names the parent. It also stores the parent's recipe and the ids of earlier ancestors (`Origin`), so the
lineage continues after a missing video. Damaged data may make a video its own ancestor: no video is listed twice.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from core.domain.recipe import Change, Recipe, changes
from core.domain.video import ANCESTORS, REGENERATE, REMIX, Origin, Video
from core.library.library import Library
from core.library.lookup import HERE, TRASHED, Lookup, look_up

SHOWN = 12  # siblings and children; more are counted


@dataclass(frozen=True)
class Kin:
    """One video of a family.

    Attributes:
        video: None if it is not in the library or is unreadable.
        state: as in `core.library.lookup`.
        kind: how it was made from its parent; "" if unknown, or without a parent.
        recipe, created: of the video, or as stored by its children; None and "" if unknown.
        changes: from the recipe of its parent to its own; None if one of the two is unknown.
        children: how many videos were made from it.
        prompt: its prompt; "" if unknown.
    """

    id: str
    video: Video | None
    kind: str = ""
    recipe: Recipe | None = None
    created: str = ""
    changes: tuple[Change, ...] | None = None
    children: int = 0
    state: str = HERE
    prompt: str = ""


@dataclass(frozen=True)
class Lineage:
    """The family of a video.

    Attributes:
        ancestors: the oldest first, the parent last.
        siblings, children: the newest first, at most `SHOWN`; more_siblings, more_children: how many others.
    """

    ancestors: tuple[Kin, ...]
    itself: Kin
    siblings: tuple[Kin, ...]
    children: tuple[Kin, ...]
    more_siblings: int = 0
    more_children: int = 0

    @property
    def parent(self) -> Kin | None:
        """The video it was made from; None without one."""
        return self.ancestors[-1] if self.ancestors else None

    @property
    def alone(self) -> bool:
        """Whether no relative is known."""
        return not self.ancestors and not self.siblings and not self.children


def origin_of(library: Library, parent_id: str | None, kind: str) -> Origin | None:
    """The facts of the parent that a new video stores, so that they survive the parent."""
    if parent_id is None:
        return None
    parent = _whole(look_up(library, parent_id))
    if parent is None:
        return Origin(kind)
    before = (parent.parent,) if parent.parent else ()
    earlier = parent.origin.ancestors if parent.origin else ()
    return Origin(kind, parent.created, parent.recipe, (*before, *earlier)[:ANCESTORS])


def lineage(library: Library, video: Video) -> Lineage:
    """The family of a video of the library."""
    line = list(_upwards(library, video))
    parent = line[0] if line else None
    siblings = [one for one in library.made_from(video.parent) if one != video.id] if video.parent else []
    children = [one for one in library.made_from(video.id) if one != video.id]
    itself = _kin(library, video, parent.recipe if parent else None)
    return Lineage(
        ancestors=tuple(reversed(_with_changes(line))), itself=itself,
        siblings=tuple(_known(library, siblings[:SHOWN], parent.recipe if parent else None)),
        children=tuple(_known(library, children[:SHOWN], video.recipe)),
        more_siblings=max(0, len(siblings) - SHOWN), more_children=max(0, len(children) - SHOWN))


def _upwards(library: Library, video: Video) -> Iterator[Kin]:
    """The parent, its parent, and so on. After a missing one follows the next stored ancestor."""
    seen = {video.id}
    below: Video | None = video
    while below is not None and len(seen) <= ANCESTORS:
        remembered = [below.parent, *(below.origin.ancestors if below.origin else ())]
        origin, below = below.origin, None
        for number, video_id in enumerate(remembered):
            if video_id is None or video_id in seen:
                return
            seen.add(video_id)
            found = look_up(library, video_id)
            below = _whole(found)
            if below is not None:
                yield Kin(video_id, below if found.state == HERE else None, _kind(below, None), below.recipe,
                          below.created, children=len(library.made_from(video_id)), state=found.state,
                          prompt=below.title)
                break
            yield _unread(library, found, None if number else origin)  # for earlier ancestors only the id is stored


def _with_changes(line: list[Kin]) -> list[Kin]:
    """Each with its kind and its changes from the one above it; the youngest first."""
    recipes = [*(kin.recipe for kin in line[1:]), None]
    return [replace(kin, kind=_kind(kin.video, before) if kin.video else kin.kind,
                    changes=_changed(before, kin.recipe))
            for kin, before in zip(line, recipes, strict=False)]


def _known(library: Library, ids: Iterable[str], parent: Recipe | None) -> Iterator[Kin]:
    for video_id in ids:
        found = look_up(library, video_id)
        if found.state == HERE and found.video is not None:
            yield _kin(library, found.video, parent)
        else:
            yield _unread(library, found, None)


def _kin(library: Library, video: Video, parent: Recipe | None) -> Kin:
    before = parent or (video.origin.recipe if video.origin else None)
    return Kin(video.id, video, _kind(video, before), video.recipe, video.created,
               _changed(before, video.recipe) if video.parent else None, len(library.made_from(video.id)),
               prompt=video.title)


def _whole(found: Lookup) -> Video | None:
    """The video with all facts of its sidecar, if that is readable."""
    return found.video if found.state in (HERE, TRASHED) else None


def _unread(library: Library, found: Lookup, origin: Origin | None) -> Kin:
    """An unreadable video: the reason, and the facts that its child or the index has."""
    recipe = origin.recipe if origin else None
    return Kin(found.id, None, recipe=recipe, state=found.state, prompt=recipe.prompt if recipe else found.title,
               created=origin.created if origin and origin.created else found.created,
               children=len(library.made_from(found.id)))


def _kind(video: Video, parent: Recipe | None) -> str:
    """How a video was made from its parent. Sidecars older than `Origin` show it by their verdict or recipe."""
    if video.parent is None:
        return ""
    if video.origin is not None:
        return video.origin.kind
    if video.verdict is not None:
        return REGENERATE
    return "" if parent is None else REGENERATE if parent == video.recipe else REMIX


def _changed(before: Recipe | None, after: Recipe | None) -> tuple[Change, ...] | None:
    return None if before is None or after is None else changes(before, after)
