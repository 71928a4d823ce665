"""The whole system on one machine: embedded AWS, HTTP front, executor."""
