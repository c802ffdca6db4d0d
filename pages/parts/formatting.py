"""Texts of the screens: durations, sizes, ages, states and verdicts. Pure functions that return text."""

import re
from datetime import UTC, datetime
from typing import Literal

from core.domain.verdict import DRIFTED, EQUIVALENT, IDENTICAL, Verdict
from core.errors import BadRequest, StudioError
from core.families.registry import MODELS
from core.jobs.kinds.registry import KINDS
from core.jobs.queue.job import PAUSED, QUEUED, RUNNING, Job, now, seconds_between

FIELDS = {
    "prompt": "Prompt", "negative_prompt": "Negative prompt", "model": "Model", "num_frames": "Frames",
    "num_inference_steps": "Steps", "guidance_scale": "Guidance", "fps": "Frames per second", "seed": "Seed",
    "width": "Width", "height": "Height", "scheduler": "Scheduler", "seeds": "Seeds to try",
    "audition_steps": "Steps of a try",
    "memory": "Memory",
    "folder": "Folder",
    "compare": "Comparing",
    "tags": "Tags",
    "mode": "Mode",
}
Colour = Literal["red", "orange", "yellow", "blue", "green", "violet", "gray", "grey", "primary"]
"""The colours of a badge."""

VERDICT_COLORS: dict[str, Colour] = {IDENTICAL: "green", EQUIVALENT: "blue", DRIFTED: "orange"}
VERDICT_ICONS = {IDENTICAL: ":material/verified:", EQUIVALENT: ":material/check:", DRIFTED: ":material/warning:"}
_MARKS = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&^=])")


def plain(text: str) -> str:
    """The text on one line, escaped so that Markdown shows every letter as it is."""
    return _MARKS.sub(r"\\\1", " ".join(text.split()))


