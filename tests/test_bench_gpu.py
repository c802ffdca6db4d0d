"""The benchmark of a GPU: runs where there is none, on a tiny model, and builds ModelScope to the weight."""

import json
import subprocess
import sys

import pytest
import torch
from drawn import until

from core.settings import REPOSITORY

SCRIPT = [sys.executable, str(REPOSITORY / "scripts" / "bench_gpu")]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_one_line_says_so():
    done = subprocess.run(SCRIPT, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "No CUDA GPU here: nothing is measured. --tiny runs the same code on the processor."]


def test_the_same_code_on_a_tiny_model_prints_every_variant_and_writes_it_as_json(tmp_path):
    path = tmp_path / "figures.json"
    done = subprocess.run([*SCRIPT, "--tiny", "--json", str(path)], cwd=REPOSITORY, capture_output=True, text=True,
                          check=True)
    results = json.loads(path.read_text())
    rows = {(row["variant"], row["num_frames"]): row for row in results["figures"]}
    assert {variant for variant, _ in rows} == {
        "exact", "exact, no graph", "fast", "fast, no graph", "exact, model offload", "exact, sequential offload",
        "reference", "stock pipeline"}
    for (variant, _), row in rows.items():
        assert bool(row["recording_s"]) == (variant in ("exact", "fast"))
    for size in {num_frames for _, num_frames in rows}:
        assert rows["exact", size]["remark"] == "equal"
        assert rows["fast", size]["psnr_db"] == rows["fast, no graph", size]["psnr_db"]
    for (variant, _), row in rows.items():
        assert row["video_s"] > 0 and row["times_stock"] > 0 and row["times_floor"] > 0, row
        assert variant in done.stdout
        near = row["remark"] == "equal" or row["psnr_db"] > 50
        assert near or variant.startswith("fast"), row
    assert "these figures mean nothing" in done.stdout


def test_when_the_time_is_over_nothing_more_is_begun(tmp_path):
    path = tmp_path / "figures.json"
    subprocess.run([*SCRIPT, "--tiny", "--minutes", "0", "--json", str(path)], cwd=REPOSITORY, capture_output=True,
                   text=True, check=True)
    rows = json.loads(path.read_text())["figures"]
    assert rows and {row["remark"] for row in rows} == {"not measured: the time was over"}


def test_measurements_before_an_interruption_are_kept(tmp_path):
    path = tmp_path / "figures.json"
    running = subprocess.Popen([*SCRIPT, "--tiny", "--json", str(path)], cwd=REPOSITORY, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    until(path.exists, 300)
    running.kill()
    running.wait()
    rows = json.loads(path.read_text())["figures"]
    assert rows[0]["variant"] == "stock pipeline" and rows[0]["video_s"] > 0


def test_a_variant_that_has_used_up_its_share_is_stopped_at_a_step(monkeypatch):
    from scripts.bench_parts import gpu

    monkeypatch.setattr(gpu, "SHARE", 0.0)
    rows = gpu.measure(8.0, tiny=True)["figures"]
    assert {row["variant"] for row in rows} >= {"stock pipeline", "reference", "exact, no graph"}
    assert {(row["remark"], row["video_s"]) for row in rows} == {("stopped after 0 s", None)}


def test_a_variant_that_is_stopped_at_its_second_video_keeps_the_figures_of_the_first():
    import numpy as np

    from scripts.bench_parts import gpu
    from scripts.bench_parts.gpu_figures import Figures

    parts = gpu.build(gpu.TINY, torch.device("cpu"), torch.float32)
    left = [np.zeros((1, 8, 8, 3), np.uint8)]

    def call():
        if not left:
            raise gpu._TooLong
        return left.pop()

    clock = gpu._Clock(float("inf"), 60.0, float("inf"))
    row, frames = gpu._measured(Figures("exact", 1, 8, 8), call, parts, 1, clock, lambda: 0)
    assert row.video_s == row.first_s and row.remark == "first video only" and len(frames) == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
def test_the_model_it_builds_is_modelscope_to_the_weight():
    from core.families.unet3d.shape import Architecture
    from scripts.bench_parts.gpu import build

    parts = build(Architecture(), torch.device("cuda"), torch.float16)
    counts = [sum(p.numel() for p in part.parameters()) for part in (parts.unet, parts.text_encoder, parts.vae)]
    assert counts == [1_411_233_860, 340_387_840, 83_653_863]
