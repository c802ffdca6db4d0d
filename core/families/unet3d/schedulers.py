"""The schedulers that a model of the family can be asked for with."""

from core.domain.models import SchedulerSpec

SCHEDULERS: dict[str, SchedulerSpec] = {
    row.key: row
    for row in (
        SchedulerSpec("dpmsolver++", "DPM-Solver++ 2M", "DPMSolverMultistepScheduler",
                      {"algorithm_type": "dpmsolver++", "solver_order": 2}),
        SchedulerSpec("unipc", "UniPC", "UniPCMultistepScheduler"),
        # diffusers clips to [-1, 1] unless told not to, which is meant for pixels and ruins latents
        SchedulerSpec("ddim", "DDIM", "DDIMScheduler", {"clip_sample": False}),
        SchedulerSpec("euler", "Euler", "EulerDiscreteScheduler"),
    )
}
