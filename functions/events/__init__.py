"""Lambda functions behind queues, streams and schedules."""
