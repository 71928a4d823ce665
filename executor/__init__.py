"""The process next to ComfyUI: receives jobs from the queue, executes them, and stores their outputs."""
