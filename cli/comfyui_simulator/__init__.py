"""A ComfyUI stand-in: the server that clients cannot tell from the real one, without a GPU or models."""
