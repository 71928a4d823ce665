"""The names of all functions that are deployed."""

from functions.routing import DEFAULT_FUNCTION, FUNCTION_OF_SEGMENT
from gateway.aws.resources import JOB_CHANGES, QUEUE_SOURCES, SCHEDULES

FUNCTIONS = sorted(
    {
        *FUNCTION_OF_SEGMENT.values(),
        DEFAULT_FUNCTION,
        JOB_CHANGES.function.name,
        *(source.function.name for source in QUEUE_SOURCES),
        *(schedule.function.name for schedule in SCHEDULES),
    }
)
