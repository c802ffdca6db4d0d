"""The commands about stored videos: search, show, verify, change, delete, import and export."""

import argparse
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from core.cli.console import Run, follow_bulk, report, show, show_trash
from core.domain.video import is_id
from core.errors import NotFound, StudioError
from core.library.search.entry import Entry
from core.library.search.query import SORTS, Query, query_from
from core.settings import Settings
from core.studio import Studio, open_studio

_WORDS = ("negative-prompt", "model", "scheduler", "mode", "lora", "owner", "parent", "verdict")
_NUMBERS = ("seed", "num-frames", "num-inference-steps", "fps", "width", "height")
_FLAGS = {"favorite": ("favorite", True, "favourites only"), "damaged": ("damaged", True, "damaged videos only"),
          "no-recipe": ("recipe", False, "only videos from outside, without a recipe")}


def list_videos(settings: Settings, arguments: argparse.Namespace) -> int:
    """List the videos, or those that match, newest first or in another order."""
    with open_studio(settings, "visit") as studio:
        query = replace(_query(studio, arguments), page=arguments.page, page_size=arguments.limit)
        page = studio.search(query)
        lines = [_line(entry) for entry in page.entries] or ["No videos. Make one: python -m core generate PROMPT"]
        show([_all_of(studio, entry) for entry in page.entries] if arguments.json else [], lines, arguments.json)
    return 0


def _line(entry: Entry) -> str:
    made = f"{entry.model}  seed {entry.seed}" if entry.recipe else "no recipe"
    return f"{entry.id}  {made}  {entry.prompt[:60]}"


def _all_of(studio: Studio, entry: Entry) -> dict[str, Any]:
    """A video's sidecar. If that is unreadable: its index row, and the problem."""
    try:
        return studio.video(entry.id).document()
    except StudioError as error:
        return {**entry.document(), "problem": str(error)}


def show_video(settings: Settings, arguments: argparse.Namespace) -> int:
    """Show one video with all its settings."""
    with open_studio(settings, "visit") as studio:
        video = studio.video(arguments.id)
        path = studio.library.mp4_path(arguments.id)
        known = video.recipe.document() if video.recipe else {"name": video.name, "recipe": "none"}
        lines = [str(path)] + [f"{name}: {value}" for name, value in known.items()]
        show({**video.document(), "path": str(path)}, lines, arguments.json)
    return 0


def verify(settings: Settings, arguments: argparse.Namespace) -> int:
    """Compare every file with its sidecar."""
    with open_studio(settings, "visit") as studio:
        findings = studio.verify(tuple(arguments.id) or None)
        lines = [f"{finding.path}: {finding.problem} {finding.mend}" for finding in findings]
        show([{**asdict(finding), "path": str(finding.path)} for finding in findings],
             lines or ["All files match their sidecars."], arguments.json)
    return 1 if findings else 0


def import_file(settings: Settings, arguments: argparse.Namespace) -> int:
    """Import an MP4 by the recipe inside it, or every MP4 below a folder."""
    with open_studio(settings, "visit") as studio:
        if arguments.path.is_dir():
            return report(studio.transfer.import_folder(arguments.path, arguments.keep_unknown), arguments.json)
        imported = studio.transfer.import_mp4(arguments.path, unknown=arguments.keep_unknown)
        path = studio.library.mp4_path(imported.video.id)
        show({**imported.video.document(), "path": str(path), "outcome": imported.outcome},
             [f"{imported.video.id}  {imported.outcome}  {path}"], arguments.json)
    return 0


def export(settings: Settings, arguments: argparse.Namespace) -> int:
    """Copy the videos, or those that match, into a folder that another studio can open or import."""
    with open_studio(settings, "visit") as studio:
        return report(studio.transfer.export(_query(studio, arguments), arguments.folder), arguments.json)


def tag(settings: Settings, arguments: argparse.Namespace) -> int:
    """Add tags to videos or remove tags, and set or clear the favourite."""
    with open_studio(settings, "visit") as studio:
        _must_be_here(arguments.id, studio.library.has)
        bulk = studio.bulk_actions.change(arguments.id, arguments.add, arguments.remove, arguments.favorite)
        return follow_bulk(studio, bulk, arguments.json)


