"""The results of the variants on a GPU: as rows with their ratios, and as a table of text."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

EAGER = "exact, no graph"
"""The frames of all other variants are compared with this one."""


@dataclass(frozen=True)
class Figures:
    """The result of one variant at one size; None: not measured.

    Attributes:
        first_s: seconds of the first video, which also chooses kernels and records graphs.
        recording_s: the part of first_s for the recording of the graphs.
        peak_bytes: peak GPU memory of this variant, recordings included.
        psnr_db: PSNR of the frames against exact mode without graphs; None for equal frames.
        remark: the reason for missing figures; or "equal" for equal frames.
    """

    variant: str
    num_frames: int
    height: int
    width: int
    video_s: float | None = None
    step_s: float | None = None
    first_s: float | None = None
    recording_s: float | None = None
    peak_bytes: int | None = None
    psnr_db: float | None = None
    times_stock: float | None = None
    times_floor: float | None = None
    remark: str = ""


def compared(measured: list[tuple[Figures, np.ndarray | None]], floor_s: float) -> list[Figures]:
    """The rows of one size with their ratios: to the stock pipeline, to the floor, and to the exact frames."""
    stock_s = next((row.video_s for row, _ in measured if row.variant == "stock pipeline"), None)
    exact = next((frames for row, frames in measured if row.variant == EAGER), None)
    rows = []
    for row, frames in measured:
        if row.video_s is not None:
            row = replace(row, times_floor=row.video_s / floor_s,
                          times_stock=stock_s / row.video_s if stock_s else None)
            if frames is not None and exact is not None:
                error = float(np.mean((frames.astype(float) - exact) ** 2))
                row = replace(row, **({"psnr_db": float(10 * np.log10(255**2 / error))} if error else
                                      {"remark": row.remark or "equal"}))
        rows.append(row)
    return rows


def table(results: dict[str, Any]) -> list[str]:
    """The figures as lines of text."""
    lines = [f"{results['measured']} · {results['device']}, {results['dtype']}, torch {results['torch']}, "
             f"{results['weights']} weights" + (" of a tiny model: these figures mean nothing"
                                                if results["tiny"] else ""),
             f"parameters: {', '.join(f'{name} {count:,}' for name, count in results['parameters'].items())}",
             f"a large product: {results['matmul_tflops']:.2f} TFLOP/s", ""]
    head = ("variant", "frames×h×w", "s/video", "s/step", "×stock", "×floor", "first s", "record s", "peak GiB",
            "PSNR dB")
    form = "{:<26}{:>14}{:>9}{:>9}{:>8}{:>8}{:>9}{:>9}{:>10}{:>9}"
    lines.append(form.format(*head))
    for row in results["figures"]:
        size = f"{row['num_frames']}×{row['height']}×{row['width']}"
        peak = None if row["peak_bytes"] is None else row["peak_bytes"] / 2**30
        psnr = f"{row['psnr_db']:.1f}" if row["psnr_db"] is not None else row["remark"] or "–"
        cells = [("–" if value is None else f"{value:.{digits}f}") for value, digits in (
            (row["video_s"], 3), (row["step_s"], 4), (row["times_stock"], 2), (row["times_floor"], 1),
            (row["first_s"], 2), (row["recording_s"], 2), (peak, 2))]
        lines.append(form.format(row["variant"], size, *cells, psnr))
    return lines
