"""Lambda functions: the HTTP API, and what runs behind queues, streams and schedules."""