def delete(settings: Settings, arguments: argparse.Namespace) -> int:
    """Move videos into the trash. With --for-good: remove them permanently, also from the trash."""
    with open_studio(settings, "visit") as studio:
        if len(arguments.id) == 1:
            video_id = arguments.id[0]
            trashed = studio.bulk_actions.delete_one(video_id, arguments.for_good)
            line = f"{video_id} is in the trash." if trashed else f"Deleted {video_id}."
            show({"deleted": video_id, "trashed": trashed}, [line], arguments.json)
            return 0
        _must_be_here(arguments.id, lambda video_id: studio.library.has(video_id)
                      or (arguments.for_good and studio.library.trash.has(video_id)))
        bulk = studio.bulk_actions.delete(arguments.id)
        if not arguments.for_good:
            return follow_bulk(studio, bulk, arguments.json)
        status = follow_bulk(studio, bulk, arguments.json, last=False)
        return status or follow_bulk(studio, studio.bulk_actions.erase(arguments.id), arguments.json)


def trash(settings: Settings, arguments: argparse.Namespace) -> int:
    """List the content of the trash, the latest deletion first."""
    with open_studio(settings, "visit") as studio:
        show_trash(studio.bulk_actions.trash(page_size=arguments.limit), arguments.json)
    return 0


def restore(settings: Settings, arguments: argparse.Namespace) -> int:
    """Bring videos back from the trash."""
    with open_studio(settings, "visit") as studio:
        if len(arguments.id) > 1:
            _must_be_here(arguments.id, lambda video_id: studio.library.trash.has(video_id)
                          or studio.library.has(video_id))
            return follow_bulk(studio, studio.bulk_actions.restore(arguments.id), arguments.json)
        video = studio.bulk_actions.restore_one(arguments.id[0])
        path = studio.library.mp4_path(video.id)
        show({**video.document(), "path": str(path)}, [f"{video.id}  {path}"], arguments.json)
    return 0


def _must_be_here(video_ids: list[str], is_here: Callable[[str], bool]) -> None:
    """Refuse the command before its start if one of the ids belongs to no video."""
    missing = [each for each in video_ids if not is_id(each) or not is_here(each)]
    if missing:
        raise NotFound(f"There is no video {missing[0]}"
                       + (f", and {len(missing) - 1} more of these ids have none" if len(missing) > 1 else "")
                       + ". Nothing was done.")


def reindex(settings: Settings, arguments: argparse.Namespace) -> int:
    """Rebuild the index from the sidecars."""
    with open_studio(settings, "visit") as studio:
        done = studio.reindex()
        show(done, [f"{name}: {value}" for name, value in done.items()], arguments.json)
    return 0


# Saved searches


def searches(settings: Settings, arguments: argparse.Namespace) -> int:
    """List the saved searches, sorted by name."""
    with open_studio(settings, "visit") as studio:
        found = [(saved.name, saved.query.document()) for saved in studio.searches.all()]
        lines = [f"{name}: " + ", ".join(f"{field} {value}" for field, value in query.items())
                 for name, query in found]
        show([{"name": name, "query": query} for name, query in found],
             lines or ["No searches are saved. Save one: python -m core save-search NAME --search TEXT"],
             arguments.json)
    return 0


def save_search(settings: Settings, arguments: argparse.Namespace) -> int:
    """Store a search under a name; it replaces a search of the same name."""
    with open_studio(settings, "visit") as studio:
        saved = studio.searches.save(arguments.name, _query(studio, arguments))
        found = studio.search(replace(saved.query, page_size=1)).total
        show({"name": saved.name, "query": saved.query.document(), "found": found},
             [f"Saved as {saved.name}. It finds {found:,} now."], arguments.json)
    return 0


def rename_search(settings: Settings, arguments: argparse.Namespace) -> int:
    """Give a saved search another name."""
    with open_studio(settings, "visit") as studio:
        studio.searches.rename(arguments.name, arguments.new)
        show({"name": arguments.new}, [f"{arguments.name} is {arguments.new} now."], arguments.json)
    return 0


