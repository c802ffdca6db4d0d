"""Model folders: bad ones are refused, with a reason, before anything in them is loaded."""

import json
import os

import pytest
from tiny import make_checkpoint

from core.diffusion import loader
from core.diffusion.unet3d.model import load as load_unet3d
from core.errors import ModelUnavailable
from core.families import model_folder
from core.families.catalog import catalog
from core.families.registry import MODELS
from core.families.unet3d.layout import LAYOUT
from core.settings import Settings


@pytest.fixture
def folder(tmp_path):
    return make_checkpoint(tmp_path / "models" / "tiny")


def load(folder, on_progress=lambda _: None, spec=None):
    settings = Settings.from_env({}, models_dir=folder.parent, device="cpu")
    return load_unet3d(loader.find(spec or catalog(folder.parent)[folder.name], settings, on_progress))


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def refused(folder, words):
    with pytest.raises(ModelUnavailable, match=words) as error:
        load(folder)
    assert str(error.value).endswith((".", ")."))


def test_a_whole_checkpoint_loads_with_its_own_values(folder):
    model = load(folder)
    assert (model.tokens, model.shape.pixels_per_latent, model.source.origin) == (77, 8, "folder")
    assert model.scheduler_config["beta_schedule"] == "scaled_linear"
    assert {tensor.data_ptr() % 64 for tensor in model.unet.parameters()} == {0}


@pytest.mark.parametrize(("name", "value"), [
    ("unet", ["os", "system"]), ("unet", ["diffusers", "UNet2DConditionModel"]),
    ("vae", ["my_vae", "AutoencoderKL"]), ("text_encoder", "CLIPTextModel"),
    ("scheduler", ["diffusers", "DiffusionPipeline"]), ("safety_checker", ["transformers", "CLIPModel"]),
    ("_class_name", "TextToVideoZeroPipeline"), ("_class_name", ["x", "MyPipe"]),
])
def test_an_index_that_names_anything_else_is_refused(folder, name, value):
    change(folder / "model_index.json", **{name: value})
    refused(folder, "not allowed|this studio runs")


