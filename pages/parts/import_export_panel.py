"""Import and export: the dialog of the gallery in which videos come in and go out.

Whether it is open is kept with the session: what is being made redraws the whole page, and would close it.
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
         HEALED: "made whole again", REFUSED: "refused"}
_REFUSED_SHOWN = 50


def transfer_button(key: str) -> None:
    """The way to the dialog."""
    st.button("Import and export", icon=":material/swap_vert:", key=key, on_click=st.session_state.update,
              kwargs={"transferring": True})


def transfer(query: Query) -> None:
    """The dialog, while it is open. `query`: what the gallery shows."""
    if st.session_state.get("transferring"):
        _dialog(query)


@st.dialog("Import and export", width="large", icon=":material/swap_vert:", on_dismiss=close)
def _dialog(query: Query) -> None:
    if only_looking():
        st.caption(":material/lock: A newer studio wrote this library: videos can be exported from it, and none "
                   "brought in.")
    files, libraries = st.tabs(["Files", "Whole libraries"])
    with files:
        bring_in()
    with libraries:
        _export(query)
        st.divider()
        _import()


def _export(query: Query) -> None:
    """Copy what the gallery shows into a folder."""
    studio = current_studio()
    found, kept = studio.search(replace(query, page_size=1)).total, studio.search(Query(page_size=1)).total
    which = "the one video" if found == 1 else f"{'all' if found == kept else 'the'} {found:,} videos"
    which += " of this library" if found == kept else " that the filters let through"
    st.text(f"Export {which} into a folder that another studio can open or import.")
    st.session_state.setdefault("export_folder", str(studio.settings.data_dir / "exports" /
                                                     f"{datetime.now(UTC):%Y-%m-%d}"))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Folder to export into", key="export_folder", width="stretch",
                      help="On the machine the studio runs on. What is there already is not copied again.")
        begun = st.button("Export", icon=":material/folder_copy:", key="export", disabled=not found)
    if begun:
        _follow("export", lambda folder: studio.transfer.export(query, folder), st.session_state.export_folder)


def _import() -> None:
    """Take in the folder of another studio."""
    st.text("Import a folder that was exported, or any folder with MP4s. What is here already is not added again; "
            "tags and favourites are joined.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Folder to import", key="import_folder", width="stretch", placeholder="/media/usb/library",
                      help="On the machine the studio runs on.")
        begun = st.button("Import", icon=":material/drive_folder_upload:", key="import",
                          disabled=only_looking() or not st.session_state.import_folder.strip())
    if begun:
        _follow("import", current_studio().transfer.import_folder, st.session_state.import_folder)


def _follow(name: str, begin: Callable[[Path], Iterator[TransferStep]], text: str) -> None:
    """Run a transfer in sight. A press of Stop ends this run; what is done is kept, and it can be begun again."""
    counts, refused = Counter[str](), []
    bar = st.progress(0.0, "Looking at the files")
    stop = st.empty()
    stop.button("Stop", key=f"stop_{name}", help="What is done is kept; begin again to go on.")
    try:
        for step in begin(_whole(text)):
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
        said = ", ".join(f"{number:,} {_SAID[outcome]}" for outcome, number in counts.items())
        (st.warning if refused else st.success)(f"{said[0].upper()}{said[1:]}.")
    for step in refused[:_REFUSED_SHOWN]:
        st.caption(f"{plain(step.name)}: {plain(step.reason)}")
    if len(refused) > _REFUSED_SHOWN:
        st.caption(f"and {len(refused) - _REFUSED_SHOWN:,} more; `python -m core import` lists all")


def _whole(text: str) -> Path:
    """The folder a person named. Raises BadRequest for one that depends on where the studio was started."""
    folder = Path(text.strip()).expanduser()
    if not folder.is_absolute():
        raise BadRequest("folder", f"{text.strip()!r} is not a whole path; it must begin at the top.")
    return folder