def delete_search(settings: Settings, arguments: argparse.Namespace) -> int:
    """Delete a saved search; the videos do not change."""
    with open_studio(settings, "visit") as studio:
        studio.searches.delete(arguments.name)
        show({"deleted": arguments.name}, [f"Deleted the search {arguments.name}. The videos did not change."],
             arguments.json)
    return 0


# The options of a search


def _query(studio: Studio, arguments: argparse.Namespace) -> Query:
    """The search of the given options, added to the saved search if one is named."""
    given = {name: getattr(arguments, name) for name in
             ("text", "tags", "date_from", "date_to", "sort", "guidance_scale", "favorite", "damaged", "recipe",
              *(name.replace("-", "_") for name in (*_WORDS, *_NUMBERS)))}
    document: dict[str, Any] = {}
    if arguments.saved is not None:
        named = [saved for saved in studio.searches.all() if saved.name == arguments.saved]
        if not named:
            raise NotFound(f"There is no saved search named {arguments.saved!r}; see python -m core searches.")
        document = named[0].query.document()
    return query_from({**document, **{name: value for name, value in given.items() if value is not None}})


def _search_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--search", dest="text", metavar="TEXT",
                     help="words of prompt, negative prompt or tags; \"a phrase\"; -without; tag:word")
    sub.add_argument("--saved", metavar="NAME", help="start from this saved search")
    for name in _WORDS:
        sub.add_argument(f"--{name}")
    for name in _NUMBERS:
        sub.add_argument(f"--{name}", type=int)
    sub.add_argument("--guidance-scale", type=float)
    sub.add_argument("--tag", dest="tags", action="append", metavar="TAG", help="may be given several times")
    for day in ("from", "to"):
        sub.add_argument(f"--{day}", dest=f"date_{day}", metavar="YYYY-MM-DD", help="a day in UTC, included")
    for name, (field, value, words) in _FLAGS.items():
        sub.add_argument(f"--{name}", dest=field, action="store_const", const=value, help=words)
    sub.add_argument("--sort", choices=list(SORTS), metavar="ORDER", help=f"one of: {', '.join(SORTS)}")


def _from_one(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return number


def add_commands(command: Callable[[str, Run], argparse.ArgumentParser]) -> None:
    """Add these commands to a command line; `command` adds one by its name and its function."""
    listing = command("list", list_videos)
    _search_options(listing)
    listing.add_argument("--limit", type=_from_one, default=50, metavar="N", help="how many on a page; default 50")
    listing.add_argument("--page", type=_from_one, default=1, metavar="N")
    command("show", show_video).add_argument("id")
    command("verify", verify).add_argument("id", nargs="*")
    importing = command("import", import_file)
    importing.add_argument("path", type=Path, metavar="FILE.mp4|FOLDER")
    importing.add_argument("--keep-unknown", action="store_true",
                           help="also store videos of other programs, without a recipe")
    exporting = command("export", export)
    exporting.add_argument("folder", type=Path, metavar="FOLDER")
    _search_options(exporting)
    tagging = command("tag", tag)
    tagging.add_argument("id", nargs="+", metavar="ID")
    for name in ("add", "remove"):
        tagging.add_argument(f"--{name}", action="append", default=[], metavar="TAG",
                             help="may be given several times")
    tagging.add_argument("--favorite", action=argparse.BooleanOptionalAction)
    deleting = command("delete", delete)
    deleting.add_argument("id", nargs="+", metavar="ID")
    deleting.add_argument("--for-good", action="store_true", help="remove permanently, also from the trash")
    command("trash", trash).add_argument("--limit", type=_from_one, default=50, metavar="N")
    command("restore", restore).add_argument("id", nargs="+", metavar="ID")
    command("searches", searches)
    saving = command("save-search", save_search)
    saving.add_argument("name", metavar="NAME")
    _search_options(saving)
    renaming = command("rename-search", rename_search)
    renaming.add_argument("name", metavar="NAME")
    renaming.add_argument("new", metavar="NEW")
    command("delete-search", delete_search).add_argument("name", metavar="NAME")
    command("reindex", reindex)
