"""Stands in for torchvision: ComfyUI imports it at module level, but only models that no test uses call it."""

from . import transforms

__all__ = ["transforms"]
