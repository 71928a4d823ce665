"""The executor's composition root."""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import dataclass
from datetime import timedelta

from executor.comfyui.client import ComfyUI
from executor.comfyui.execution import Execution
from executor.comfyui.monitor import Limits, PromptMonitor
from executor.comfyui.websocket import ProgressSocket
from executor.heartbeat import Reporter
from executor.job.finisher import JobFinisher
from executor.job.outputs import OutputCollector
from executor.job.runner import Runner
from executor.liveness import LivenessFile
from executor.model_reporter import ModelWatch
from executor.receiver import JobReceiver
from executor.slots import Slots
from executor.task_protection import TaskProtection
from executor.worker import Worker
from gateway.aws.clients import Clients
from gateway.aws.clock import AwsClock
from gateway.aws.dynamodb.executor_store import DynamoExecutorStore
from gateway.aws.dynamodb.job_store import DynamoJobStore
from gateway.aws.dynamodb.result_cache import DynamoResultCache
from gateway.aws.eventbridge import EventBridgeBus
from gateway.aws.s3 import S3ObjectStore
from gateway.aws.sqs.job_queue import SqsJobQueue
from gateway.domain.job import Priority
from gateway.settings import ExecutorSettings  # noqa: TC001  the one place that makes everything from them

_CONNECTIONS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """The parts that are started and stopped."""

    worker: Worker
    reporter: Reporter
    models: ModelWatch
    events: ProgressSocket
    protection: TaskProtection
    pulse: LivenessFile


def assemble(settings: ExecutorSettings) -> Executor:
    """Put an executor together; nothing runs yet, and nothing was asked of AWS or ComfyUI."""
    clients = Clients(settings, max_connections=_CONNECTIONS)
    executor_id = settings.executor_id or f"{socket.gethostname()}-{os.getpid()}"
    comfyui = ComfyUI(settings.comfyui_url)
    clock = AwsClock()
    clock.follow(clients.dynamodb)
    clock.follow(clients.polling_sqs)
    limits = Limits(
        run_seconds=settings.comfyui_timeout_ms / 1000,
        silent_seconds=settings.comfyui_stall_ms / 1000,
        wait_seconds=settings.comfyui_queue_timeout_ms / 1000,
    )
    events = ProgressSocket(settings.comfyui_url, limits.silent_seconds)
    overseer = PromptMonitor(comfyui, events, limits)
    objects = S3ObjectStore(clients.s3, settings.bucket_name)
    outputs = S3ObjectStore(clients.output_s3, settings.s3_bucket) if settings.s3_bucket else objects
    queue = SqsJobQueue(
        clients.sqs,
        {
            Priority.HIGH: settings.high_queue_url,
            Priority.NORMAL: settings.normal_queue_url,
            Priority.LOW: settings.low_queue_url,
        },
        polling_client=clients.polling_sqs,
        visibility_timeout_seconds=settings.lease_seconds,
    )
    places = Slots(settings.max_concurrency, settings.look_ahead)
    executors = DynamoExecutorStore(clients.dynamodb, settings.table_name)
    stopping = threading.Event()
    reporter = Reporter(
        executor_id,
        comfyui=comfyui,
        overseer=overseer,
        places=places,
        executors=executors,
        queue=queue,
        now=clock.now,
    )
    jobs = DynamoJobStore(clients.dynamodb, settings.table_name, settings.retention_days)
    ending = JobFinisher(
        jobs=jobs,
        results=DynamoResultCache(clients.dynamodb, settings.table_name),
        bus=EventBridgeBus(clients.events, settings.event_bus_name),
        result_ttl=timedelta(seconds=settings.cache_ttl_seconds),
        lease_seconds=settings.lease_seconds,
        now=clock.now,
    )
    runner = Runner(
        executor_id=executor_id,
        jobs=jobs,
        queue=queue,
        objects=objects,
        ending=ending,
        comfyui=comfyui,
        execution=Execution(comfyui, events, overseer),
        overseer=overseer,
        outputs=OutputCollector(comfyui, outputs),
        max_attempts=settings.max_attempts,
        lease_seconds=settings.lease_seconds,
        stopping=stopping,
        on_run=reporter.ran,
        now=clock.now,
    )
    pulse = LivenessFile(settings.health_file)
    return Executor(
        worker=Worker(
            intake=JobReceiver(queue), runner=runner, reporter=reporter, places=places, pulse=pulse, stopping=stopping
        ),
        reporter=reporter,
        models=ModelWatch(executor_id, comfyui, executors),
        events=events,
        protection=TaskProtection(settings.ecs_agent_uri, places),
        pulse=pulse,
    )
