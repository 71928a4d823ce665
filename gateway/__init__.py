"""The kernel: what a job and a workflow are, and the ports to AWS. Knows neither Lambda nor ComfyUI."""
