"""Families of models: each stands in its own rooms, and a new one is a row in each table and touches nothing else."""

import ast
import importlib.util
import json
import os
import re
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from core.diffusion import sampler
from core.diffusion.engine import Engine
from core.diffusion.frames import gather
from core.diffusion.model import Parts
from core.diffusion.preview import Factors
from core.diffusion.registry import LOADERS
from core.domain.models import Defaults, Limits, ModelSpec, Range, SchedulerSpec
from core.domain.modes import EXACT, MODES
from core.domain.recipe import Size, resolve
from core.domain.request import VideoRequest
from core.errors import BadRequest, Cancelled, DoesNotFit, ModelUnavailable, OutOfMemory
from core.families import cost
from core.families.catalog import catalog
from core.families.configurations import read_configuration
from core.families.cost import Memory, Work
from core.families.model_folder import Component, Layout
from core.families.registry import FAMILIES, MODELS, SCHEDULERS, family_of
from core.library.library import Library
from core.operations.planner import Planner
from core.planning.differences import expected_causes
from core.settings import REPOSITORY, Settings

# Where a family is named

ROOMS = (REPOSITORY / "core" / "families" / "unet3d", REPOSITORY / "core" / "diffusion" / "unet3d")
OUTSIDE = [path for path in sorted([*(REPOSITORY / "core").rglob("*.py"), *(REPOSITORY / "pages").rglob("*.py"),
                                    REPOSITORY / "streamlit_app.py"])
           if not any(path.is_relative_to(room) for room in ROOMS)]
PART_OF_ONE_FAMILY = re.compile(r"unet(?!3d\b)|vae", re.IGNORECASE)
"""In any word, however it is written: `unet`, `VAE`, `UNetShape`, `vae_scale`. `unet3d` alone is the family's key."""
IMPORTERS = {  # importers of these libraries outside the families' folders, and all they may use of them
    "core.diffusion.device": {"diffusers.__version__", "diffusers.utils", "transformers.__version__",
                              "transformers.utils"},  # versions for the receipt, and keeping the libraries quiet
    "core.diffusion.sampler": {"diffusers[row.class_name]"},  # schedulers, which all families choose theirs from
}


def name_of(path):
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


@cache
def names_of_libraries():
    return {library: set(dir(library)) for library in (diffusers, transformers)}


def is_of_a_model(kind):
    """Whether a class of the libraries is a network, a pipeline of networks, or turns text into the numbers for one."""
    return isinstance(kind, type) and issubclass(
        kind, (torch.nn.Module, diffusers.DiffusionPipeline, transformers.PreTrainedTokenizerBase))


def model_classes_in(text):
    words = set(re.findall(r"\w+", text))
    return {word for library, names in names_of_libraries().items() for word in words & names
            if is_of_a_model(getattr(library, word))}


@pytest.mark.parametrize("path", OUTSIDE, ids=name_of)
def test_outside_its_rooms_nothing_of_a_family_is_named_in_code_or_prose(path):
    text = path.read_text(encoding="utf-8")  # names, strings, docstrings and comments alike
    assert [text[found.start() - 20:found.end() + 20] for found in PART_OF_ONE_FAMILY.finditer(text)] == []
    assert model_classes_in(text) == set()


def test_such_a_name_would_be_found():
    for text in ("unet", "the VAE's factor", "UNetShape", "pipe.vae_scale", "UNet3DModel", "# UNets", "unet3d_unet"):
        assert PART_OF_ONE_FAMILY.search(text), text
    for text in ("core.diffusion.unet3d.model", "load_unet3d", "UNet3D()", '{"unet3d": load}'):
        assert not PART_OF_ONE_FAMILY.search(text), text
    text = "CLIPTextModel, `AutoencoderKL` TextToVideoSDPipeline\n# CLIPTokenizer UNet3DConditionModel, Wan"
    assert len(model_classes_in(text)) == 5
    assert model_classes_in("DDIMScheduler, a Model, the pipeline, Trainer, Conv2d") == set()


