"""The likeness of two pictures: PSNR, SSIM, and a map of their differences. NumPy only."""

from collections.abc import Iterable

import numpy as np

from core.errors import ClipError

SSIM_WINDOW, SSIM_SIGMA, SSIM_K1, SSIM_K2, PEAK = 11, 1.5, 0.01, 0.03, 255.0
_LUMA = np.array([0.2126, 0.7152, 0.0722])  # BT.709, like the tags of the files
_HEAT = np.array([[0, 0, 0], [58, 15, 110], [187, 55, 84], [249, 142, 9], [252, 255, 164]], np.float64)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal to noise ratio of two frames or clips, uint8 (…, H, W, 3), in dB over all values; inf if equal.

    Raises:
        ClipError: they differ in length or size.
    """
    _alike(a, b)
    return psnr_db((squared_error(x, y) for x, y in zip(a, b, strict=True)), a.size)


def squared_error(a: np.ndarray, b: np.ndarray) -> int:
    """The sum of the squared differences of all values of two uint8 arrays of one shape."""
    return int(np.square(a.astype(np.int32) - b).sum(dtype=np.int64))


def psnr_db(errors: Iterable[int], count: int) -> float:
    """The PSNR of sums of squared errors over `count` values in total, in dB; inf without error."""
    total = sum(errors)
    return float("inf") if total == 0 else 10 * float(np.log10(PEAK**2 * count / total))


def luma(frame: np.ndarray) -> np.ndarray:
    """The brightness of an RGB frame by BT.709: float64 (H, W), 0 to 255."""
    brightness: np.ndarray = frame.astype(np.float64) @ _LUMA
    return brightness


def ssim(a: np.ndarray, b: np.ndarray) -> float | None:
    """Structural similarity of two frames, uint8 (H, W, 3), on luma: 1 if equal; None under 11 pixels a side.

    Source: Wang, Bovik, Sheikh, Simoncelli: Image quality assessment: from error visibility to structural similarity,
    IEEE Transactions on Image Processing 13 (4), 2004.
    Constants as in this paper: a Gaussian window of 11×11 with sigma 1.5; K1 0.01; K2 0.03.
    The result is the mean over all windows that are completely inside the frame. The frame is not made smaller first.

    Raises:
        ClipError: the frames differ in size.
    """
    _alike(a, b)
    if min(a.shape[:2]) < SSIM_WINDOW:
        return None
    x, y = luma(a), luma(b)
    mean_x, mean_y = _windowed(x), _windowed(y)
    variances = _windowed(x * x) - mean_x**2 + _windowed(y * y) - mean_y**2
    covariance = _windowed(x * y) - mean_x * mean_y
    c1, c2 = (SSIM_K1 * PEAK) ** 2, (SSIM_K2 * PEAK) ** 2
    likeness = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return float((likeness / ((mean_x**2 + mean_y**2 + c1) * (variances + c2))).mean())


def heat_map(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A map of the differences of two frames, uint8 (H, W, 3): black for equal, then violet, orange, pale yellow.

    The colour shows the largest difference of the three channels, on a fixed square-root scale. So a difference of 1
    of 255 is visible, and two maps can be compared.
    """
    _alike(a, b)
    colours: np.ndarray = _HEAT_OF[np.abs(a.astype(np.int16) - b).max(axis=2)]
    return colours


def _alike(a: np.ndarray, b: np.ndarray) -> None:
    if a.shape != b.shape:
        raise ClipError(f"Clips of different size cannot be compared: {_size_of(a)} and {_size_of(b)}.")


def _size_of(frames: np.ndarray) -> str:
    size = f"{frames.shape[-2]}×{frames.shape[-3]}"
    return f"{len(frames)} frames of {size}" if frames.ndim == 4 else size


def _windowed(values: np.ndarray) -> np.ndarray:
    """The mean under the Gaussian window, for every place completely inside the frame: (H - 10, W - 10)."""
    offsets = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    weights = np.exp(-(offsets**2) / (2 * SSIM_SIGMA**2))
    weights /= weights.sum()
    height, width = values.shape[0] - SSIM_WINDOW + 1, values.shape[1] - SSIM_WINDOW + 1
    rows = sum(weight * values[k : k + height] for k, weight in enumerate(weights))
    blurred: np.ndarray = sum(weight * rows[:, k : k + width] for k, weight in enumerate(weights))
    return blurred


def _heat_table() -> np.ndarray:
    at = np.sqrt(np.arange(256) / 255) * (len(_HEAT) - 1)
    channels = [np.interp(at, np.arange(len(_HEAT)), _HEAT[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


_HEAT_OF = _heat_table()
