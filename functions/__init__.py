"""Lambda entry points of the HTTP API."""
