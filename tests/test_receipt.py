"""Two runs are compared, and a sidecar is read as it was written."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from core.domain.documents import read
from core.domain.receipt import Environment, Receipt
from core.domain.recipe import resolve
from core.domain.request import VideoRequest
from core.domain.verdict import Verdict, causes, environment_causes, verdict
from core.domain.video import Result, Runtime, Video, is_id, new_id
from core.errors import DamagedVideo, ReadOnly
from core.families.registry import MODELS
from core.library.sidecar import video_of

MACHINE = Environment("cpu", "a processor", "float32", "sdpa", "resident", 2,
                      {"torch": "2.13.0", "diffusers": "0.42.1", "cuda": ""})
RECEIPT = Receipt("n" * 64, "f" * 64, "demo", "folder", "", "w" * 64, {"solver_order": 2}, MACHINE)
VIDEO = Video("20261122-081301-a1b2c3", "2026-11-22T08:13:01+00:00", "", None,
              resolve(VideoRequest("a red ball", seed=7), MODELS), RECEIPT,
              Result(16, 64, 64, 8, 2.0, 1234, "m" * 64), Runtime(total_s=3.5), ("red",), True,
              Verdict("equivalent", 47.0, ("another GPU",)))


def test_equal_frames_are_identical_whatever_the_file_says():
    assert verdict(RECEIPT, RECEIPT, None) == Verdict("identical")


@pytest.mark.parametrize(("psnr", "word"), [(47.0, "equivalent"), (40.0, "equivalent"), (39.9, "drifted"),
                                            (None, "drifted")])
def test_other_frames_are_equivalent_from_40_db(psnr, word):
    assert verdict(RECEIPT, replace(RECEIPT, frames_sha256="0" * 64), psnr).verdict == word


def test_another_torch_is_named_as_a_cause():
    later = replace(MACHINE, versions={**MACHINE.versions, "torch": "2.15.0"})
    assert environment_causes(MACHINE, later) == ("another version of torch (2.13.0 → 2.15.0)",)
    assert verdict(RECEIPT, replace(RECEIPT, environment=later), None).causes == environment_causes(MACHINE, later)


def test_other_cpu_instructions_are_a_cause_and_not_knowing_them_is_none():
    wide, narrow = (replace(MACHINE, cpu_capability=text) for text in ("AVX512 (avx2)", "AVX2 (avx2)"))
    assert environment_causes(wide, narrow) == ("other CPU instructions (AVX512 (avx2) → AVX2 (avx2))",)
    assert environment_causes(MACHINE, narrow) == ()
    newer = replace(MACHINE, versions={**MACHINE.versions, "cudnn": "91002"})
    assert environment_causes(MACHINE, newer) == (), "the older receipt does not say which cuDNN it was"
    assert len(environment_causes(newer, replace(newer, versions={**newer.versions, "cudnn": "92000"}))) == 1


def test_a_receipt_without_cpu_instructions_is_read():
    document = VIDEO.document()
    del document["receipt"]["environment"]["cpu_capability"]
    assert video_of(document).receipt.environment.cpu_capability == ""


@pytest.mark.parametrize("change", [
    {"model": "other"}, {"model_revision": "abc"}, {"weights_sha256": "0" * 64}, {"noise_sha256": "0" * 64},
    {"scheduler_config": {"solver_order": 3}}, {"loras": ({"name": "style"},)},
    {"environment": replace(MACHINE, device_name="H200")}, {"environment": replace(MACHINE, num_threads=4)},
])
def test_whatever_can_change_the_frames_is_a_cause(change):
    assert len(causes(RECEIPT, replace(RECEIPT, **change))) == 1


def test_equal_receipts_have_no_causes():
    assert causes(RECEIPT, read(Receipt, json.loads(json.dumps(RECEIPT.document())))) == ()


def test_a_sidecar_is_read_as_it_was_written():
    document = json.loads(json.dumps(VIDEO.document()))
    assert video_of(document) == VIDEO
    assert list(document)[:5] == ["schema", "id", "created", "owner", "parent"]


def test_a_sidecar_of_a_newer_schema_is_not_touched():
    with pytest.raises(ReadOnly, match="newer studio"):
        video_of({**VIDEO.document(), "schema": 2})


@pytest.mark.parametrize("document", [
    None, [], {}, {"schema": "1"}, {"schema": 1}, {**VIDEO.document(), "id": "../../etc"},
    {**VIDEO.document(), "receipt": {}}, {**VIDEO.document(), "result": None}, {**VIDEO.document(), "request": {}},
])
def test_a_damaged_sidecar_is_said_to_be_damaged(document):
    with pytest.raises(DamagedVideo):
        video_of(document)


def test_fields_of_a_later_minor_version_are_ignored():
    document = VIDEO.document()
    document["runtime"]["moon_phase"] = 3
    document["receipt"]["environment"]["driver"] = "1"
    assert video_of(document) == VIDEO


def test_ids_sort_by_time_and_nothing_else_is_an_id():
    early, late = new_id(datetime(2026, 1, 2, tzinfo=UTC)), new_id(datetime(2026, 1, 3, tzinfo=UTC))
    assert early < late and is_id(early) and early.startswith("20260102-000000-")
    for text in ("", "x", "../" + early, early + "/..", early + "\n", early.upper() + "G", early[:-1]):
        assert not is_id(text)
