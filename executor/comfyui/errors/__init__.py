"""ComfyUI's errors as job errors: what failed, and what to do about it."""
