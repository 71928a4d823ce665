"""Event sources of local mode: call functions from queues, on a schedule and from the stream of the table.

One file per kind of event source.
"""
