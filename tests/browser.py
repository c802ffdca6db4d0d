"""A real server and a real Chromium, with which the browser tests drive the studio."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Locator, Page, expect

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]
PATIENCE_MS = 30_000
HARMLESS = "The play() request was interrupted because the media was removed"
"""Streamlit starts a looped film again when it ends, also when it was removed from the page before that."""


def listen(page: Page) -> list[str]:
    """The errors in the scripts of a page from now on; the list grows."""
    broken: list[str] = []
    page.on("pageerror", lambda error: None if HARMLESS in str(error) else broken.append(str(error)))
    return broken


@dataclass
class Server:
    """A studio that is being served, and its log."""

    url: str
    process: subprocess.Popen
    log: Path

    def warnings(self) -> list[str]:
        """The complaints of Streamlit: an element drawn where it may not be, a field with two values."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if "not officially supported" in line or "with a default value" in line]


@contextmanager
def served(data_dir: Path, models_dir: Path, model: str = "tiny", **settings: object) -> Iterator[Server]:
    """The app as a person starts it, on a free port of this machine; stopped as Ctrl+C stops it."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    values = {"DATA_DIR": data_dir, "MODELS_DIR": models_dir, "MODEL": model, "DEVICE": "cpu", "OFFLINE": 1,
              "MIN_FREE_MB": 0, **settings}
    environment = {**os.environ, **{f"T2V_{name}": str(value) for name, value in values.items()},
                   "OMP_NUM_THREADS": "1"}
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.port", str(port)],
            cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    server = Server(f"http://127.0.0.1:{port}", process, log)
    try:
        _wait_until_healthy(server)
        yield server
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)


def _wait_until_healthy(server: Server) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise RuntimeError(f"The server ended:\n{server.log.read_text()}")
        try:
            with urlopen(f"{server.url}/_stcore/health", timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"The server did not answer:\n{server.log.read_text()}")


class Screen:
    """One tab of a person, to look at and press."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self._url = url
        page.set_default_timeout(PATIENCE_MS)

    def go(self, path: str = "/") -> "Screen":
        """Open an address, and wait until the page is drawn."""
        self.page.goto(self._url + path)
        return self.settled()

    def reload(self) -> "Screen":
        self.page.reload()
        return self.settled()

    def settled(self) -> "Screen":
        self.page.wait_for_selector('[data-testid="stApp"][data-test-connection-state="CONNECTED"]')
        self.page.wait_for_selector('[data-testid="stSpinner"]', state="detached")
        return self

    def at(self, key: str) -> Locator:
        """The element with that key."""
        return self.page.locator(f".st-key-{key}")

    def press(self, key: str) -> "Screen":
        """Press the button with that key."""
        self.at(key).get_by_role("button").first.click()
        return self

    def strike(self, key: str) -> "Screen":
        """Press a key of the keyboard, once the page was sent to its end; it may not be drawn to its end yet."""
        self.page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
        if "video=" in self.page.url:
            self.page.wait_for_function("window.studioKeys")
        self.page.keyboard.press(key)
        return self

    def unfold(self, key: str) -> "Screen":
        """Open the folded part with that key."""
        self.at(key).locator("summary").first.click()
        return self

    def drawn_over(self, element: Locator) -> str:
        """The picture that the style sheet lays over an element, as an address; `none` without one."""
        return element.evaluate("element => getComputedStyle(element, '::after').backgroundImage")

    def choose_row(self, key: str, number: int) -> "Screen":
        """Press the poster in a row of the table with that key; the table is a drawing, so by its place."""
        self.at(key).locator(".dvn-scroller").first.click(position={"x": 72, "y": 34 + 66 * number + 33})
        return self

    def write(self, key: str, text: str) -> "Screen":
        field = self.at(key).locator("input, textarea").first
        field.fill(text)
        field.press("Tab")
        return self

    def pick(self, key: str, option: str) -> "Screen":
        """Choose an option of the list with that key; written into it, because a long list draws only its top."""
        field = self.at(key).locator("input").first
        field.click()
        field.fill(option)
        self.page.get_by_role("option", name=option, exact=True).first.click()
        return self

    def box(self, element: Locator) -> dict:
        """Where an element stands once it is drawn and no longer drawn again."""
        before, deadline = None, time.monotonic() + PATIENCE_MS / 1000
        while (now := element.bounding_box()) is None or now != before:
            assert time.monotonic() < deadline, (element, before, now)
            before = now
            self.page.wait_for_timeout(100)
        return now

    def holds(self, key: str, value: str | re.Pattern[str]) -> "Screen":
        """The field with that key has this value, now or in a moment."""
        expect(self.at(key).locator("input, textarea").first).to_have_value(value, timeout=PATIENCE_MS)
        return self

    def sees(self, text: str | re.Pattern[str]) -> "Screen":
        expect(self.page.get_by_text(text).first).to_be_visible(timeout=PATIENCE_MS)
        return self

    def sees_not(self, text: str) -> "Screen":
        expect(self.page.get_by_text(text)).to_have_count(0, timeout=PATIENCE_MS)
        return self

    def follow_progress(self, until: str, limit_s: float = 60) -> list[str]:
        """Every different line of progress that was seen until the element with that key appeared."""
        seen: list[str] = []
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            lines = self.page.locator('[data-testid="stProgress"]').all_inner_texts()
            seen += [line for line in lines[:1] if line not in seen]
            if self.at(until).count():
                return seen
            self.page.wait_for_timeout(20)
        raise AssertionError(f"{until} did not appear; seen: {seen}")

    def generate(self, prompt: str) -> str:
        """Write a prompt, press Generate, and wait for its video on the stage; the id of the video."""
        stage = self.at("stage")
        self.write("f_prompt", prompt).press("generate")
        expect(stage.get_by_text(prompt, exact=True).first).to_be_visible(timeout=PATIENCE_MS)
        expect(stage.locator('[data-testid="stProgress"]')).to_have_count(0, timeout=PATIENCE_MS)
        expect(self.at("actions_stage")).to_be_visible(timeout=PATIENCE_MS)
        return re.search(r"\d{8}-\d{6}-[0-9a-f]{6}", self.playing()["source"]).group()

    def playing(self, video_id: str = "") -> dict:
        """The state of the player, once it has begun to play that video."""
        begun = (f"(v => v && v.currentSrc.includes('{video_id}') && (v.error || v.currentTime > 0.05))"
                 "(document.querySelector('video'))")
        state = "(v => v && [v.paused, v.readyState, v.currentSrc])(document.querySelector('video'))"
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not self.page.evaluate(begun):
            assert time.monotonic() < deadline, (self.page.evaluate("location.href"), self.page.evaluate(state))
            self.page.wait_for_timeout(50)
        return self.page.evaluate(
            "() => {const v = document.querySelector('video'); return {width: v.videoWidth, height: v.videoHeight,"
            " error: v.error && v.error.message, muted: v.muted, source: v.currentSrc}}")

    def begins_again(self) -> "Screen":
        """Go near the end of the video, and wait until it plays from its beginning."""
        self.page.evaluate("() => {const v = document.querySelector('video'); v.currentTime = v.duration - 0.2}")
        self.page.wait_for_function("() => {const v = document.querySelector('video');"
                                    " return !v.paused && v.currentTime < v.duration / 2}", timeout=PATIENCE_MS)
        return self
