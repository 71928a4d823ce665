"""Write a random checkpoint that ComfyUI takes for Stable Diffusion 1.5, small enough for a CPU.

A UNet with one level, TAESD's small decoder and the real text encoder: 300 MB, and 3 steps at 64x64 take 0.3 s.
Its images are colored patterns that differ by prompt and seed.

usage: COMFYUI=its folder make_checkpoint.py FILE
"""

import json
import os
import sys
from pathlib import Path

comfyui = Path(os.environ["COMFYUI"])
file = sys.argv[1]
sys.argv[1:] = ["--cpu"]  # ComfyUI reads the command line when it is imported
sys.path.insert(0, str(comfyui))

# ruff: noqa: E402  ComfyUI can be imported only now
import comfy.options

comfy.options.enable_args_parsing()

import comfy.ops
import torch
from comfy.clip_model import CLIPTextModel
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy.taesd.taesd import TAESD
from safetensors.torch import save_file

operations = comfy.ops.disable_weight_init


def random_weights(module: torch.nn.Module, prefix: str) -> dict[str, torch.Tensor]:
    """Fill a module's parameters so that signals neither vanish nor explode between its layers."""
    weights = {}
    for name, value in module.state_dict().items():
        if not value.is_floating_point():
            weight = value.clone()
        elif value.ndim > 1:
            weight = torch.randn(value.shape) * 0.5 / value[0].numel() ** 0.5
        else:
            weight = torch.ones_like(value) if name.endswith("weight") else torch.zeros_like(value)
        weights[prefix + name] = weight.half().contiguous() if weight.is_floating_point() else weight
    return weights


def unet_weights() -> dict[str, torch.Tensor]:
    """Make the weights of the UNet, which does the sampling."""
    unet = UNetModel(
        image_size=32,
        in_channels=4,
        out_channels=4,
        model_channels=320,
        num_res_blocks=[1],
        channel_mult=[1],
        num_heads=8,
        num_head_channels=-1,
        use_spatial_transformer=True,
        transformer_depth=[1],
        transformer_depth_output=[1, 1],
        transformer_depth_middle=1,
        context_dim=768,
        use_linear_in_transformer=False,
        adm_in_channels=None,
        use_temporal_attention=False,
        legacy=False,
        operations=operations,
        dtype=torch.float32,
    )
    return random_weights(unet, "model.diffusion_model.")


def decoder_weights() -> dict[str, torch.Tensor]:
    """Make the weights of the VAE, which converts latents to images and back."""
    prefix = "first_stage_model."
    weights = random_weights(TAESD(), prefix)
    weights[f"{prefix}vae_scale"] = torch.tensor(1.0)
    weights[f"{prefix}vae_shift"] = torch.tensor(0.0)
    # Around mid-gray and with some contrast, so that images differ and are not nearly black.
    weights[f"{prefix}taesd_decoder.19.weight"] *= 4
    weights[f"{prefix}taesd_decoder.19.bias"] += 0.5
    return weights


def text_encoder_weights() -> dict[str, torch.Tensor]:
    """Make the weights of the text encoder, which encodes the prompt."""
    config = json.loads((comfyui / "comfy" / "sd1_clip_config.json").read_text())
    prefix = "cond_stage_model.transformer."
    weights = random_weights(CLIPTextModel(config, torch.float32, "cpu", operations), prefix)
    weights.pop(f"{prefix}text_projection.weight", None)  # Stable Diffusion 1.5 has none
    return weights


torch.manual_seed(0)
save_file(unet_weights() | decoder_weights() | text_encoder_weights(), file)