def shorten(text: str, length: int) -> str:
    """A text of at most `length` letters; a longer one is cut between words and gets an ellipsis."""
    text = " ".join(text.split())
    if len(text) <= length:
        return text
    cut = text[:length - 1]
    if text[length - 1] != " " and " " in cut[length // 2:]:
        cut = cut.rsplit(" ", 1)[0]
    return cut.rstrip(" ,.;:") + "…"


def model_title(key: str | None) -> str:
    """The name of a model for people: the title of its row, else the name of its folder."""
    return MODELS[key].title if key in MODELS else plain(key or "")


def short_seed(seed: int | None) -> str:
    """A seed in at most 10 characters: `1234`, `5213…8665`."""
    text = "" if seed is None else str(seed)
    return text if len(text) <= 10 else f"{text[:4]}…{text[-4:]}"


def seconds(value: float) -> str:
    """A duration: `8 s`, `2 min 5 s`, `1 h 4 min`."""
    whole = max(0, round(value))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def roughly(value: float) -> str:
    """An estimated duration, rounded to its precision: `8 s`, `35 s`. The caller adds `about`."""
    for limit, unit in ((20, 1), (60, 5), (600, 30), (3600, 60)):
        if value < limit:
            return seconds(max(1, round(value / unit) * unit))
    return seconds(round(value / 600) * 600)


def failure(error: StudioError) -> str:
    """The sentence of a failure. For a refused value it begins with the title of the field in the form."""
    if not isinstance(error, BadRequest):
        return str(error)
    if error.field == "request":  # the error belongs to no field
        return error.reason[:1].upper() + error.reason[1:]
    return f"{FIELDS.get(error.field, error.field)}: {error.reason}"


def size(count: float) -> str:
    """Bytes: `812 kB`, `3.7 GB`."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= limit:
            number = count / limit
            return f"{number:.1f} {unit}" if number < 100 else f"{number:.0f} {unit}"
    return f"{count:.0f} bytes"


def some(count: int, noun: str) -> str:
    """`1 video`, `1,204 videos`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def since(created: str, now: datetime | None = None) -> float:
    """Seconds from an ISO 8601 time until now; 0 when it cannot be read."""
    try:
        then = datetime.fromisoformat(created)
    except ValueError:
        return 0.0
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return ((now or datetime.now(UTC)) - then).total_seconds()


def moment(created: str) -> str:
    """A moment (UTC, ISO 8601) for people: `2026-11-30 12:04:05 UTC`."""
    return f"{created[:19].replace('T', ' ')} UTC"


def age(created: str, now: datetime | None = None) -> str:
    """The time since then: `just now`, `5 min ago`, `2 h ago`, `3 days ago`, then the date."""
    passed = since(created, now)
    if passed < 60:
        return "just now"
    if passed < 3600:
        return f"{passed / 60:.0f} min ago"
    if passed < 86400:
        return f"{passed / 3600:.0f} h ago"
    if passed < 7 * 86400:
        days = round(passed / 86400)
        return "yesterday" if days == 1 else f"{days} days ago"
    return created[:10]


def fitting_width(width: int, height: int, tallest: int) -> int:
    """The width, in pixels of the screen, of a picture of that shape that is `tallest` high; at least 160."""
    return max(160, round(tallest * width / height))


def phase(job: Job) -> str:
    """The present state of a job: `Step 12 of 20`, `Decoding 3 of 16`, `Paused at step 12 of 25`."""
    if job.cancel_requested and job.state == RUNNING:
        return "Cancelling"
    if job.state == PAUSED:
        return f"Paused at {_step(job).lower()}" if job.total else "Paused"
    if job.state == QUEUED:
        place = "Next in line" if job.position <= 1 else f"Number {job.position} in line"
        if not job.total or KINDS[job.kind].words.steps_of(job.task):  # a step number over several runs is useless here
            return place
        return f"{place}, resumes after step {job.done} of {job.total}"
    if can_pause(job) and job.pause_requested:
        return "Pausing after this step"
    if job.state == "committing" or job.phase == "publishing":
        return "Saving"
    if job.phase == "downloading":
        of = f" of {size(job.total)}" if job.total else ""
        return f"Downloading the model: {size(job.done)}{of}"
    if job.phase == "denoising":
        return _step(job)
    if job.phase == "decoding":
        return f"Decoding {job.done} of {job.total}"
    writing = KINDS[job.kind].words.writing
    loading = "Loading the model" if job.task.model else "Starting"
    return {"loading": loading, "encoding": writing}.get(job.phase, "Starting")


def _step(job: Job) -> str:
    """`Step 12 of 20`; of an audition `Seed 3 of 6, step 4 of 7`."""
    return KINDS[job.kind].words.step(job.task, job.done, job.total)


def made_of(job: Job) -> str:
    """The words that distinguish jobs of the same prompt, for a caption: `seed 42`, or `6 seeds at 7 steps`."""
    return KINDS[job.kind].words.made_of(job.task)


def can_pause(job: Job) -> bool:
    """Whether a job runs and its frames are not made yet."""
    return job.state == RUNNING and job.phase in ("queued", "downloading", "loading", "denoising")


def fraction(job: Job) -> float:
    """The finished part of a running job, 0 to 1. A download is counted separately."""
    part = job.done / job.total if job.total else 0.0
    start, share = {"downloading": (0.0, 1.0), "loading": (0.02, 0.0), "denoising": (0.04, 0.76),
                    "decoding": (0.80, 0.14), "encoding": (0.95, 0.0), "publishing": (0.98, 0.0)}.get(
                        "denoising" if job.state == PAUSED else job.phase, (0.0, 0.0))
    return min(1.0, start + share * part)


def elapsed(job: Job) -> float:
    """Seconds since the start of a job, or until its end."""
    return seconds_between(job.started, job.ended or now())


def remaining(job: Job) -> float | None:
    """The remaining seconds of a job, from the pace of its present phase; None while the pace is unknown."""
    if job.state != RUNNING or job.phase not in ("downloading", "denoising", "decoding") \
            or job.done - job.phase_from < 2:
        return None
    a_unit = seconds_between(job.phase_started, now()) / (job.done - job.phase_from)
    left = a_unit * max(0, job.total - job.done)
    after = KINDS[job.kind].words.after_steps(job.task) if job.phase == "denoising" else 0.0
    return left + after * a_unit * job.total


def verdict_title(verdict: Verdict) -> str:
    """`Identical`, `Equivalent` or `Drifted`."""
    return verdict.verdict.capitalize()


def cause(text: str) -> str:
    """A cause of a difference for people. Of two CPU capabilities it shows the levels, or the differing features."""
    levels = re.search(r"\((\w+) \(([^()]*)\) → (\w+) \(([^()]*)\)\)", text)
    if levels is None:
        return text
    was, had, level, has = levels.groups()
    if was == level:
        before, now = (re.split(r",? ", each) for each in (had, has))
        was = " ".join(word for word in before if word not in now) or "none"
        level = " ".join(word for word in now if word not in before) or "none"
    return f"{text[:levels.start()]}({was} → {level}){text[levels.end():]}"


def verdict_text(verdict: Verdict, num_frames: int) -> str:
    """The meaning of a verdict in words, with its likely causes."""
    causes = "; ".join(map(cause, verdict.causes))
    psnr = f" (PSNR {verdict.psnr_db:.0f} dB)" if verdict.psnr_db is not None else ""
    if verdict.verdict == IDENTICAL:
        frames = f"all {num_frames} frames" if num_frames > 1 else "the frame"
        note = f" This holds although this run had {causes}." if causes else ""
        return f"Every pixel of {frames} is the same.{note}"
    if verdict.verdict == EQUIVALENT:
        return f"Looks the same{psnr}. {('Because: ' + causes + '.') if causes else 'No cause is known.'}"
    return f"Different{psnr}. {('Likely because: ' + causes + '.') if causes else 'No cause is known.'}"
