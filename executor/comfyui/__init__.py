"""The ComfyUI next to this executor: HTTP client, WebSocket, history, and monitoring of its prompts."""
