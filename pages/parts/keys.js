// The keys of an opened video. Installed once a tab; it acts only while the address names a video.
(() => {
  if (window.studioKeys) return;
  window.studioKeys = true;

  const FIELD = "input, textarea, select, [contenteditable=true]";
  const CONTROL = "button, a, summary, video, [role=button], [role=radio], [role=tab], [role=option], [tabindex]";
  const BUTTONS = { arrowleft: "previous", arrowright: "next", delete: "delete", f: "favorite", r: "regenerate_opened" };
  const PATIENCE_MS = 20000;
  let kept = null; // a key that was struck before what it means was drawn

  function opened() {
    const asked = new URLSearchParams(location.search);
    return asked.has("compare") ? null : asked.get("video");
  }

  function meant(key) {
    return document.querySelector(key === " " ? ".st-key-film video" : `.st-key-${BUTTONS[key]} button`);
  }

  function strike(event) {
    kept = null;
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.repeat || !opened()) return;
    const at = event.target instanceof Element ? event.target : document.body;
    const key = event.key.toLowerCase();
    if (at.closest(FIELD) || !(key === " " || key in BUTTONS)) return;
    const target = meant(key);
    if (!target) {
      take(event);
      kept = { key, video: opened(), until: performance.now() + PATIENCE_MS };
      drawing.observe(document.body, { childList: true, subtree: true });
    } else if (key === "r") {
      take(event);
      press(target);
    } else if (key === " ") {
      const control = at.closest(CONTROL);
      if (control && control.matches(":focus-visible")) return;
      take(event);
      if (target.paused) play(target); else target.pause();
    } // the others are shortcuts of their buttons, which Streamlit listens for
  }

  const drawing = new MutationObserver(() => {
    const target = kept && meant(kept.key);
    if (kept && !target && kept.video === opened() && kept.until > performance.now()) return;
    if (target && kept.video === opened()) {
      if (kept.key === " ") play(target); else press(target);
    }
    kept = null;
    drawing.disconnect();
  });

  function press(button) {
    if (!button.disabled) button.click();
  }

  function take(event) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  function play(film) {
    film.play().catch((error) => {
      const place = film.closest(".st-key-film");
      if (place && error.name === "NotAllowedError") place.dataset.still = "true"; // a large sign says how to play it
    });
  }

  // A page opened by its address has had no click yet, and a browser may then leave even a silent film standing.
  function begin() {
    const film = opened() && meant(" ");
    if (film && film.muted && film.paused && film.currentTime === 0) play(film);
  }

  function moves(event) {
    const place = event.target instanceof Element && event.target.closest(".st-key-film");
    if (place) delete place.dataset.still;
  }

  window.addEventListener("keydown", strike, true);
  window.addEventListener("pointerdown", () => { kept = null; }, true);
  document.addEventListener("canplay", begin, true);
  document.addEventListener("playing", moves, true);
  begin();
})();
