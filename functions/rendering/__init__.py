"""The JSON of jobs, outputs and webhooks, and how it is rendered from domain objects."""
