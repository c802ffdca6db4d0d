"""The two keys of an opened video that no button's `shortcut` can be: R makes it again, space plays and pauses.

Streamlit refuses R as a shortcut because it takes that key itself, to run the page again; nobody needs that where
a page keeps itself up to date. So this listens before Streamlit does, and only while a video is open: everywhere
else R is Streamlit's as before. In a field both keys are the field's, and a control that was reached by the
keyboard keeps its space bar.
"""

import streamlit as st

_LISTENER = st.components.v2.component("studio_keys", js="""
const FIELD = "input, textarea, select, [contenteditable=true]";
const CONTROL = "button, a, summary, video, [role=button], [role=radio], [role=tab], [role=option], [tabindex]";

function strike(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.repeat) return;
  const at = event.target instanceof Element ? event.target : document.body;
  if (at.closest(FIELD)) return;
  if (event.key.toLowerCase() === "r") {
    const button = document.querySelector(".st-key-regenerate_opened button");
    if (!button) return;
    take(event);
    if (!button.disabled) button.click();
  } else if (event.key === " ") {
    const control = at.closest(CONTROL);
    const film = document.querySelector(".st-key-film video");
    if (!film || (control && control.matches(":focus-visible"))) return;
    take(event);
    if (film.paused) film.play().catch(() => {}); else film.pause();
  }
}

// A page opened by its address has had no click yet, and a browser may then leave even a silent film standing.
function begin() {
  const film = document.querySelector(".st-key-film video");
  if (film && film.muted && film.paused && film.currentTime === 0) film.play().catch(() => {});
}

function take(event) {
  event.preventDefault();
  event.stopImmediatePropagation();
}

const LISTENERS = new WeakMap();

export default function ({ parentElement }) {
  if (!LISTENERS.has(parentElement)) {
    const listener = (event) => strike(event);
    LISTENERS.set(parentElement, listener);
    document.addEventListener("keydown", listener, true);
    document.addEventListener("canplay", begin, true);
    begin();
  }
  return () => {
    document.removeEventListener("keydown", LISTENERS.get(parentElement), true);
    document.removeEventListener("canplay", begin, true);
    LISTENERS.delete(parentElement);
  };
}
""")


def opened_keys(again: bool) -> None:
    """Listen, as long as this is drawn, and say so. The other keys stand on their buttons.

    Args:
        again: the video can be made again.
    """
    with st.container(key="keys", gap=None):
        st.caption(f"Space plays and pauses{' · R regenerates with the same seed' if again else ''}")
        _LISTENER(key="listener")
