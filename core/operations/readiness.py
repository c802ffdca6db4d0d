"""Whether a studio can take and run jobs now, and the problems if not."""

import shutil
from typing import Any

from core.operations.leadership import Leadership
from core.settings import Settings


def readiness(settings: Settings, leadership: Leadership, counts: dict[str, int]) -> dict[str, Any]:
    """`{"ready": bool, "problems": [sentence, …], …}`; `counts`: the number of jobs in each state.

    `run`: whether any process runs the jobs.
    """
    dispatcher, problems = leadership.dispatcher, []
    status = dispatcher.status if dispatcher is not None else None
    run = dispatcher is not None or leadership.somebody_leads()
    if not run:
        problems.append(leadership.problem or "no process runs the jobs (python -m core dispatch)")
    if dispatcher is not None and dispatcher.failure is not None:
        problems.append(f"jobs are not run: {dispatcher.failure}")
    if dispatcher is not None and dispatcher.trouble:
        problems.append(dispatcher.trouble)
    if dispatcher is not None and status is None:
        problems.append("the worker is starting")
    if shutil.disk_usage(settings.data_dir).free // 10**6 < settings.min_free_mb:
        problems.append("the disk is nearly full")
    return {"ready": not problems, "problems": problems, "leads": leadership.leads, "run": run,
            "worker": status.state if status else None, "device": status.device_name if status else None,
            "jobs": counts}
