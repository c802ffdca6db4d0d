"""Two videos side by side: the measures against slow references, the clip, and a cache that may go at any time."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import samples
from samples import moving, with_recipe

from core.domain.video import Video
from core.errors import BadRequest, ClipError, DamagedVideo, NotFound
from core.library import comparison
from core.library.library import Library
from core.library.media import clip, metrics
from core.library.storage.derived_files import DerivedFiles


def noisy(frames: np.ndarray, amount: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(-amount, amount + 1, frames.shape)
    return np.clip(frames.astype(int) + noise, 0, 255).astype(np.uint8)


def slow_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Wang et al. 2004, equations 13 and 17, one window after the other."""
    x, y = (0.2126 * f[..., 0] + 0.7152 * f[..., 1] + 0.0722 * f[..., 2] for f in (a / 1.0, b / 1.0))
    w = np.array([[np.exp(-((i - 5) ** 2 + (j - 5) ** 2) / (2 * 1.5**2)) for j in range(11)] for i in range(11)])
    w /= w.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    found = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            p, q = x[top : top + 11, left : left + 11], y[top : top + 11, left : left + 11]
            mp, mq = (w * p).sum(), (w * q).sum()
            vp, vq = (w * (p - mp) ** 2).sum(), (w * (q - mq) ** 2).sum()
            cov = (w * (p - mp) * (q - mq)).sum()
            found.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    return float(np.mean(found))


@pytest.mark.parametrize(("height", "width", "amount"), [(11, 11, 3), (17, 24, 40), (24, 15, 255)])
def test_ssim_is_that_of_the_paper(height, width, amount):
    a = moving(1, height, width)[0]
    b = noisy(a, amount)
    assert metrics.ssim(a, b) == pytest.approx(slow_ssim(a, b), abs=1e-9)


def test_ssim_of_equal_frames_is_1_and_of_black_and_white_nearly_0():
    a = moving(1)[0]
    black, white = np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8)
    c1 = (0.01 * 255) ** 2
    assert metrics.ssim(a, a.copy()) == pytest.approx(1, abs=1e-12)
    assert metrics.ssim(black, white) == pytest.approx(c1 / (255**2 + c1))
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert metrics.ssim(noise, 255 - noise) < 0


def test_ssim_needs_a_whole_window_and_equal_sizes():
    assert metrics.ssim(moving(1, 10, 32)[0], moving(1, 10, 32)[0]) is None
    with pytest.raises(ClipError, match="32×16 and 32×32"):
        metrics.ssim(moving(1, 16, 32)[0], moving(1, 32, 32)[0])


def test_the_difference_map_is_black_where_equal_and_brighter_the_more_they_differ():
    a = np.zeros((2, 128, 3), np.uint8)
    b = a.copy()
    b[1, :, 1] = np.arange(128) * 2
    heat = metrics.heat_map(a, b)
    assert (heat[0] == 0).all() and (heat[1, 0] == 0).all()
    assert heat[1, 1].max() >= 20, "a difference of 2 in 255 is visible"
    brightness = metrics.luma(heat)[1]
    assert (np.diff(brightness) >= 0).all() and brightness[-1] > 240


@pytest.fixture
def comparisons(library: Library, tmp_path: Path) -> comparison.Comparisons:
    return comparison.Comparisons(lambda: library, DerivedFiles(tmp_path / "derived"))


def keep(library: Library, frames: np.ndarray, **changes: object) -> Video:
    return library.publish(*with_recipe(samples.video(**changes), frames))


def pictures(comparisons: comparison.Comparisons, of: comparison.Comparison) -> dict[str, np.ndarray]:
    """The panels of the clip as it is on the disk."""
    shown = clip.read(comparisons.clip_path(of.a, of.b))
    assert (len(shown.frames), shown.fps) == (of.num_frames, of.fps)
    assert shown.frames.shape[1:3] == (of.height, of.width)
    return {p.name: shown.frames[:, p.y : p.y + p.height, p.x : p.x + p.width] for p in of.panels}


def test_a_comparison_measures_every_frame_and_shows_both_and_the_difference(library, comparisons):
    frames = moving()
    other = frames.copy()
    other[3:, 8:24, 8:24] = 255 - other[3:, 8:24, 8:24]
    a, b = keep(library, frames), keep(library, other)
    seen: list[tuple[int, int]] = []
    found = comparisons.of(a.id, b.id, lambda done, total: seen.append((done, total)))
    first, second = clip.read(library.mp4_path(a.id)).frames, clip.read(library.mp4_path(b.id)).frames
    assert seen == [(n, 8) for n in range(1, 9)]
    assert [round(v, 6) for v in found.psnr_db] == [round(metrics.psnr(x, y), 6) for x, y in zip(first, second,
                                                                                              strict=True)]
    assert found.ssim == tuple(metrics.ssim(x, y) for x, y in zip(first, second, strict=True))
    assert found.total_psnr_db == pytest.approx(metrics.psnr(first, second))
    assert found.notes == () and not found.equal
    shown = pictures(comparisons, found)
    assert metrics.psnr(shown["a"], first) > 30 and metrics.psnr(shown["b"], second) > 30
    assert shown["difference"][0].max() < 90 and shown["difference"][5, 12:20, 12:20].max() > 150


def test_equal_videos_are_said_to_be_equal(library, comparisons):
    a, b = keep(library, moving()), keep(library, moving())
    found = comparisons.of(a.id, b.id)
    assert found.equal and set(found.psnr_db) == {None} and found.total_psnr_db is None
    assert found.mean_ssim == pytest.approx(1)


