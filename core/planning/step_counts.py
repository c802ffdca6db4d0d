"""Step counts of which studio 0.1.0 made one step too many, so that such a video cannot be made again.

With "trailing" spacing its schedule had one timestep more for 62 of the counts from 1 to 1000 (61, 103, 121 …). Its
exact and fast modes failed at that step. Its reference mode made the step, and stored the count that was asked for.
"""

import numpy as np

from core.domain.receipt import Receipt

AFFECTED = ("0.1.0",)


def has_one_too_many(num_inference_steps: int, num_train_timesteps: int) -> bool:
    """Whether counting down by `num_train_timesteps / num_inference_steps` gives one timestep more than was asked for.

    This is the arithmetic of diffusers 0.42, in float64.
    """
    counted = np.arange(num_train_timesteps, 0, -num_train_timesteps / num_inference_steps)
    return len(counted) > num_inference_steps


def extra_step(receipt: Receipt, num_inference_steps: int) -> tuple[str, ...]:
    """The cause, in one sentence, if the video of that receipt has such a step; else nothing."""
    config = receipt.scheduler_config
    total = config.get("num_train_timesteps")
    if receipt.environment.versions.get("studio") not in AFFECTED or config.get("timestep_spacing") != "trailing" \
            or not isinstance(total, int) or not has_one_too_many(num_inference_steps, total):
        return ()
    return (f"it was made in {num_inference_steps + 1} steps, by an error of that studio "
            f"({num_inference_steps + 1} → {num_inference_steps})",)
