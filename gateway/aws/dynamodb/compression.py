"""Structured fields of items, deflated: a write costs by each begun KB of the item.

Most of a job's record are words that all jobs' have. `_WORDS` has them, the most frequent last, for both sides to go
by. What is stored cannot be read without it, so it must never change.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from gateway.aws.dynamodb import attributes

_WORDS = b"".join(
    (
        b'.safetensors"flux1-dev-fp8_lora_name"denoise":0.5"strength":"length":"fps":24"image":"audio":"duration":',
        b'"guidance":3.5"num_frames":"clip_skip":"upscale":2"lora":"model":"style":"text":"requestId":"userId":',
        b'"euler_ancestral"normal","dpmpp_2m_sde","sampler":"euler","scheduler":"simple","sampler":"dpmpp_2m",',
        b'"scheduler":"karras","checkpoint":"sd_xl_base_1.0.safetensors","negative_prompt":"blurry, low quality,',
        b' watermark, text, deformed","width":1024,"height":1024,"steps":20,"steps":30,"cfg":7.0,',
        b'"batch_size":1,"seed":"prompt":" highly detailed, sharp focus, soft light, cinematic, photograph of a',
        b' portrait of the background, in the style of a ",',
        b'.webm.mp4","video/mp4"].wav.flac","audio/flac"].jpg","image/jpeg"].webp","image/webp"]_00001_.png","image/png"],',
        b'[["outputs/"error"warning",LoadImage).UNETLoader).DualCLIPLoader).VAELoader).LoraLoader).ControlNetLoader).',
        b"SamplerCustomAdvanced).VAEEncode).UpscaleModelLoader).ImageScaleBy).VHS_VideoCombine).SaveVideo).SaveAudio).",
        b'PreviewImage).EmptyImage)."Stored 1 output, 0.1 MB.",null]]"info",',
        b'" of  nodes are as in an earlier run; ComfyUI has their results.",null],',
        b'[17"Taken by executor , attempt 1.",null],[0,"info","Submitting it to ComfyUI.",null],',
        b'[5,"info","ComfyUI started the execution.",null],[0,"info","Loading a model: node 4 \\"Load Checkpoint\\" ',
        b'(CheckpointLoaderSimple).","4"],[1,"info","Running node 5 \\"Empty Latent Image\\" (EmptyLatentImage).","5"',
        b'],[0,"info","Running node 9 \\"Save Image\\" (SaveImage).","9"],[1,"info","Running node 8 \\"VAE Decode\\" ',
        b'(VAEDecode).","8"],[1,"info","Running node 3 \\"KSampler\\" (KSampler).","3"],[1,"info","Running node 6 ',
        b'\\"CLIP Text Encode (Prompt)\\" (CLIPTextEncode).","6"],[0,"info","Running node ',
    )
)


def pack(value: object) -> bytes:
    """Write JSON."""
    deflate = zlib.compressobj(zlib.Z_BEST_COMPRESSION, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=_WORDS)
    return deflate.compress(attributes.to_json(value).encode()) + deflate.flush()


def unpack(packed: bytes) -> Any:  # noqa: ANN401  JSON
    """Read what `pack` wrote."""
    return json.loads(zlib.decompressobj(-zlib.MAX_WBITS, zdict=_WORDS).decompress(packed))