def test_sizes_that_differ_are_padded_not_scaled_and_not_measured(library, comparisons):
    a, b = keep(library, moving(4, 32, 32)), keep(library, moving(4, 17, 48))
    found = comparisons.of(a.id, b.id)
    assert found.psnr_db == found.ssim == () and found.total_psnr_db is None and not found.equal
    (note,) = found.notes
    assert "A is 32×32 and B is 48×17" in note and "Nothing is scaled" in note
    shown = pictures(comparisons, found)
    assert shown["a"].shape == (4, 32, 32, 3) and shown["b"].shape == (4, 17, 48, 3) and "difference" not in shown
    assert metrics.psnr(shown["b"], moving(4, 17, 48)) > 28


def test_lengths_and_speeds_that_differ_are_paired_frame_by_frame_and_said(library, comparisons):
    a, b = keep(library, moving(8)), keep(library, moving(5), fps=4)
    found = comparisons.of(a.id, b.id)
    assert (found.num_frames, found.fps, len(found.psnr_db)) == (8, 8, 5) and not found.equal
    assert found.notes == (
        "B ends after 5 of 8 frames: its place stays empty from there, and only the first 5 are measured.",
        "A runs at 8 and B at 4 frames per second. They are shown frame by frame, at 8.")
    empty = pictures(comparisons, found)["b"][6:].astype(int)
    assert np.ptp(empty, axis=(0, 1, 2)).max() < 12, "nothing but paper"


def test_videos_too_wide_for_a_browser_side_by_side_stand_below_one_another(library, comparisons):
    a, b = keep(library, moving(2, 16, 1400)), keep(library, moving(2, 16, 1400), seed=5)
    found = comparisons.of(a.id, b.id)
    assert found.width < comparison.lay_out(a, b, False).size[0] and len({p.y for p in found.panels}) == 3
    assert metrics.psnr(pictures(comparisons, found)["b"], moving(2, 16, 1400)) > 30


def test_a_comparison_is_stored_and_made_again_when_a_half_is_gone_or_damaged(library, comparisons, tmp_path):
    a, b = keep(library, moving()), keep(library, noisy(moving(), 20))
    first, made = comparisons.of(a.id, b.id), []
    assert comparisons.of(a.id, b.id, lambda done, _: made.append(done)) == first and made == []
    (kept,) = (tmp_path / "derived").glob("*.json")
    for harm in (lambda: kept.write_text("{}"), lambda: kept.write_text("not JSON"), kept.unlink,
                 lambda: kept.with_suffix(".mp4").unlink(), lambda: shutil.rmtree(tmp_path / "derived")):
        harm()
        made.clear()
        assert comparisons.of(a.id, b.id, lambda done, _: made.append(done)) == first and len(made) == 8


def test_a_comparison_of_an_exchanged_file_is_made_again(library, comparisons):
    a, b = keep(library, moving()), keep(library, moving())
    assert comparisons.of(a.id, b.id).equal
    library.delete(b.id)
    again, data = with_recipe(samples.video(id=b.id), noisy(moving(), 30))
    library.publish(again, data)
    assert not comparisons.of(a.id, b.id).equal


def test_stopping_in_the_middle_leaves_nothing(library, comparisons, tmp_path):
    class Stopped(BaseException):
        pass

    def stop(done: int, _total: int) -> None:
        if done == 3:
            raise Stopped

    a, b = keep(library, moving()), keep(library, moving(), seed=2)
    with pytest.raises(Stopped):
        comparisons.of(a.id, b.id, stop)
    assert list((tmp_path / "derived").iterdir()) == []


def test_many_who_ask_for_the_same_get_the_same(library, comparisons):
    a, b = keep(library, moving()), keep(library, noisy(moving(), 20))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: comparisons.of(a.id, b.id), range(4)))
    assert len({each.psnr_db for each in found}) == 1 and comparisons.clip_path(a.id, b.id).is_file()


def test_a_comparison_of_a_deleted_video_is_not_given(library, comparisons):
    a, b = keep(library, moving()), keep(library, moving(), seed=2)
    comparisons.of(a.id, b.id)
    library.delete(a.id)
    with pytest.raises(NotFound):
        comparisons.clip_path(a.id, b.id)


def test_a_pair_that_cannot_be_compared_is_a_sentence(library, comparisons):
    a, b = keep(library, moving()), keep(library, moving())
    with pytest.raises(BadRequest, match="two different videos"):
        comparisons.of(a.id, a.id)
    with pytest.raises(NotFound, match="There is no video 20200101-000000-abcdef"):
        comparisons.of(a.id, "20200101-000000-abcdef")
    with pytest.raises(NotFound, match="is not the id"):
        comparisons.of(a.id, "../../etc/passwd")
    whole = library.mp4_path(b.id).read_bytes()
    library.mp4_path(b.id).write_bytes(whole[:900])
    with pytest.raises(DamagedVideo, match="cut short"):
        comparisons.of(a.id, b.id)
    library.mp4_path(b.id).write_bytes(whole[:900].ljust(len(whole), b"\0"))
    with pytest.raises(ClipError):
        comparisons.of(a.id, b.id)
    library.mp4_path(b.id).unlink()
    with pytest.raises(DamagedVideo, match="missing"):
        comparisons.of(a.id, b.id)


def test_different_settings_are_the_label_where_there_is_room(library):
    a = keep(library, moving(2, 16, 400), seed=1)
    b = replace(a, id="20261122-081301-bbbbbb", recipe=replace(a.recipe, seed=2, prompt="secret words"))
    assert comparison.lay_out(a, b, True).paper[:20].max() > 150
    assert (comparison.lay_out(a, b, True).paper != comparison.lay_out(a, a, True).paper).any()
