"""The dialog of the gallery for import and export.

The session stores whether it is open: a running job redraws the complete page, which would close it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import streamlit as st

from core.errors import BadRequest, StudioError
from core.library.folder_exchange import COPIED, THERE, TransferStep
from core.library.incoming import ADDED, HEALED, HERE, REFUSED
from core.library.search.query import Query
from pages.parts.drop_import import bring_in, close
from pages.parts.formatting import plain
from pages.parts.shell import current_studio, only_looking
from pages.parts.shown_errors import show_error

_SAID = {COPIED: "copied", THERE: "there already", ADDED: "added", HERE: "already here",
         HEALED: "repaired", REFUSED: "refused"}
_REFUSED_SHOWN = 50


def transfer_button(key: str) -> None:
    """Draw the button that opens the dialog."""
    st.button("Import and export", icon=":material/swap_vert:", key=key, on_click=st.session_state.update,
              kwargs={"transferring": True})


def transfer(query: Query) -> None:
    """Draw the dialog while it is open. `query`: the search of the gallery."""
    if st.session_state.get("transferring"):
        _dialog(query)


@st.dialog("Import and export", width="large", icon=":material/swap_vert:", on_dismiss=close)
def _dialog(query: Query) -> None:
    if only_looking():
        st.caption(":material/lock: A newer studio wrote this library: you can export videos from it, but not "
                   "import any.")
    files, libraries = st.tabs(["Files", "Whole libraries"])
    with files:
        bring_in()
    with libraries:
        _export(query)
        st.divider()
        _import()


def _export(query: Query) -> None:
    """Draw the export of the gallery's results into a folder."""
    studio = current_studio()
    found, stored = studio.search(replace(query, page_size=1)).total, studio.search(Query(page_size=1)).total
    which = "the one video" if found == 1 else f"{'all' if found == stored else 'the'} {found:,} videos"
    which += " of this library" if found == stored else " that the filters let through"
    st.text(f"Export {which} into a folder that another studio can open or import.")
    st.session_state.setdefault("export_folder", str(studio.settings.data_dir / "exports" /
                                                     f"{datetime.now(UTC):%Y-%m-%d}"))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Folder to export into", key="export_folder", width="stretch",
                      help="On the machine the studio runs on. Files that are there already are not copied again.")
        begun = st.button("Export", icon=":material/folder_copy:", key="export", disabled=not found)
    if begun:
        _follow("export", lambda folder: studio.transfer.export(query, folder), st.session_state.export_folder)


def _import() -> None:
    """Draw the import of a folder of another studio."""
    st.text("Import an exported folder, or any folder with MP4s. Videos that are here already are not added again; "
            "their tags and favourites are merged.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Folder to import", key="import_folder", width="stretch", placeholder="/media/usb/library",
                      help="On the machine the studio runs on.")
        begun = st.button("Import", icon=":material/drive_folder_upload:", key="import",
                          disabled=only_looking() or not st.session_state.import_folder.strip())
    if begun:
        _follow("import", current_studio().transfer.import_folder, st.session_state.import_folder)


def _follow(name: str, begin: Callable[[Path], Iterator[TransferStep]], text: str) -> None:
    """Run a transfer and draw its progress. Stop ends it: finished files stay, and a new run does the rest."""
    counts, refused = Counter[str](), []
    bar = st.progress(0.0, "Looking at the files")
    stop = st.empty()
    stop.button("Stop", key=f"stop_{name}", help="Finished files stay. Start again to do the rest.")
    try:
        for step in begin(_absolute(text)):
            counts[step.outcome] += 1
            bar.progress(step.number / step.total, f"{step.number:,} of {step.total:,}")
            if step.outcome == REFUSED:
                refused.append(step)
    except StudioError as error:
        show_error(error)
    bar.empty()
    stop.empty()
    _report(counts, refused)


def _report(counts: Counter[str], refused: list[TransferStep]) -> None:
    if counts:
        text = ", ".join(f"{number:,} {_SAID[outcome]}" for outcome, number in counts.items())
        (st.warning if refused else st.success)(f"{text[0].upper()}{text[1:]}.")
    for step in refused[:_REFUSED_SHOWN]:
        st.caption(f"{plain(step.name)}: {plain(step.reason)}")
    if len(refused) > _REFUSED_SHOWN:
        st.caption(f"and {len(refused) - _REFUSED_SHOWN:,} more; `python -m core import` lists all")


def _absolute(text: str) -> Path:
    """The folder that a person named. Raises BadRequest: the path is relative."""
    folder = Path(text.strip()).expanduser()
    if not folder.is_absolute():
        raise BadRequest("folder", f"{text.strip()!r} is not an absolute path. Give the path from the root on.")
    return folder
