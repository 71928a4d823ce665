"""Turn ComfyUI's errors into job errors: what failed, and what to do about it."""
