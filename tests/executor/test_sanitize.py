"""Texts of ComfyUI and of graphs are sanitized before they are shown."""

from __future__ import annotations

import pytest

from executor.comfyui.errors.sanitize import node_name, sanitize

PROMPT = {
    "3": {"class_type": "KSampler", "_meta": {"title": "Sample\n it"}},
    "4": {"class_type": "VAEDecode", "_meta": {"title": "VAEDecode"}},
    "5": {"class_type": "SaveImage", "_meta": "none"},
}


@pytest.mark.parametrize(
    ("text", "sanitized"),
    [
        ("cannot read /srv/models/secret.bin", "cannot read …"),
        ("No such file: '/home/John Doe/my models/a.ckpt'", "No such file: '…'"),
        ('open "/secret" failed', 'open "…" failed'),
        (r"C:\Users\me\ComfyUI\main.py broke", "… broke"),
        ("see C:/Users/me/x.py", "see C:…"),
        (r"\\server\share\models\a.bin", "…"),
        ("GET http://10.0.0.5:8188/view failed", "GET … failed"),
        ("HTTPConnectionPool(host='192.168.1.7', port=80)", "HTTPConnectionPool(host='…', port=80)"),
        ("two\nlines\tand\x1b[31m color\n", "two lines and[31m color"),
        ("SDXL/base_1.0.safetensors is 3/4 of 1.2.3", "SDXL/base_1.0.safetensors is 3/4 of 1.2.3"),
        ("x" * 10_000, "x" * 499 + "…"),
    ],
)
def test_paths_and_addresses_are_removed(text: str, sanitized: str) -> None:
    """Long messages are truncated; the rest is not changed."""
    assert sanitize(text) == sanitized


def test_hostile_messages_are_sanitized_quickly() -> None:
    """The pattern is not slow for any text."""
    for text in ("/a" * 10**6, "'/" * 10**6, "a" * 10**6 + "://", "1." * 10**6, "\\" * 10**6):
        assert len(sanitize(text)) <= 500


@pytest.mark.parametrize(
    ("node_id", "name", "private_name"),
    [
        ("3", 'node 3 "Sample it" (KSampler)', "node 3 (KSampler)"),
        ("4", "node 4 (VAEDecode)", "node 4 (VAEDecode)"),
        ("5", "node 5 (SaveImage)", "node 5 (SaveImage)"),
        ("3.0.0.2", "node 3.0.0.2 (Inner)", "node 3 (KSampler)"),
        ("9", "node 9 (Inner)", "an inner node"),
    ],
)
def test_a_node_is_named_by_id_title_and_class(node_id: str, name: str, private_name: str) -> None:
    """Nodes that others created have the class that ComfyUI reports; private jobs name nodes of their graph only."""
    assert node_name(node_id, "Inner", PROMPT, private=False) == name
    assert node_name(node_id, "Inner", PROMPT, private=True) == private_name
