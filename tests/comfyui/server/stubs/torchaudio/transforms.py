"""Imported at module level; never called by a test."""


class MelScale:
    """Named in an import of ComfyUI's."""
