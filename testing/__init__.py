"""In-memory ports, a fake clock and other support that tests and bench share."""
