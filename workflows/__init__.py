"""Bundled workflows: NAME.json is a ComfyUI graph with tokens, NAME.schema.json the JSON Schema of its inputs."""
