"""The operator's command, comfyui-gateway."""
