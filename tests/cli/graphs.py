"""Graphs for several kinds of models, in ComfyUI's API format."""

from __future__ import annotations

from typing import Any

Graph = dict[str, Any]


def node(class_type: str, title: str = "", /, **inputs: Any) -> dict[str, Any]:  # noqa: ANN401  JSON
    """Make a node."""
    made: dict[str, Any] = {"class_type": class_type, "inputs": inputs}
    return {**made, "_meta": {"title": title}} if title else made


def flux() -> Graph:
    """Make a graph with a custom sampler, a LoRA and guidance."""
    return {
        "5": node("EmptySD3LatentImage", width=1024, height=768, batch_size=1),
        "6": node("CLIPTextEncode", text="a lighthouse", clip=["11", 0]),
        "10": node("VAELoader", vae_name="ae.safetensors"),
        "11": node("DualCLIPLoader", clip_name1="t5xxl.safetensors", clip_name2="clip_l.safetensors", type="flux"),
        "12": node("UNETLoader", unet_name="flux1-dev.safetensors", weight_dtype="default"),
        "14": node("LoraLoaderModelOnly", model=["12", 0], lora_name="film.safetensors", strength_model=1.0),
        "16": node("KSamplerSelect", sampler_name="euler"),
        "17": node("BasicScheduler", model=["14", 0], scheduler="simple", steps=20, denoise=1.0),
        "22": node("BasicGuider", model=["14", 0], conditioning=["26", 0]),
        "25": node("RandomNoise", noise_seed=582911437709173),
        "26": node("FluxGuidance", conditioning=["6", 0], guidance=3.5),
        "13": node(
            "SamplerCustomAdvanced",
            noise=["25", 0],
            guider=["22", 0],
            sampler=["16", 0],
            sigmas=["17", 0],
            latent_image=["5", 0],
        ),
        "8": node("VAEDecode", samples=["13", 0], vae=["10", 0]),
        "9": node("SaveImage", images=["8", 0], filename_prefix="flux"),
    }


def video() -> Graph:
    """Make a graph for a video, whose conditioning goes through the node that has its size."""
    return {
        "1": node("UNETLoader", unet_name="wan2.1_i2v.safetensors", weight_dtype="default"),
        "2": node("CLIPLoader", clip_name="umt5.safetensors", type="wan"),
        "3": node("VAELoader", vae_name="wan.safetensors"),
        "4": node("CLIPTextEncode", text="a fox runs", clip=["2", 0]),
        "5": node("CLIPTextEncode", text="static, blurry", clip=["2", 0]),
        "6": node("LoadImage", image="fox.png"),
        "7": node(
            "WanImageToVideo",
            positive=["4", 0],
            negative=["5", 0],
            vae=["3", 0],
            start_image=["6", 0],
            width=830,
            height=480,
            length=81,
            batch_size=1,
        ),
        "8": node(
            "KSampler",
            model=["1", 0],
            seed=1,
            steps=20,
            cfg=6.0,
            sampler_name="uni_pc",
            scheduler="simple",
            positive=["7", 0],
            negative=["7", 1],
            latent_image=["7", 2],
            denoise=1.0,
        ),
        "9": node("VAEDecode", samples=["8", 0], vae=["3", 0]),
        "10": node("CreateVideo", images=["9", 0], fps=16.0),
        "11": node("SaveVideo", video=["10", 0], filename_prefix="video", format="auto", codec="auto"),
    }


def two_passes() -> Graph:
    """Make a graph with two samplers: other prompts and steps, the same seed, which a primitive node holds."""

    def sampler(positive: str, steps: int, latent: str) -> dict[str, Any]:
        return node(
            "KSampler",
            model=["1", 0],
            seed=["20", 0],
            steps=steps,
            cfg=7.0,
            sampler_name="my_own_sampler",
            scheduler="normal",
            positive=[positive, 0],
            negative=["5", 0],
            latent_image=[latent, 0],
            denoise=1.0,
        )

    return {
        "1": node("CheckpointLoaderSimple", ckpt_name="base.gguf"),
        "3": node("CLIPTextEncode", text="the whole image", clip=["1", 1]),
        "4": node("CLIPTextEncode", text="only its details", clip=["1", 1]),
        "5": node("ConditioningZeroOut", conditioning=["3", 0]),
        "6": node("EmptyLatentImage", width=4096, height=512, batch_size=1),
        "7": sampler("3", 20, "6"),
        "8": node("LatentUpscaleBy", samples=["7", 0], upscale_method="nearest-exact", scale_by=1.5),
        "9": sampler("4", 200, "8"),
        "10": node("VAEDecode", samples=["9", 0], vae=["1", 2]),
        "11": node("SaveImage", images=["10", 0], filename_prefix="two"),
        "20": node("PrimitiveInt", value=18446744073709551615),
    }
