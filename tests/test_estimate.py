"""The time and memory of a video, estimated before: from runs of this machine, of any size, and without any."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.domain.models import NEGATIVE_PROMPT
from core.domain.recipe import Recipe, Size
from core.domain.resources import Resources
from core.families.cost import Work
from core.families.registry import MODELS
from core.families.unet3d import cost
from core.families.unet3d.shape import architecture
from core.planning.estimate import PastRun, first_guess, in_words, loading, of_mode, seconds, what_changes
from pages.parts.formatting import roughly

DEMO = architecture(Path(__file__).resolve().parent.parent / "data" / "models" / "demo")
SPEC = MODELS["modelscope-1.7b"]
RECIPE = Recipe("a panda", NEGATIVE_PROMPT, SPEC.key, 24, 25, 9.0, 8, 7, 576, 320, "dpmsolver++", "exact")


def work(frames: int = 16, side: int = 64, steps: int = 20) -> Work:
    return cost.work(DEMO, Size(frames, side, side), steps, True)


def ran(frames: int = 16, side: int = 64, steps: int = 20, pace: float = 1.0, **more: float) -> PastRun:
    """A run on a machine of 150 GFLOP/s and 30 ms for a step however small, `pace` times slower than that."""
    did, pixels = work(frames, side, steps), frames * side * side
    denoise_s = pace * (0.03 * steps + (did.text + did.denoising) / 1.5e11)
    return PastRun(did, steps, pixels, denoise_s, pace * did.decoding / 1.5e11, pace * pixels / 1e7, **more)


def of(run: PastRun) -> float:
    return run.denoise_s + run.decode_s + run.encode_s


def estimated(run: PastRun, *newest_first: PastRun) -> float:
    return seconds(run.work, run.steps, run.pixels, newest_first)


@pytest.mark.parametrize("other", [(16, 64, 20), (4, 64, 20), (16, 128, 20), (16, 64, 60), (1, 32, 7)])
def test_any_size_follows_from_runs_of_two_others(other):
    then = ran(*other)
    assert estimated(then, ran(), ran(8, 32)) == pytest.approx(of(then))


def test_from_a_single_run_more_work_takes_longer_in_proportion():
    three_times = 3 * ran().denoise_s + ran().decode_s + ran().encode_s
    assert estimated(ran(steps=60), ran()) == pytest.approx(three_times, rel=0.001)
    assert of(ran()) < estimated(ran(side=128), ran()) < 4.2 * of(ran())


def test_one_run_beside_a_busy_neighbour_does_not_spoil_the_estimate():
    runs = ran(), ran(24, 96, pace=9.0), ran(8, 32, pace=1.1), ran(12, 64, pace=0.95), ran(24, 64)
    assert estimated(ran(), *runs) == pytest.approx(of(ran()), rel=0.12)


def test_a_machine_that_became_slower_is_believed_after_a_few_runs():
    slow = [ran(frames, pace=2.0) for frames in (8, 16, 24, 12)]
    assert estimated(slow[1], *slow, *[ran(frames) for frames in (8, 16, 24, 12)]) == pytest.approx(
        of(slow[1]), rel=0.05)


def test_a_fit_never_makes_a_larger_video_the_quicker_one():
    noisy = ran(4, 32, pace=3.0), ran(24, 96, pace=0.3)
    sizes = [estimated(ran(frames, side), *noisy) for frames, side in ((1, 32), (8, 64), (24, 96), (32, 128))]
    assert sizes == sorted(sizes) and sizes[0] > 0


def test_runs_of_another_mode_count_only_where_there_are_no_others():
    fast, exact = ran(mode="fast"), ran(mode="exact")
    assert of_mode([fast, exact], "fast") == [fast] and of_mode([fast], "exact") == [fast]


def test_loading_is_what_it_took_when_the_model_was_not_warm():
    assert loading([ran(), ran(load_s=0.001)]) == 0
    assert loading([ran(load_s=4.0), ran(), ran(load_s=6.0), ran(load_s=60.0)]) == 6.0


def test_a_machine_without_history_is_guessed_from_its_speed():
    product = Resources(flops_per_s=2e11)
    tried = replace(product, step_flops_per_s=3e11)
    for resources, warm, speed in ((product, True, 1e11), (tried, True, 3e11), (tried, False, 1e11)):
        assert first_guess(work(), resources, "cpu", warm=warm) == pytest.approx(work().total / speed)
    assert first_guess(work(), Resources(), "cpu", warm=True) is None


@pytest.mark.parametrize(("value", "text"), [
    (0.2, "1 s"), (7.4, "7 s"), (19.6, "20 s"), (23, "25 s"), (52, "50 s"), (100, "1 min 30 s"),
    (400, "6 min 30 s"), (1000, "17 min"), (4000, "1 h 10 min")])
def test_an_estimate_is_said_no_finer_than_it_is_known(value, text):
    assert roughly(value) == text


def test_a_change_is_said_in_the_words_of_the_form():
    changes = [what_changes(RECIPE, replace(RECIPE, **fields)) for fields in (
        {"num_frames": 16}, {"num_frames": 1}, {"width": 192, "height": 104},
        {"num_frames": 8, "width": 288})]
    assert [in_words(change) for change in changes] == [
        "16 frames", "1 frame", "192 × 104", "8 frames of 288 × 320"]
