"""Compressed fields of items: small, and readable by all later releases."""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.aws.dynamodb import compression
from gateway.aws.dynamodb.compression import pack, unpack

TEXT = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)
INPUTS = {
    "prompt": "a fox, highly detailed",
    "steps": 20,
    "cfg": 7.5,
    "seed": -1,
    "checkpoint": "sd_xl_base_1.0.safetensors",
}
LOG: list[Any] = [
    [1790000000123, "info", "Claimed by executor gpu-host-1-4711, attempt 1.", None],
    [14, "info", "Submitting to ComfyUI.", None],
    [5, "info", "ComfyUI started the execution.", None],
    [0, "info", "Reusing cached results of 3 of 7 nodes.", None],
    [2, "info", 'Loading a model: node 4 "Load Checkpoint" (CheckpointLoaderSimple).', "4"],
    [901, "info", 'Running node 6 "CLIP Text Encode (Prompt)" (CLIPTextEncode).', "6"],
    [43, "info", 'Running node 7 "CLIP Text Encode (Negative Prompt)" (CLIPTextEncode).', "7"],
    [12, "info", 'Running node 5 "Empty Latent Image" (EmptyLatentImage).', "5"],
    [1, "info", 'Running node 3 "KSampler" (KSampler).', "3"],
    [4210, "info", 'Running node 8 "VAE Decode" (VAEDecode).', "8"],
    [310, "info", 'Running node 9 "Save Image" (SaveImage).', "9"],
    [230, "info", "Stored 1 output, 1.4 MB.", None],
]

SHA256_WITHOUT_VERSION = "3a0fcdda61221d740c7dfe574d2e4a7dce2d1dd236d1f6b6d718b534cb329fc9"
SHA256_BY_VERSION = {0b00000_110: "98e66fca21180191608828e31e25ae0b1e8e8a4f5d352ba5864ae826fd535ede"}


@given(JSON)
def test_a_packed_value_is_unpacked_unchanged(value: object) -> None:
    """Any JSON value survives the round trip."""
    assert unpack(pack(value)) == value


def test_fields_without_a_version_byte_can_be_read() -> None:
    """Releases before the version byte wrote raw deflate with a dictionary that is still included."""
    inputs = bytes.fromhex("ab46944989c0d2a74207bd64524229eba0059c29ac44d33524be48ae0500")
    assert unpack(inputs) == INPUTS
    log = bytes.fromhex(
        "8b0626214b0308303432862bc24c55e905a5ba19f9c525ba86ba26e68686581399a1097d52993128ff9853230319d126e55a1a5037fe6201"
    )
    assert unpack(log) == [
        [1790000000123, "info", "Taken by executor gpu-host-1-4711, attempt 1.", None],
        [14, "info", "Submitting it to ComfyUI.", None],
        [5, "info", "ComfyUI started the execution.", None],
        [0, "info", "3 of 7 nodes are as in an earlier run; ComfyUI has their results.", None],
        [2, "info", 'Loading a model: node 4 "Load Checkpoint" (CheckpointLoaderSimple).', "4"],
        [901, "info", 'Running node 6 "CLIP Text Encode (Prompt)" (CLIPTextEncode).', "6"],
    ]


@given(st.binary(max_size=200))
def test_a_version_byte_differs_from_deflate_data(content: bytes) -> None:
    """A raw deflate stream of any content, at any level, differs from every version byte in its low three bits."""
    for level in range(10):
        deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
        assert (deflate.compress(content) + deflate.flush())[0] & 0b110 != 0b110
    assert pack(None)[0] & 0b111 == 0b110


def test_version_1_stays_readable() -> None:
    """A field that was packed with version 1 can be read by every later release."""
    assert (
        unpack(
            bytes.fromhex(
                "068b06a6244b0308303432c69ba8d20b4a753380a5afaea1ae89b9a121d6346668428744466a5e33a24df2b434"
                "a0762499186337d01cab81f0b20abfc9e6e0e46444bdbc44769a36313234a0202f191b52928b8d8c91ca3f02b5"
                "0300"
            )
        )
        == LOG
    )


def test_dictionaries_never_change() -> None:
    """Stored records cannot be read with another dictionary. To add words, add a version."""
    assert hashlib.sha256(compression._WITHOUT_VERSION).hexdigest() == SHA256_WITHOUT_VERSION
    digests = {version: hashlib.sha256(words).hexdigest() for version, words in compression._DICTIONARIES.items()}
    assert digests == SHA256_BY_VERSION


def test_a_typical_job_compresses_well() -> None:
    """The dictionary covers the words of a log and of inputs; the version byte costs one more byte for inputs."""
    assert len(pack(LOG)) <= 106
    assert len(pack(INPUTS)) <= 30 + 1
