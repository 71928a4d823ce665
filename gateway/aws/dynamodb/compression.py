"""Compress structured fields of items: each write is billed by every started KB of the item.

Most of a job's item are words that all jobs have in common, so both sides use a preset dictionary of them (RFC 1950's
"FDICT", without its header). A stored field is

    version byte, then raw deflate (RFC 1951) with that version's dictionary

Fields that were stored before there were versions start with the deflate data. The two cannot be confused: the low
three bits of a deflate stream are BFINAL and BTYPE, and BTYPE 11 is reserved, so no stream has 0b110 or 0b111 there.
Every version byte ends with 0b110.

A dictionary is needed to read what was packed with it, so it never changes: new words are a new version.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from gateway.aws.dynamodb import attributes

# The most frequent words are last: deflate refers to near ones in fewer bits.
_WITHOUT_VERSION = b"".join(
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
_VERSION_1 = b"".join(
    (
        b'.safetensors"flux1-dev-fp8_lora_name"denoise":0.5"strength":"length":"fps":24"image":"audio":"duration":',
        b'"guidance":3.5"num_frames":"clip_skip":"upscale":2"lora":"model":"style":"text":"requestId":"userId":',
        b'"euler_ancestral"normal","dpmpp_2m_sde","sampler":"euler","scheduler":"simple","sampler":"dpmpp_2m",',
        b'"scheduler":"karras","checkpoint":"sd_xl_base_1.0.safetensors","negative_prompt":"blurry, low quality,',
        b' watermark, text, deformed","width":1024,"height":1024,"steps":20,"steps":30,"cfg":7.0,',
        b'"batch_size":1,"seed":"prompt":" highly detailed, sharp focus, soft light, cinematic, photograph of a',
        b' portrait of the background, in the style of a ",',
        b'.webm.mp4","video/mp4"].wav.flac","audio/flac"].jpg","image/jpeg"].webp","image/webp"]_00001_.png","image/png"],',
        b'[["outputs/"error","Out of memory at node . Freeing ComfyUI memory and running once more."',
        b'"warning","COMFYUI_UNREACHABLE: ComfyUI lost the prompt; it was probably restarted. Retrying in 3 s.",null],',
        b'"warning","COMFYUI_UNREACHABLE: ComfyUI does not respond (ConnectionError). Retrying in 3 s.",null],',
        b'"Cancel requested. The execution was stopped."Resuming the execution of an earlier attempt.",null],',
        b'"Released: the executor is shutting down.",null],',
        b"LoadImage).UNETLoader).DualCLIPLoader).VAELoader).LoraLoader).",
        b"ControlNetLoader).SamplerCustomAdvanced).VAEEncode).UpscaleModelLoader).ImageScaleBy).VHS_VideoCombine).",
        b'SaveVideo).SaveAudio).PreviewImage).EmptyImage)."Stored 4 outputs, "Stored 1 output, 1.4 MB.",null]]"info",',
        b'"Positive prompt"Negative prompt"Checkpoint"Canvas"Sample"Decode"Save\\" (',
        b'"Reusing cached results of 3 of 7 nodes.",null],',
        b'[3,"info","Step 8 of 30: node 3 \\"KSampler\\" (KSampler).","3"],',
        b'[17,"info","Claimed by executor , attempt 1.",null],[0,"info","Submitting to ComfyUI.",null],',
        b'[5,"info","ComfyUI started the execution.",null],[0,"info","Loading a model: node 4 \\"Load Checkpoint\\" ',
        b'(CheckpointLoaderSimple).","4"],[1,"info","Running node 5 \\"Empty Latent Image\\" (EmptyLatentImage).","5"',
        b'],[0,"info","Running node 9 \\"Save Image\\" (SaveImage).","9"],[1,"info","Running node 8 \\"VAE Decode\\" ',
        b'(VAEDecode).","8"],[1,"info","Running node 3 \\"KSampler\\" (KSampler).","3"],[1,"info","Running node 6 ',
        b'\\"CLIP Text Encode (Prompt)\\" (CLIPTextEncode).","6"],[0,"info","Running node ',
    )
)
_VERSION_BITS, _VERSION_MASK = 0b110, 0b111
_DICTIONARIES = {0b00000_110: _VERSION_1}
_NEWEST = max(_DICTIONARIES)


def pack(value: object) -> bytes:
    """Pack a JSON value with the newest dictionary."""
    deflate = zlib.compressobj(zlib.Z_BEST_COMPRESSION, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=_DICTIONARIES[_NEWEST])
    return bytes((_NEWEST,)) + deflate.compress(attributes.to_json(value).encode()) + deflate.flush()


def unpack(packed: bytes) -> Any:  # noqa: ANN401  JSON
    """Unpack what this or an earlier release packed. Raises KeyError for a version of a later release."""
    dictionary = _WITHOUT_VERSION
    if packed[0] & _VERSION_MASK == _VERSION_BITS:
        dictionary, packed = _DICTIONARIES[packed[0]], packed[1:]
    return json.loads(zlib.decompressobj(-zlib.MAX_WBITS, zdict=dictionary).decompress(packed))
