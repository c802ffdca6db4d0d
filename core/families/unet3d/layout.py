"""The contents of a model folder of the family: the parts of a `TextToVideoSDPipeline`, and their allowed classes."""

from core.families.model_folder import Component, Layout

_WEIGHTS = "diffusion_pytorch_model"

LAYOUT = Layout(
    pipeline="TextToVideoSDPipeline",
    known_as="ModelScope, Zeroscope and their like",
    components={
        "unet": Component("diffusers", frozenset({"UNet3DConditionModel"}), "config.json", _WEIGHTS),
        "vae": Component("diffusers", frozenset({"AutoencoderKL"}), "config.json", _WEIGHTS),
        "text_encoder": Component("transformers", frozenset({"CLIPTextModel"}), "config.json", "model"),
        "tokenizer": Component("transformers", frozenset({"CLIPTokenizer", "CLIPTokenizerFast"}),
                               "tokenizer_config.json", folder_decides=True),
        "scheduler": Component("diffusers", frozenset({
            "DDIMScheduler", "DDPMScheduler", "DEISMultistepScheduler", "DPMSolverMultistepScheduler",
            "DPMSolverSinglestepScheduler", "EulerAncestralDiscreteScheduler", "EulerDiscreteScheduler",
            "HeunDiscreteScheduler", "LMSDiscreteScheduler", "PNDMScheduler", "UniPCMultistepScheduler"}),
            "scheduler_config.json"),
    },
)
