"""Memory that really runs out, in a real worker with limited address space, and the offer to the person."""

import resource
from dataclasses import replace
from pathlib import Path

import pytest
from drawn import until
from house import House, settings_for

from core.domain.recipe import Recipe
from core.jobs.executors.process import ProcessExecutor
from core.jobs.kinds.generate import Generate
from core.jobs.queue.job import FAILED
from core.operations.planner import Planner

RECIPE = Recipe("a red ball", "", "tiny", 4, 2, 5.0, 8, 7, 32, 32, "ddim", "exact")
LARGE = replace(RECIPE, num_frames=48, width=512, height=512, num_inference_steps=1)


@pytest.fixture
def tight(tmp_path, models_dir):
    """A studio whose worker has made one video and may use only 240 MB more than for that."""
    settings = settings_for(tmp_path, models_dir)
    house = House(tmp_path, settings, ProcessExecutor(settings))
    made = house.finish(house.ledger.add(Generate(RECIPE)), 180)
    assert made.state == "done", made.reason
    pages = Path(f"/proc/{house.executor.pid}/statm").read_text(encoding="ascii").split()[0]
    size = int(pages) * resource.getpagesize()
    resource.prlimit(house.executor.pid, resource.RLIMIT_AS, (size + 240_000_000,) * 2)
    yield house
    house.close()


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits another process")
def test_a_job_that_runs_out_of_memory_fails_with_what_would_fit_and_the_next_job_runs(tight):
    pid = tight.executor.pid
    failed = tight.finish(tight.ledger.add(Generate(LARGE)), 180)
    assert (failed.state, failed.error) == (FAILED, "OutOfMemory"), failed.reason
    assert "The memory ran out while making 48 frames of 512×512" in failed.reason
    assert "24 frames of 512×512" in failed.reason  # what the button of its card will ask for
    assert tight.finish(tight.ledger.add(Generate(RECIPE)), 180).state == "done"
    assert tight.executor.pid == pid and tight.dispatcher.status.model == "tiny"
    until(lambda: tight.dispatcher.tick() and tight.dispatcher.status.resources)
    planner = Planner(tight.settings, lambda: tight.dispatcher.status, lambda: tight.library, lambda: "cpu")
    smaller = planner.smaller(LARGE)
    assert smaller.num_frames == 24 and replace(smaller, num_frames=48) == LARGE
    while (ended := tight.finish(tight.ledger.add(Generate(smaller)), 180)).state == FAILED:
        assert ended.error == "OutOfMemory", ended.reason  # not enough yet: the card of this one offers less again
        smaller = planner.smaller(smaller)
    assert ended.state == "done" and smaller.num_frames < 48
