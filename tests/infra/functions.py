"""The names of all deployed functions."""

from functions.routing import API_FUNCTIONS
from gateway.aws.resources import JOB_CHANGES, QUEUE_SOURCES, SCHEDULES

FUNCTIONS = sorted(
    {
        *API_FUNCTIONS,
        JOB_CHANGES.function.name,
        *(source.function.name for source in QUEUE_SOURCES),
        *(schedule.function.name for schedule in SCHEDULES),
    }
)
