"""What a caller can ask for, as functions over ports: no HTTP, no Lambda event."""
