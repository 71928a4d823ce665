"""The ComfyUI beside an executor: HTTP client, WebSocket, history, and the monitoring of its prompts."""
