"""Stands in for torchaudio: ComfyUI's audio nodes import it at module level, and no test runs them."""

from . import functional, transforms

__all__ = ["functional", "transforms"]
