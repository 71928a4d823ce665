"""What a caller can ask for, over ports: no HTTP, no Lambda event. Every API surface calls these and nothing else."""
