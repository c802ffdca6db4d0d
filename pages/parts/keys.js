// The keys of an opened video, and the link back from it. Installed once a tab; it acts only while the address names a video.
(() => {
  if (window.studioKeys) return;
  window.studioKeys = true;

  const FIELD = "input, textarea, select, [contenteditable=true]";
  const CONTROL = "button, a, summary, video, [role=button], [role=radio], [role=tab], [role=option], [tabindex]";
  const BUTTONS = { arrowleft: "previous", arrowright: "next", delete: "delete", f: "favorite", r: "regenerate_opened" };
  const STEPS = { arrowleft: -1, arrowright: 1 };
  const LEADS = ["arrowleft", "arrowright", "delete"]; // these open another video
  const PATIENCE_MS = 20000;
  let kept = null; // the key that was pressed before its target was drawn
  let left = null; // the video that the person leaves; the address still names it

  function opened() {
    const asked = new URLSearchParams(location.search);
    return asked.has("compare") ? null : asked.get("video");
  }

  // The target of a key for the video of the address; null while the page still shows the video before it.
  function meant(key) {
    const film = document.querySelector(".st-key-film video");
    const shown = film && (film.currentSrc || film.src).includes(opened());
    if (key === " ") return shown ? film : null;
    if (key === "r" ? !shown : !document.querySelector(`.st-key-head_of_${opened()}`)) return null;
    return document.querySelector(`.st-key-${BUTTONS[key]} button`);
  }

  function leaving() {
    return left && left.video === opened() && left.until > performance.now();
  }

  function strike(event) {
    const before = kept;
    kept = null;
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.repeat || !opened()) return;
    const at = event.target instanceof Element ? event.target : document.body;
    const key = event.key.toLowerCase();
    if (at.closest(FIELD) || !(key === " " || key in BUTTONS)) return;
    const step = STEPS[key] || 0;
    const target = step && leaving() ? null : meant(key);
    if (!target) {
      take(event);
      keep(key, step && step + (before ? before.steps : 0));
    } else if (key !== " ") {
      take(event);
      press(target, key);
    } else {
      const control = at.closest(CONTROL);
      if (control && control.matches(":focus-visible")) return;
      take(event);
      if (target.paused) play(target); else target.pause();
    }
  }

  // `steps`: for an arrow, the number of videos still to move after the next one (below 0: backwards).
  function keep(key, steps) {
    if (key in STEPS && !steps) return;
    if (steps) key = steps < 0 ? "arrowleft" : "arrowright";
    kept = { key, steps, video: opened(), until: performance.now() + PATIENCE_MS };
    drawing.observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["class"] });
  }

  const drawing = new MutationObserver(() => {
    const waits = kept && kept.until > performance.now() && opened();
    const there = waits && (kept.steps ? !leaving() : kept.video === opened());
    const target = there && meant(kept.key);
    if (waits && !target && (kept.steps || there)) return;
    const { key, steps } = target ? kept : {};
    kept = null;
    drawing.disconnect();
    if (!target) return;
    if (key === " ") play(target); else press(target, key);
    if (steps && leaving()) keep(key, steps - STEPS[key]);
  });

  function press(button, key) {
    if (button.disabled) return;
    if (LEADS.includes(key)) left = { video: opened(), until: performance.now() + PATIENCE_MS };
    button.click();
  }

  function take(event) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  function play(film) {
    film.play().catch((error) => {
      const place = film.closest(".st-key-film");
      if (place && error.name === "NotAllowedError") place.dataset.still = "true"; // a large play sign appears
    });
  }

  // A page opened by its address has had no click yet. Some browsers then do not start even a muted video.
  function begin() {
    const film = opened() && meant(" ");
    if (film && film.muted && film.paused && film.currentTime === 0) play(film);
  }

  function moves(event) {
    const place = event.target instanceof Element && event.target.closest(".st-key-film");
    if (place) delete place.dataset.still;
  }

  // The link of the current page returns to the results. Streamlit alone would draw the same video again.
  function back(event) {
    const link = event.target instanceof Element && event.target.closest("a[href]");
    const button = document.querySelector(".st-key-back button");
    if (!link || !button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    if (link.pathname !== location.pathname || link.search) return;
    take(event);
    button.click();
  }

  window.addEventListener("keydown", strike, true);
  window.addEventListener("click", back, true);
  window.addEventListener("pointerdown", () => { kept = null; }, true);
  document.addEventListener("canplay", begin, true);
  document.addEventListener("playing", moves, true);
  begin();
})();
