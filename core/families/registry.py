"""Every model that has a row: what it is, needs, allows, and may be used for."""

from core.domain.models import Defaults, Limits, ModelSpec, Range

_RECOMMENDED = {
    "num_frames": Range(16, 24),
    "num_inference_steps": Range(20, 30),
    "guidance_scale": Range(7, 9, 0),
    "fps": Range(6, 8),
}

MODELS: dict[str, ModelSpec] = {
    row.key: row
    for row in (
        ModelSpec(
            key="demo",
            title="Demo model",
            summary="It knows thirteen scenes, and six shapes in ten colours that move as you say. It ships with "
                    "the studio and runs on any laptop.",
            defaults=Defaults(16, 20, 2.0, 8, 128, 128),
            limits=Limits(num_frames=Range(1, 32), width=Range(32, 256, 16), height=Range(32, 256, 16)),
            recommended={"num_frames": Range(16, 16), "num_inference_steps": Range(6, 20),
                         "guidance_scale": Range(2, 3.5, 0), "fps": Range(6, 8)},
            licence="Apache-2.0",
            permitted_use="Any use. Trained only on clips drawn by a program of this project.",
            examples=(
                "a red ball bouncing on a white background",
                "a boat with a white sail on the sea",
                "shooting stars over a night sky",
                "snow over a neon city at night",
            ),
            memory_bytes=600_000_000,
        ),
        ModelSpec(
            key="modelscope-1.7b",
            title="ModelScope 1.7B",
            summary="The general text-to-video model of ModelScope: 256×256, two seconds, any English prompt.",
            defaults=Defaults(16, 25, 9.0, 8, 256, 256),
            limits=Limits(),
            recommended=_RECOMMENDED,
            licence="CC-BY-NC-4.0",
            permitted_use="Non-commercial use only. Its training clips carried a stock-footage watermark, "
                          "which can show in results.",
            repo_id="ali-vilab/text-to-video-ms-1.7b",
            revision="8227dddca75a8561bf858d604cc5dae52b954d01",
            variant="fp16",
            examples=(
                "An astronaut riding a horse on the moon",
                "A panda eating bamboo on a rock",
                "Waves breaking on a rocky beach at sunset, aerial view",
                "A paper boat floating down a rainy street",
            ),
            needs_cuda=True,
            download_bytes=3_670_000_000,
            memory_bytes=5_900_000_000,
        ),
        ModelSpec(
            key="zeroscope-576w",
            title="Zeroscope v2 576w",
            summary="ModelScope 1.7B tuned to 576×320 and without its watermark. The hub has no safetensors of "
                    "it: convert it once into a folder of this name (see the README).",
            defaults=Defaults(24, 25, 9.0, 8, 576, 320),
            limits=Limits(),
            recommended={**_RECOMMENDED, "num_frames": Range(24, 24)},
            licence="CC-BY-NC-4.0",
            permitted_use="Non-commercial use only.",
            examples=(
                "A drone shot of a mountain lake at dawn",
                "A golden retriever running through tall grass",
                "A lighthouse in a storm, waves crashing",
                "Timelapse of clouds over a city skyline",
            ),
            needs_cuda=True,
            memory_bytes=7_500_000_000,
        ),
    )
}


def default_model(device: str) -> str:
    """The model a silent request gets on a worker's `device`: ModelScope 1.7B on a GPU, else the demo."""
    return "modelscope-1.7b" if device == "cuda" else "demo"
