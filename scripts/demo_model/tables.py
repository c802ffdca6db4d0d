"""Counts the answers and writes them as Markdown tables."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from scripts.demo_model.measure import Measured
from scripts.demo_model.prompts import Asked

QUESTIONS = ("colour", "motion", "shape", "background")
Row = dict[str, float]
Blocks = dict[str, Row]


def answers(asked: Asked, seen: Measured) -> dict[str, bool]:
    """Compare the measurement with the prompt, question by question."""
    return {question: getattr(seen, question) == getattr(asked.clip, question) for question in QUESTIONS}


def pair_answers(asked: Asked, seen: tuple[Measured, Measured]) -> dict[str, bool]:
    """The same for two shapes side by side. An answer is right if it is right for both, each on its side."""
    clip = asked.clip
    second = replace(asked, clip=replace(clip, shape=clip.second_shape, colour=clip.second_colour))
    left, right = answers(asked, seen[0]), answers(second, seen[1])
    return {question: left[question] and right[question] for question in QUESTIONS}


def shares(marks: list[dict[str, bool]]) -> Row:
    """Return the share of right answers in percent, and the share with all four right."""
    row = {question: 100 * float(np.mean([mark[question] for mark in marks])) for question in QUESTIONS}
    row["all four"] = 100 * float(np.mean([all(mark.values()) for mark in marks]))
    return {name: round(value, 1) for name, value in row.items()}


def summary(asked: list[Asked], measured: list[Measured]) -> Row:
    """Return the shares of right answers, mean flicker, and n."""
    marks = [answers(prompt, seen) for prompt, seen in zip(asked, measured, strict=True)]
    return shares(marks) | {"flicker": round(float(np.mean([seen.flicker for seen in measured])), 1),
                            "n": len(asked)}


def pair_summary(asked: list[Asked], measured: list[tuple[Measured, Measured]]) -> Row:
    """The same for two shapes, without flicker."""
    return shares([pair_answers(prompt, seen) for prompt, seen in zip(asked, measured, strict=True)]) | {
        "n": len(asked)}


def outlines(drawn: list[Measured], made: list[Measured]) -> Blocks:
    """For each measured shape: the overlap of rendered and of generated clips with its outline, in percent."""
    rows: Blocks = {}
    for name in sorted({seen.shape for seen in made} - {"none"}):
        fits = [[seen.fit for seen in side if seen.shape == name] for side in (drawn, made)]
        means = [round(100 * float(np.mean(each)), 1) for each in fits]
        rows[name] = {"rendered": means[0], "made": means[1], "least": round(100 * min(fits[1]), 1),
                      "n": len(fits[1])}
    return rows


def breakdown(asked: list[Asked], measured: list[Measured], question: str) -> Blocks:
    """The share of right answers to one question, for every requested colour, motion, shape or background."""
    rows = {}
    for name in sorted({getattr(one.clip, question) for one in asked}):
        seen = [
            getattr(one, question)
            for ask, one in zip(asked, measured, strict=True)
            if getattr(ask.clip, question) == name
        ]
        wrong = [value for value in seen if value != name]
        row: Row = {"right": round(100 * (1 - len(wrong) / len(seen)), 1), "n": len(seen)}
        rows[name] = row
    return rows


def table(title: str, rows: Blocks) -> str:
    """Write rows as a Markdown table under a heading."""
    names = list(next(iter(rows.values())))
    lines = [f"### {title}", "", "| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    lines += [
        f"| {label} | " + " | ".join(f"{row[name]:g}" for name in names) + " |" for label, row in rows.items()
    ]
    return "\n".join(lines) + "\n"


BEGIN, END = "<!-- tables: written by scripts/demo_model/evaluate.py -->", "<!-- end of tables -->"


def put_into(page: Path, text: str) -> None:
    """Replace the text between the two marks of a Markdown page."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")
