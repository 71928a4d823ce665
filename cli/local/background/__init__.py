"""The functions that no request calls, started as on AWS: by queues and by the clock. One file per kind of source."""