def test_nothing_that_an_index_names_is_imported(folder, tmp_path, monkeypatch):
    (tmp_path / "booby.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    change(folder / "model_index.json", unet=["booby", "Trap"])
    refused(folder, "not allowed")


@pytest.mark.parametrize("name", ["unet/model.py", "evil.so", "vae/__pycache__/x.pyc"])
def test_a_folder_with_program_code_is_refused(folder, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"")
    refused(folder, "program code")


@pytest.mark.parametrize(("part", "name"), [("unet", "config.json"), ("text_encoder", "config.json"),
                                            ("tokenizer", "tokenizer_config.json")])
def test_a_configuration_that_asks_for_custom_code_is_refused(folder, part, name):
    change(folder / part / name, auto_map={"AutoModel": "evil.Model"})
    refused(folder, "auto_map")


def test_a_pickle_in_the_place_of_safetensors_is_refused(folder):
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    path.rename(path.with_suffix(".bin"))
    refused(folder, "convert it to safetensors")


def test_a_link_that_leaves_the_folder_is_refused(folder, tmp_path):
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    path.rename(tmp_path / "elsewhere.safetensors")
    path.symlink_to(tmp_path / "elsewhere.safetensors")
    refused(folder, "link that leaves the folder")
    path.unlink()
    os.link(tmp_path / "elsewhere.safetensors", path)
    load(folder)


def test_links_within_the_hubs_cache_are_fine(folder, tmp_path):
    snapshot = tmp_path / "hub" / "models--a--b" / "snapshots" / ("0" * 40)
    blobs = tmp_path / "hub" / "models--a--b" / "blobs"
    blobs.mkdir(parents=True)
    for number, path in enumerate(sorted(p for p in folder.rglob("*") if p.is_file())):
        link = snapshot / path.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        path.rename(blobs / str(number))
        link.symlink_to(blobs / str(number))
    model_folder.check(snapshot, LAYOUT)
    (snapshot / "unet" / "notes.txt").symlink_to("/etc/hostname")
    with pytest.raises(ModelUnavailable, match="link that leaves the folder"):
        model_folder.check(snapshot, LAYOUT)


@pytest.mark.parametrize("name", ["model_index.json", "unet/config.json", "scheduler/scheduler_config.json",
                                  "tokenizer/tokenizer_config.json", "tokenizer/vocab.json",
                                  "vae/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"])
def test_a_missing_file_is_named(folder, name):
    spec = catalog(folder.parent)["tiny"]
    (folder / name).unlink()
    with pytest.raises(ModelUnavailable, match="missing|no safetensors|cannot be loaded|not on this machine"):
        load(folder, spec=spec)


@pytest.mark.parametrize("keep", [0, 4, 1000, -1])
def test_a_truncated_weight_file_is_named(folder, keep):
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    refused(folder, "diffusion_pytorch_model.safetensors is damaged")


def test_a_damaged_configuration_is_named(folder):
    (folder / "vae" / "config.json").write_text("{")
    refused(folder, "config.json is damaged")
    (folder / "vae" / "config.json").write_text("[1]")
    refused(folder, "not a JSON object")


def test_weights_that_do_not_fit_their_configuration_are_refused(folder):
    change(folder / "unet" / "config.json", block_out_channels=[12, 24])
    refused(folder, "do not fit together")


def test_weights_that_lack_a_tensor_are_refused_instead_of_filled_with_noise(folder):
    from safetensors.torch import load_file, save_file

    for part, name in (("unet", "conv_out.bias"), ("text_encoder", None)):
        path = next((folder / part).glob("*.safetensors"))
        whole = load_file(path)
        gone = name or next(n for n in whole if n.endswith("final_layer_norm.bias"))
        save_file({n: t for n, t in whole.items() if n != gone}, path, metadata={"format": "pt"})
        refused(folder, "lack 1 tensors|cannot be loaded")
        save_file(whole, path, metadata={"format": "pt"})
    load(folder)


def test_the_weights_hash_follows_content_and_name_and_not_the_place(folder, tmp_path):
    first = load(folder).source.weights_sha256
    other = make_checkpoint(tmp_path / "elsewhere" / "twin")
    assert load(other).source.weights_sha256 == first
    path = other / "vae" / "diffusion_pytorch_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert load(other).source.weights_sha256 != first


@pytest.mark.parametrize("name", [
    "unet/config.json", "vae/config.json", "text_encoder/config.json", "scheduler/scheduler_config.json",
    "tokenizer/vocab.json", "tokenizer/tokenizer_config.json"])
def test_the_hash_follows_everything_that_decides_the_frames(folder, name):
    before = load(folder).source.weights_sha256
    assert folder / "tokenizer" / "merges.txt" in model_folder.configurations(folder, LAYOUT)
    with (folder / name).open("a") as file:
        file.write("\n")
    assert load(folder).source.weights_sha256 != before


def test_a_file_that_changes_while_the_model_loads_does_not_change_the_hash_of_what_was_there(folder):
    before = load(folder).source.weights_sha256
    seen = []

    def spoil(progress):
        seen.append(progress)
        if len(seen) == 2:  # the text encoder has been loaded
            change(folder / "text_encoder" / "config.json", note="changed")

    assert load(folder, spoil).source.weights_sha256 == before
    assert load(folder).source.weights_sha256 != before


def test_half_precision_files_are_chosen_where_the_row_asks_for_them(folder):
    from safetensors.torch import load_file, save_file

    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    halves = {name: tensor.half() for name, tensor in load_file(path).items()}
    save_file(halves, path.with_name("diffusion_pytorch_model.fp16.safetensors"), metadata={"format": "pt"})
    assert model_folder.weight_variant(folder, "unet", LAYOUT, "fp16") == "fp16"
    assert model_folder.weight_variant(folder, "unet", LAYOUT, None) is None
    path.unlink()
    assert model_folder.weight_variant(folder, "unet", LAYOUT, None) == "fp16"
    assert str(load(folder).unet.dtype) == "torch.float32", "on a processor also half precision runs in single"


def test_the_names_of_sharded_and_variant_files_are_understood():
    stem = "diffusion_pytorch_model"
    names = {f"{stem}.safetensors.index.json", f"{stem}-00001-of-00002.safetensors", "other.safetensors",
             f"{stem}-00002-of-00002.safetensors", f"{stem}.fp16.safetensors", f"{stem}.bin"}
    found = model_folder.variants_of(stem, names)
    assert {variant: len(files) for variant, files in found.items()} == {None: 3, "fp16": 1}


def test_a_model_without_folder_or_hub_says_where_to_put_it(tmp_path):
    with pytest.raises(ModelUnavailable, match="zeroscope-576w"):
        loader.locate(MODELS["zeroscope-576w"], Settings.from_env({}, models_dir=tmp_path), lambda _: None)
