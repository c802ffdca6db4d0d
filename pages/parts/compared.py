"""Two videos side by side: the address names them, `?compare=ID,ID`."""

import streamlit as st

from core.domain.recipe import changes
from core.domain.verdict import causes
from core.domain.video import Video, is_id
from core.errors import BadRequest
from core.library.comparison import Comparison
from core.library.lookup import HERE
from core.library.media.panels import DIFFERENCE, A, B
from pages.parts.formatting import FIELDS, age, cause, moment, plain, seconds, shorten, size
from pages.parts.player import show_verdict
from pages.parts.scrubber import clip_url, scrubber
from pages.parts.shell import GALLERY, current_studio
from pages.parts.video_card import open_video

LATELY = 3  # a progress bar appears after this many frames


def compare(a: str, b: str) -> None:
    """Put two videos into the address; the gallery then shows them side by side."""
    st.query_params["compare"] = f"{a},{b}"


def compare_from(a: str, b: str, key: str) -> None:
    """Draw a button, outside the gallery, that opens the comparison there. The back button opens B."""
    if st.button("Compare", icon=":material/compare:", key=key, help="With the video it was made from"):
        st.switch_page(GALLERY, query_params={"video": b, "compare": f"{a},{b}"})


def is_here(video_id: str | None) -> bool:
    """Whether the library has that video undamaged, so it can be compared."""
    return video_id is not None and current_studio().look_up(video_id).state == HERE


def stop_comparing() -> None:
    """Return to the place where the comparison was opened."""
    st.query_params.pop("compare", None)


def asked_pair(text: str) -> tuple[str, str]:
    """The two ids of the address. Raises BadRequest: the text is not two ids."""
    ids = text.split(",")
    if len(ids) != 2 or not all(is_id(video_id) for video_id in ids):
        raise BadRequest("compare", "needs the ids of two videos with a comma between them, ?compare=ID,ID.")
    return ids[0], ids[1]


def compared(asked: str) -> None:
    """Draw the comparison that the address names. Raises StudioError: a video is missing or cannot be compared."""
    a, b = (current_studio().video(video_id) for video_id in asked_pair(asked))
    comparison = _made(a, b)
    with st.container(horizontal=True, vertical_alignment="center", key="compared_head"):
        for letter, video in (("A", a), ("B", b)):
            st.button(f"Open {letter}", icon=":material/play_arrow:", key=f"open_{letter.lower()}", on_click=_open,
                      args=(video.id,))
        st.button("Swap", icon=":material/swap_horiz:", key="swap", on_click=compare, args=(b.id, a.id))
        st.space("stretch")
        st.link_button("Download as one MP4", f"{clip_url(comparison)}&download=1", icon=":material/download:")
    if a.title == b.title:
        st.text(a.title)
    if b.parent == a.id and b.verdict is not None:
        show_verdict(b.verdict, b.result.num_frames)
    st.text(summary(comparison))
    for note in comparison.notes:
        st.info(plain(note), icon=":material/info:")
    scrubber(comparison, {A: ("A", _named(a, b)), B: ("B", _named(b, a)),
                          DIFFERENCE: ("Difference", "black where equal")})
    _differences(a, b)
    _numbers(comparison)


def _made(a: Video, b: Video) -> Comparison:
    """Make the comparison and draw its progress. Leaving the page stops it."""
    place, bars = st.empty(), []

    def tell(done: int, total: int) -> None:
        if done == LATELY:
            with place.container(horizontal=True, vertical_alignment="center"):
                bars.append(st.progress(0.0))
                st.button("Stop", icon=":material/close:", key="stop_comparing", on_click=stop_comparing)
        for bar in bars:
            bar.progress(done / total, text=f"Comparing frame {done} of {total}")

    comparison = current_studio().comparisons.of(a.id, b.id, tell)
    place.empty()
    return comparison


def summary(comparison: Comparison) -> str:
    """The measured values over all frames, as a sentence."""
    count = len(comparison.psnr_db)
    if comparison.equal:
        return f"The files show the same: no pixel of the {count} frames differs."
    if not count:
        return "Not measured, for the reason below."
    equal = sum(value is None for value in comparison.psnr_db)
    if equal == count:
        return f"No pixel of the {count} frames that both have differs."
    likeness = f", SSIM {comparison.mean_ssim:.3f}" if comparison.mean_ssim is not None else ""
    same = f" {equal} of them are equal, pixel for pixel." if equal else ""
    return f"Over {count} frames: PSNR {comparison.total_psnr_db:.1f} dB{likeness}.{same}"


def _named(video: Video, other: Video) -> str:
    kin = "regenerated" if video.parent == other.id and video.verdict else ""
    seed = f"seed {video.recipe.seed}" if video.recipe else "from outside"
    return ", ".join(filter(None, (kin, seed, age(video.created))))


def _differences(a: Video, b: Video) -> None:
    """Draw the differences between the recipes, and between the runs."""
    known = a.recipe and b.recipe
    asked = changes(a.known_recipe(), b.known_recipe()) if known else ()
    rows = [(FIELDS[change.name], _value(change.before), _value(change.after)) for change in asked]
    if known and a.receipt.frames_sha256 != b.receipt.frames_sha256:
        rows.append(("Frames' SHA-256", a.receipt.frames_sha256[:16], b.receipt.frames_sha256[:16]))
    if known:
        rows.append(("Took", seconds(a.runtime.total_s), seconds(b.runtime.total_s)))
    rows += [("File", size(a.result.bytes), size(b.result.bytes)),
             ("Created", moment(a.created), moment(b.created)), ("Id", a.id, b.id)]
    st.markdown("**What differs**")
    if not known:
        outside = " and ".join(letter for letter, video in (("A", a), ("B", b)) if not video.recipe)
        st.caption(f"{outside} came from outside: the settings are unknown.")
    elif not asked:
        st.caption("Both were asked for with the same settings, seed included.")
    st.table({"": [row[0] for row in rows], "A": [plain(row[1]) for row in rows],
              "B": [plain(row[2]) for row in rows]}, hide_index=True, border="horizontal")
    why = causes(a.receipt, b.receipt) if known else ()
    if why:
        st.markdown("When they were made (A → B):\n" + "\n".join(f"- {plain(cause(each))}" for each in why))
    elif known:
        st.caption("Both were made with the same weights, machine and versions.")


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else shorten(str(value), 300) or "none"


def _numbers(comparison: Comparison) -> None:
    if not comparison.psnr_db:
        return
    with st.expander("The numbers of each frame", icon=":material/table_chart:"):
        count = len(comparison.psnr_db)
        st.dataframe({
            "Frame": list(range(1, count + 1)),
            "PSNR (dB)": ["equal" if value is None else f"{value:.2f}" for value in comparison.psnr_db],
            "SSIM": ["" if value is None else f"{value:.4f}" for value in comparison.ssim]}, hide_index=True)
        st.caption("PSNR over all pixels and channels of the two files, in decibels. SSIM after Wang et al. 2004, "
                   "on luma, 11×11 Gaussian window. The pictures above are encoded once more; the numbers come "
                   "from the files themselves.")


def _open(video_id: str) -> None:
    stop_comparing()
    open_video(video_id)


