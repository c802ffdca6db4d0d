"""An error that crosses to another process stays the same: its class, its sentence, its other values."""

import json
import sys
from pathlib import Path

import drawn
import pytest
from drawn import head, until, video_of

from core import errors
from core.errors import BadRequest, Cancelled, DoesNotFit, NotFound, StudioError, WorkerLost, revive, written
from core.jobs.executors.executor import Silent
from core.jobs.executors.process import ProcessExecutor
from core.jobs.protocol import IDLE, WorkerStatus
from core.jobs.queue.ledger import Ledger
from core.jobs.worker.json_lines import answer_lines
from core.settings import Settings

MADE_OF = {BadRequest: ("num_frames", "0 is outside what Tiny accepts: 1 to 64."),
           DoesNotFit: ("Tiny needs 3.0 GB. 24 frames would fit.", {"num_frames": 24, "width": 256})}
"""The arguments of the constructors that take more than a sentence."""


def family(kind: type) -> list[type]:
    return [kind, *(each for below in kind.__subclasses__() for each in family(below))]


KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, StudioError)]
EVERY = [kind(*MADE_OF.get(kind, (f"A sentence of {kind.__name__}: “ü” and {{braces}}.",))) for kind in KINDS]


def same(found: StudioError, before: StudioError) -> bool:
    return (type(found), str(found), vars(found)) == (type(before), str(before), vars(before))


def named(error: StudioError) -> str:
    return type(error).__name__


def test_every_class_of_the_tree_is_here_and_a_cancel_is_no_failure():
    assert {kind for kind in family(StudioError) if kind.__module__ == "core.errors"} == set(KINDS)
    assert {StudioError, BadRequest, DoesNotFit, NotFound, WorkerLost} < set(KINDS) and len(KINDS) >= 15
    assert not issubclass(Cancelled, StudioError)


@pytest.mark.parametrize("error", EVERY, ids=named)
def test_an_error_survives_json(error):
    assert same(revive(json.loads(json.dumps(written(error)))), error)


def test_the_other_values_of_an_error_survive_too():
    refused = revive(json.loads(json.dumps(written(BadRequest("seed", "-1 is outside.")))))
    assert isinstance(refused, BadRequest)
    assert (refused.field, refused.reason, str(refused)) == ("seed", "-1 is outside.", "seed: -1 is outside.")
    unfit = revive(json.loads(json.dumps(written(DoesNotFit("It does not fit.", {"width": 256})))))
    assert isinstance(unfit, DoesNotFit)
    assert (unfit.field, unfit.reason, unfit.fits) == ("memory", "It does not fit.", {"width": 256})


def test_a_class_that_is_not_of_the_tree_becomes_the_nearest_that_is():
    assert same(revive(written(Silent("No answer."))), WorkerLost("No answer."))


@pytest.mark.parametrize("document", [
    {"error": "Unheard", "sentence": "Of a newer studio.", "arguments": ["Of a newer studio."]},
    {"error": "Unheard", "sentence": "Of a newer studio.", "arguments": ["field", "reason", {"more": 1}]},
    {"error": "Unheard", "sentence": "Of a newer studio."},
    {"error": "BadRequest", "sentence": "Of a newer studio.", "arguments": ["one"]},
    {"error": "BadRequest", "sentence": "Of a newer studio.", "arguments": ["field", "reason"]},
    {"error": "NotFound", "sentence": "Of a newer studio.", "arguments": [1, 2]},
    {"error": "KeyboardInterrupt", "sentence": "Of a newer studio."},
])
def test_an_error_of_another_version_keeps_its_sentence(document):
    assert same(revive(document), StudioError("Of a newer studio."))


# Through the ledger


@pytest.mark.parametrize("error", EVERY, ids=named)
def test_the_answer_to_a_command_is_the_same_error(tmp_path, error):
    owner, asker = Ledger(tmp_path / "jobs.sqlite"), Ledger(tmp_path / "jobs.sqlite")
    command = asker.command("reindex", {})
    owner.finish_command(owner.next_command().id, error=error)
    with pytest.raises(StudioError) as raised:
        asker.command_result(command)
    assert same(raised.value, error)
    owner.close()
    asker.close()


def test_an_answer_that_version_0_1_0_left_is_understood(tmp_path):
    ledger = Ledger(tmp_path / "jobs.sqlite")
    for name, kind in (("NotFound", NotFound), ("BadRequest", StudioError)):
        command = ledger.command("reindex", {})
        ledger._database.write("UPDATE commands SET state = 'failed', result = 'null', error = ?, reason = ? "
                               "WHERE id = ?", (name, "It is not here.", command))
        with pytest.raises(StudioError) as raised:
            ledger.command_result(command)
        assert same(raised.value, kind("It is not here."))
    ledger.close()


# Through the pipes of a worker


class Complaining:
    """A host that has only complaints: `load` raises the error of that number."""

    def status(self):
        return WorkerStatus(IDLE)

    def load(self, number):
        raise EVERY[int(number)]


def be_a_worker():
    answer_lines(lambda on_news: Complaining())


def executor_for(folder: Path, command: tuple[str, ...]) -> ProcessExecutor:
    return ProcessExecutor(Settings.from_env({}, data_dir=folder, model="tiny", device="cpu"), command)


@pytest.fixture(scope="module")
def complaining(tmp_path_factory):
    code = (f"import sys; sys.path[:0] = ['', {str(Path(__file__).parent)!r}]; "
            "import test_errors; test_errors.be_a_worker()")
    executor = executor_for(tmp_path_factory.mktemp("data"), (sys.executable, "-c", code))
    until(lambda: executor.call("worker", "status", timeout=60).state == IDLE)
    yield executor
    executor.close()


@pytest.mark.parametrize("number", range(len(EVERY)), ids=lambda number: named(EVERY[number]))
def test_an_error_of_a_worker_is_raised_here(complaining, number):
    with pytest.raises(StudioError) as raised:
        complaining.call("worker", "load", str(number))
    assert same(raised.value, EVERY[number])


def test_a_real_worker_says_in_its_own_words_that_it_is_busy(tmp_path):
    executor = executor_for(tmp_path, drawn.command())
    try:
        until(lambda: executor.call("worker", "status").state == IDLE)
        task = video_of(drawn.RECIPE)
        executor.call("worker", "start", "20261122-081301-a1b2c3", 1, task.document(), head(task, model="large"))
        with pytest.raises(StudioError) as raised:
            executor.call("worker", "start", "20261122-081301-ffffff", 1, task.document(), head(task))
        assert same(raised.value, StudioError("The worker is busy with another job."))
    finally:
        executor.close()