def used_of(library, tree):
    """The names a module uses of a library that it imports. "library" alone: this check cannot see them."""
    seen, used = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == library:
            seen.add(node.value)
            used.add(f"{library}.{node.attr}")
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "getattr" \
                and getattr(node.args[0], "id", "") == library:
            seen.add(node.args[0])
            used.add(f"{library}[{ast.unparse(node.args[1])}]")
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == library:
            used |= {f"{library}.{name.name}" for name in node.names}
        if isinstance(node, ast.Import):
            used |= {name.name for name in node.names
                     if name.name.split(".")[0] == library and (name.asname or "." in name.name)}
    return used | {library for node in ast.walk(tree)
                   if isinstance(node, ast.Name) and node.id == library and node not in seen}


@pytest.mark.parametrize("path", OUTSIDE, ids=name_of)
def test_outside_the_rooms_the_libraries_of_models_serve_what_all_families_share(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    used = {use for library in ("diffusers", "transformers") for use in used_of(library, tree)}
    assert used == IMPORTERS.get(name_of(path), set())


def test_every_family_has_both_halves_and_rows_that_are_its_own():
    assert set(FAMILIES) == set(LOADERS)
    assert sum(len(family.rows) for family in FAMILIES.values()) == len(MODELS)
    for key, family in FAMILIES.items():
        assert family.key == key and importlib.util.find_spec(f"core.diffusion.{key}")
        for row in family.rows:
            assert (MODELS[row.key], row.family) == (row, key)
            assert set(row.schedulers) <= set(family.schedulers) and set(row.modes) <= set(MODES)
            assert row.defaults.scheduler in row.schedulers and EXACT in row.modes
        for scheduler in family.schedulers.values():
            assert sampler.scheduler(scheduler, {}) and SCHEDULERS[scheduler.key] == scheduler


# A second family, as small as one can be

DRAWN = Layout("DrawingPipeline", "drawings", {
    "brush": Component("drawing", frozenset({"Brush"}), "config.json", "model"),
    "scheduler": Component("diffusers", frozenset({"EulerDiscreteScheduler"}), "scheduler_config.json")})
ROW = ModelSpec(
    key="sketch", title="Sketch", summary="It draws.", defaults=Defaults(5, 3, 1.0, 8, 32, 32, "plain euler"),
    limits=Limits(Range(1, 33, 2), width=Range(8, 1 << 20, 8), height=Range(8, 1 << 20, 8)), licence="none",
    permitted_use="any", family="drawn", schedulers=("plain euler",), modes=(EXACT,))
SIDE = 8


@dataclass(frozen=True)
class DrawnShape:
    """Two frames (the first: one), and eight pixels along a side, are one latent."""

    pixels_per_latent: int = SIDE
    tokens: int = 16

    def work(self, size, num_inference_steps, guided):
        return Work(1, num_inference_steps * size.pixels * (2 if guided else 1), size.pixels)

    def memory(self, size, guided, device):
        return Memory(0, 1000, 0, 100 * size.pixels, size.pixels, 1000, 1000)


class Drawings:
    """The half without torch."""

    key = "drawn"
    layout = DRAWN
    rows = (ROW,)
    schedulers = {"plain euler": SchedulerSpec("plain euler", "Plain Euler", "EulerDiscreteScheduler")}

    def row_of(self, folder):
        return replace(ROW, key=folder.name, title=folder.name)

    def shape(self, folder):
        return DrawnShape()

    def method(self, mode, device):
        return {"mode": mode.key, "ink": "blue"}


class Brush(torch.nn.Module):
    def __init__(self, thickness):
        super().__init__()
        self.thickness = torch.nn.Parameter(thickness)

    @classmethod
    def from_pretrained(cls, folder, dtype, **options):
        return cls(load_file(folder / "model.safetensors")["thickness"].to(dtype)), {}


class Strokes:
    """The prediction of the model: less and less of its input."""

    def __init__(self, brush, strength):
        self.brush, self.strength = brush, strength

    def begin(self, timesteps):
        self.count = len(timesteps)

    def whole(self, index):
        return True

    def __call__(self, latents, index):
        return latents * self.strength * self.brush.thickness * (self.count - index) / self.count


class DrawnModel:
    """The half with torch."""

    def __init__(self, found):
        self.source, self.shape = found.source, found.shape
        self.brush = found.part(Brush, "brush")
        self.parts = Parts(torch.nn.Identity(), self.brush, torch.nn.Identity())
        self.scheduler_config = found.scheduler_config()
        self.preview_factors = Factors(((0.5, 0.0, 0.0), (0.0, 0.5, 0.0)))
        self.recorded_bytes = 0

    def latents_of(self, size):
        if size.num_frames % 2 == 0:
            raise BadRequest("num_frames", f"{size.num_frames} is even.")
        return (size.num_frames + 1) // 2, 2, size.height // SIDE, size.width // SIDE

    def arrange(self, mode, memory_mode):
        assert mode.key == EXACT

    def works_layer_by_layer(self, mode):
        return False

    def embed(self, recipe):
        return torch.tensor([[[len(recipe.prompt) / 100]]]), ("The brush reads only how long a prompt is.",)

    def predict(self, recipe, embeds, noise, memory_mode, around):
        if recipe.width > 1 << 19:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return Strokes(self.brush, embeds.item())

    def decode(self, latents, mode, on_decoded):
        count, high, wide = (latents.shape[side] for side in (2, 3, 4))
        planes = torch.cat([latents[0], latents[0, :1]]).permute(1, 0, 2, 3) / 400  # (F, 3, h, w), nearly all in range
        large = planes.repeat_interleave(SIDE, 2).repeat_interleave(SIDE, 3)
        images = (large[:1] if number == 0 else large[number:number + 1].repeat(2, 1, 1, 1) for number in range(count))
        return gather(images, Size(2 * count - 1, SIDE * high, SIDE * wide), latents.device, on_decoded)

    def rehearse(self, recipe, noise, alive):
        alive()
        return 0.001

    def forget_recordings(self):
        pass


def sketch_in(models_dir, name="sketch", thickness=0.5):
    folder = models_dir / name
    for path, document in {
            "model_index.json": {"_class_name": "DrawingPipeline", "brush": ["drawing", "Brush"],
                                 "scheduler": ["diffusers", "EulerDiscreteScheduler"]},
            "brush/config.json": {"_class_name": "Brush"},
            "scheduler/scheduler_config.json": {"beta_schedule": "linear"}}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(json.dumps(document))
    save_file({"thickness": torch.tensor([thickness])}, folder / "brush" / "model.safetensors")
    return folder


@pytest.fixture
def house(tmp_path, models_dir, monkeypatch):
    """A models folder with a model of each family. The rows below are all that adding one takes."""
    monkeypatch.setitem(FAMILIES, "drawn", Drawings())
    monkeypatch.setitem(LOADERS, "drawn", DrawnModel)
    monkeypatch.setitem(MODELS, ROW.key, ROW)
    monkeypatch.setitem(SCHEDULERS, "plain euler", Drawings.schedulers["plain euler"])
    shutil.copytree(models_dir / "tiny", tmp_path / "tiny")
    sketch_in(tmp_path)
    return tmp_path


def engine_on(folder, **changes):
    return Engine(Settings.from_env({}, models_dir=folder, device="cpu", **changes))


def asked(folder, **values):
    return resolve(VideoRequest(**{"prompt": "a long line", "model": "sketch", "seed": 3, **values}), catalog(folder))


def made(engine, recipe, checkpoint=b"", **calls):
    return engine.generate(recipe, calls.pop("on_progress", lambda _: None), checkpoint, **calls)


def test_a_new_family_makes_videos_and_its_receipt_says_how_it_works(house):
    seen, parts, recipe = [], [], asked(house)
    done = made(engine_on(house), recipe, on_progress=seen.append, on_frames=parts.append)
    assert done.frames.shape == (5, 32, 32, 3) and np.array_equal(np.concatenate(parts), done.frames)
    assert done.receipt.method == {"mode": "exact", "ink": "blue"}
    assert done.receipt.scheduler_config["class"] == "EulerDiscreteScheduler"
    assert (done.receipt.model, done.receipt.model_source) == ("sketch", "folder")
    assert done.notes == ("The brush reads only how long a prompt is.",)
    assert [(now.phase, now.done) for now in seen if now.phase != "loading"] == [
        *(("denoising", step) for step in (1, 2, 3)), *(("decoding", count) for count in (1, 3, 5))]
    assert all(now.preview for now in seen if now.phase == "denoising" and now.done in (1, 3))


def test_everything_that_decides_the_frames_of_a_new_family_is_in_the_receipt_too(house):
    engine = engine_on(house)
    first = made(engine, asked(house)).receipt
    assert made(engine, asked(house)).receipt == first == made(engine_on(house), asked(house)).receipt
    for change in ({"seed": 4}, {"prompt": "a line"}, {"num_inference_steps": 4}):
        assert made(engine, asked(house, **change)).receipt.frames_sha256 != first.frames_sha256, change
    sketch_in(house, thickness=0.75)
    other = made(engine_on(house), asked(house)).receipt
    assert other.weights_sha256 != first.weights_sha256 and other.frames_sha256 != first.frames_sha256


def test_a_video_of_a_new_family_stops_and_resumes(house):
    engine, recipe, kept = engine_on(house), asked(house), []
    calm = made(engine, recipe, on_checkpoint=lambda step, make: kept.append(make()))

    def cancel(now):
        if now.phase == "decoding":
            raise Cancelled

    with pytest.raises(Cancelled):
        made(engine, recipe, on_progress=cancel)
    again = made(engine, recipe, kept[1])
    assert again.receipt == calm.receipt and "Continued after step 2 of 3." in again.notes


@pytest.mark.parametrize(("asks_for", "gets"), [
    (cost.RESIDENT, cost.RESIDENT), (cost.MODEL_OFFLOAD, cost.MODEL_OFFLOAD),
    (cost.SEQUENTIAL_OFFLOAD, cost.MODEL_OFFLOAD)])
def test_a_denoiser_that_is_one_piece_moves_as_one(house, asks_for, gets):
    done = made(engine_on(house, memory=asks_for), asked(house))
    assert done.receipt.environment.memory_mode == gets
    assert np.array_equal(done.frames, made(engine_on(house), asked(house)).frames)


def test_one_engine_takes_turns_with_models_of_both_families(house):
    engine, tiny = engine_on(house), {"model": "tiny", "num_frames": 2, "num_inference_steps": 2, "guidance_scale": 6.0}
    drawn, dreamt = made(engine, asked(house)), made(engine, asked(house, **tiny))
    assert dreamt.receipt.method == MODES[EXACT].document("cpu") and engine.loaded == "tiny"
    assert made(engine, asked(house)).receipt == drawn.receipt
    assert made(engine, asked(house, **tiny)).receipt == dreamt.receipt


def test_a_step_of_a_new_family_is_tried_beforehand(house):
    engine = engine_on(house)
    engine.load("sketch", lambda _: None)
    engine.prepare(lambda: None)
    assert engine.resources().step_flops_per_s == 5 * 32 * 32 / 0.001


def test_a_video_that_does_not_fit_is_refused_beforehand_or_offered_smaller_afterwards(house):
    with pytest.raises(OutOfMemory, match=r"GB are free; .* should fit\."):
        made(engine_on(house), replace(asked(house), width=1 << 20, height=1 << 20, num_frames=33))
    planner = planner_on(house)
    huge = asked(house, width=1 << 20, height=1 << 20)
    with pytest.raises(DoesNotFit) as refused:
        planner.must_fit(huge, ROW)
    assert planner.must_fit(replace(huge, **refused.value.fits), ROW) is None


def test_a_folder_of_a_new_family_is_a_model_without_a_row(house):
    sketch_in(house, "my drawings", 0.25)
    row = catalog(house)["my drawings"]
    assert (row.family, row.title) == ("drawn", "my drawings")
    assert made(engine_on(house), asked(house, model="my drawings")).receipt.model == "my drawings"


def test_a_folder_of_a_new_family_is_checked_against_its_own_layout(house):
    sketch_in(house, "broken")
    (house / "broken" / "brush" / "config.json").write_text('{"_class_name": "Broom"}')
    with pytest.raises(ModelUnavailable, match="its brush is a 'Broom', not a Brush"):
        made(engine_on(house), asked(house, model="broken"))
    (house / "broken" / "brush" / "model.safetensors").unlink()
    (house / "broken" / "brush" / "config.json").write_text("{}")
    with pytest.raises(ModelUnavailable, match="the brush has no safetensors file"):
        made(engine_on(house), asked(house, model="broken"))


def test_a_folder_of_no_family_is_refused_when_it_is_loaded(house):
    folder = sketch_in(house, "strange")
    (folder / "model_index.json").write_text('{"_class_name": "StrangePipeline"}')
    with pytest.raises(ModelUnavailable, match="strange is a 'StrangePipeline' checkpoint"):
        made(engine_on(house), asked(house, model="strange", num_frames=2, guidance_scale=6.0))


def test_a_request_may_ask_only_for_the_offers_of_a_family(house):
    for field, value in (("scheduler", "dpmsolver++"), ("mode", "fast"), ("num_frames", 4), ("width", 36)):
        with pytest.raises(BadRequest) as refused:
            asked(house, **{field: value})
        assert refused.value.field == field


def test_the_plan_of_a_new_family_is_its_own(house):
    planner = planner_on(house)
    estimate = planner.estimate(VideoRequest("a line", model="sketch"))
    assert estimate.memory_bytes == 1000 + 1000 + 100 * 5 * 32 * 32
    receipt = made(engine_on(house), asked(house)).receipt
    assert expected_causes(receipt, receipt.environment, None, catalog(house)).causes == ()
    before = replace(receipt, method={"mode": "exact", "ink": "red"})
    assert expected_causes(before, receipt.environment, None, catalog(house)).causes == (
        "other settings of the mode exact (ink)",)


def planner_on(models_dir):
    settings = Settings.from_env({}, models_dir=models_dir, data_dir=models_dir / "data", device="cpu")
    library = Library(settings.data_dir, writable=False)
    return Planner(settings, lambda: None, lambda: library, lambda: "cpu")


# Configurations are read once


PARTS = ("unet", "vae", "text_encoder")


@pytest.fixture
def reads(tmp_path, models_dir, monkeypatch):
    """How often each file of a models folder with two models was opened."""
    for name in ("one", "two"):
        shutil.copytree(models_dir / "tiny", tmp_path / name)
    found, really = Counter(), Path.open

    def counted(path, *arguments, **options):
        if path.is_relative_to(tmp_path):
            found[path.relative_to(tmp_path).as_posix()] += 1
        return really(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", counted)
    return found


def plan_everything(models_dir):
    """The questions of a page while a person fills in the form."""
    for key in ("one", "two"):
        spec = catalog(models_dir)[key]
        shape = family_of(spec).shape(models_dir / key)
        recipe = resolve(VideoRequest("a", model=key), catalog(models_dir))
        planner = planner_on(models_dir)
        planner.estimate(recipe.request())
        planner.must_fit(recipe, spec)
        planner.smaller(recipe)
    return shape


def test_catalog_shape_and_plan_read_each_configuration_once(tmp_path, reads):
    plan_everything(tmp_path)
    opened = {name: count for name, count in reads.items() if name.split("/")[0] in ("one", "two")}
    assert opened == {f"{key}/{name}": 1 for key in ("one", "two")
                      for name in ("model_index.json", *(f"{part}/config.json" for part in PARTS))}


def test_a_configuration_that_changed_is_read_again_and_no_other(tmp_path, reads):
    before = plan_everything(tmp_path)
    path = tmp_path / "two" / "unet" / "config.json"
    text = path.read_text()
    path.write_text(text.replace('"layers_per_block": 1', '"layers_per_block": 2'))
    reads.clear()
    after = plan_everything(tmp_path)
    assert after.work(Size(4, 32, 32), 5, True).denoising > before.work(Size(4, 32, 32), 5, True).denoising
    assert {name for name in reads if name.startswith(("one/", "two/"))} == {"two/unet/config.json"}
    assert reads["two/unet/config.json"] == 1
    path.write_text(text)
    assert plan_everything(tmp_path) == before


def test_a_change_that_leaves_the_size_is_seen_by_the_time(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"a": 1}')
    assert read_configuration(path) == {"a": 1}
    path.write_text('{"a": 2}')
    later = path.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(later, later))
    assert read_configuration(path) == {"a": 2}


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"x"'])
def test_a_text_that_is_no_object_counts_as_absent_and_is_read_when_it_is_one(tmp_path, text):
    path = tmp_path / "config.json"
    assert read_configuration(path) is None
    path.write_text(text)
    assert read_configuration(path) is None
    path.write_text('{"now": "an object"}')
    assert read_configuration(path) == {"now": "an object"}


def test_bytes_that_are_no_text_are_as_good_as_absent(tmp_path):
    (tmp_path / "config.json").write_bytes(b"\xff\xfe{}")
    assert read_configuration(tmp_path / "config.json") is None
