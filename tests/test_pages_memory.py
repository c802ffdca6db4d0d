"""Memory on the screens: a refusal with a smaller video that fits, before the queue, or one click afterwards."""

from dataclasses import replace

import pytest
from screens import page, press, run, said

from core.domain.request import VideoRequest
from core.domain.resources import main_memory

NEEDS = 96 * 10**9  # 64 frames of 1024×1024 with the generic network, in single precision


@pytest.fixture
def generic(studio):
    """A model folder with the network of ModelScope 1.7B, of which only the configuration is here."""
    for part in ("unet", "vae", "text_encoder"):
        (studio.settings.models_dir / "generic" / part).mkdir(parents=True)
        (studio.settings.models_dir / "generic" / part / "config.json").write_text("{}")
    (studio.settings.models_dir / "generic" / "model_index.json").write_text("{}")
    return studio


@pytest.mark.skipif(not 0 < main_memory() < NEEDS, reason="this machine has too much memory to be refused")
def test_a_request_that_cannot_fit_is_refused_and_one_click_asks_for_one_that_fits(generic):
    at = page()
    at.selectbox(key="f_model").select("generic").run()
    at.number_input(key="f_num_frames").set_value(64)
    at.selectbox(key="f_size").select("other").run()
    at.number_input(key="f_width").set_value(1024)
    at.number_input(key="f_height").set_value(1024)
    press(at, "generate")
    assert generic.jobs() == ()
    refused = at.error[0].value.replace("\\", "")
    assert refused.startswith("Memory: generic needs 96.6 GB for 64 frames of 1024 × 1024, and this machine has")
    words = at.button(key="use_fitting").label.removeprefix("Use ")
    assert refused.endswith(f"GB. {words} would fit.")
    press(at, "use_fitting")
    job, = generic.jobs()
    asked = job.task.recipe
    assert words == (f"{asked.num_frames} frames" if asked.num_frames < 64 else f"{asked.width} × {asked.height}")
    assert not at.error


def test_an_audition_that_ran_out_of_memory_is_tried_again_with_what_fits(studio):
    job = run(studio, studio.audition(VideoRequest("a red ball", seed=3, width=64, height=64), 4))
    studio.ledger.move(job.id, job.attempt, ("running",), "failed", "The memory ran out.", "OutOfMemory")
    at = page()
    assert at.button(key=f"retry_{job.id}").label == "Use 8 frames" and "The memory ran out" in said(at)
    press(at, f"retry_{job.id}")
    again, = studio.jobs(("queued",))
    assert again.task == replace(job.task, recipe=replace(job.task.recipe, num_frames=8))
