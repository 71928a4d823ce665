"""The functions that no request calls, started as on AWS: by queues, by the clock and by the table's stream.

One file per kind of source.
"""
