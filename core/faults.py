"""Points at which a test can make a process die. The test then proves that a crash there harms no data.

`T2V_FAULT=publish:mp4` makes the process kill itself at that point (SIGKILL: no cleanup, no flush). Without the
variable `reach` is one comparison. The names are data: the crash tests iterate all of them.
"""

import os
import signal

from core.settings import fault_point

PUBLISH = (
    "publish:parts", "publish:poster", "publish:animation", "publish:json", "publish:mp4", "publish:index",
)
CHANGE = ("change:sidecar-part", "change:sidecar", "change:index")
DELETE = ("delete:index", "delete:mp4", "delete:sidecar", "delete:poster")
TRASH = ("trash:index", "trash:mp4", "trash:json", "trash:poster", "trash:animation")
RESTORE = ("restore:animation", "restore:poster", "restore:json", "restore:mp4", "restore:index")
ERASE = ("erase:mp4", "erase:json", "erase:poster", "erase:animation")
LIBRARY_POINTS = PUBLISH + CHANGE + DELETE + TRASH + RESTORE + ERASE
JOB_POINTS = (
    "jobs:claimed", "jobs:started", "jobs:progress", "jobs:finished", "jobs:committing", "jobs:verdict",
    "jobs:published", "jobs:done",
)
PAUSE_POINTS = ("jobs:checkpoint", "jobs:pausing", "jobs:paused")
BULK_POINTS = ("bulk:video", "bulk:noted")
POINTS = LIBRARY_POINTS + JOB_POINTS + PAUSE_POINTS + BULK_POINTS


def reach(name: str, fault: str = fault_point()) -> None:
    """Continue after the point `name`, or die there by SIGKILL when the environment names it."""
    if name == fault:
        os.kill(os.getpid(), signal.SIGKILL)
