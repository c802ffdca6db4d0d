"""The schedulers that a request can choose for a model of the family."""

from core.domain.models import SchedulerSpec

SCHEDULERS: dict[str, SchedulerSpec] = {
    row.key: row
    for row in (
        SchedulerSpec("dpmsolver++", "DPM-Solver++ 2M", "DPMSolverMultistepScheduler",
                      {"algorithm_type": "dpmsolver++", "solver_order": 2}),
        SchedulerSpec("unipc", "UniPC", "UniPCMultistepScheduler"),
        # by default diffusers clips to [-1, 1], which is right for pixels and ruins latents
        SchedulerSpec("ddim", "DDIM", "DDIMScheduler", {"clip_sample": False}),
        SchedulerSpec("euler", "Euler", "EulerDiscreteScheduler"),
    )
}
