"""The executor's composition root: its ports on AWS, and its parts on those ports."""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from executor.comfyui.client import ComfyUIClient
from executor.comfyui.execution import PromptRunner
from executor.comfyui.monitor import PromptMonitor, PromptTimeLimits
from executor.comfyui.websocket import ProgressSocket
from executor.heartbeat import HeartbeatSender
from executor.job.finisher import JobFinisher
from executor.job.outputs import OutputCollector
from executor.job.runner import JobRunner
from executor.liveness import LivenessFile
from executor.model_reporter import ModelReporter
from executor.receiver import JobReceiver
from executor.slots import Slots
from executor.store_availability import StoreAvailability
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

if TYPE_CHECKING:
    from gateway.ports import Clock, EventBus, ExecutorStore, JobQueue, JobStore, ObjectStore, ResultCache
    from gateway.settings import ExecutorSettings

_CONNECTIONS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorPorts:
    """The ports that an executor uses."""

    jobs: JobStore
    queue: JobQueue
    objects: ObjectStore
    outputs: ObjectStore  # the same as `objects` unless S3_BUCKET is set
    results: ResultCache
    bus: EventBus
    executors: ExecutorStore
    clock: Clock  # AWS time


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorApp:
    """An executor: the worker and the background threads next to it."""

    worker: Worker
    heartbeat: HeartbeatSender
    models: ModelReporter
    socket: ProgressSocket
    protection: TaskProtection
    liveness: LivenessFile

    def run(self, grace_seconds: float) -> None:
        """Run until `stop`; then give running jobs this long to finish, and release the others."""
        self.socket.start()
        self.heartbeat.start()
        self.models.start()
        self.protection.start()
        self.worker.run(grace_seconds)
        self.protection.stop()
        self.models.stop()
        self.heartbeat.stop()
        self.socket.stop()

    def stop(self) -> None:
        """Request the executor to stop; safe in a signal handler."""
        self.worker.stop()


def aws_ports(settings: ExecutorSettings) -> ExecutorPorts:
    """Make the ports on AWS. Calls nothing yet."""
    clients = Clients(settings, max_connections=_CONNECTIONS)
    clock = AwsClock()
    clock.follow(clients.dynamodb)
    clock.follow(clients.polling_sqs)
    objects = S3ObjectStore(clients.s3, settings.bucket_name)
    return ExecutorPorts(
        jobs=DynamoJobStore(clients.dynamodb, settings.table_name, settings.retention_days),
        queue=SqsJobQueue(
            clients.sqs,
            {
                Priority.HIGH: settings.high_queue_url,
                Priority.NORMAL: settings.normal_queue_url,
                Priority.LOW: settings.low_queue_url,
            },
            polling_client=clients.polling_sqs,
            visibility_timeout_seconds=settings.lease_seconds,
        ),
        objects=objects,
        outputs=S3ObjectStore(clients.output_s3, settings.s3_bucket) if settings.s3_bucket else objects,
        results=DynamoResultCache(clients.dynamodb, settings.table_name),
        bus=EventBridgeBus(clients.events, settings.event_bus_name),
        executors=DynamoExecutorStore(clients.dynamodb, settings.table_name),
        clock=clock,
    )


def assemble(settings: ExecutorSettings, ports: ExecutorPorts) -> ExecutorApp:
    """Put an executor together. Starts nothing yet, and calls neither AWS nor ComfyUI."""
    clock = ports.clock
    executor_id = settings.executor_id or f"{socket.gethostname()}-{os.getpid()}"
    comfyui = ComfyUIClient(settings.comfyui_url, clock)
    limits = PromptTimeLimits(
        run_seconds=settings.comfyui_timeout_ms / 1000,
        silent_seconds=settings.comfyui_stall_ms / 1000,
        queue_seconds=settings.comfyui_queue_timeout_ms / 1000,
    )
    progress_socket = ProgressSocket(settings.comfyui_url, limits.silent_seconds, clock)
    monitor = PromptMonitor(
        comfyui=comfyui, socket=progress_socket, limits=limits, lease_seconds=settings.lease_seconds, clock=clock
    )
    slots = Slots(settings.max_concurrency, settings.look_ahead)
    liveness = LivenessFile(settings.health_file, clock)
    stopping = threading.Event()
    stores = StoreAvailability(clock)
    heartbeat = HeartbeatSender(
        executor_id,
        comfyui=comfyui,
        monitor=monitor,
        slots=slots,
        stores=stores,
        executors=ports.executors,
        queue=ports.queue,
        clock=clock,
    )
    finisher = JobFinisher(
        jobs=ports.jobs,
        results=ports.results,
        bus=ports.bus,
        result_ttl=timedelta(seconds=settings.cache_ttl_seconds),
        lease_seconds=settings.lease_seconds,
        clock=clock,
    )
    runner = JobRunner(
        executor_id=executor_id,
        jobs=ports.jobs,
        queue=ports.queue,
        objects=ports.objects,
        finisher=finisher,
        comfyui=comfyui,
        execution=PromptRunner(comfyui, progress_socket, monitor, clock),
        monitor=monitor,
        outputs=OutputCollector(comfyui, ports.outputs),
        stores=stores,
        max_attempts=settings.max_attempts,
        lease_seconds=settings.lease_seconds,
        stopping=stopping,
        on_run=heartbeat.record_run,
        clock=clock,
    )
    worker = Worker(
        receiver=JobReceiver(ports.queue, clock),
        runner=runner,
        heartbeat=heartbeat,
        slots=slots,
        liveness=liveness,
        stopping=stopping,
        clock=clock,
    )
    return ExecutorApp(
        worker=worker,
        heartbeat=heartbeat,
        models=ModelReporter(executor_id, comfyui, ports.executors, clock),
        socket=progress_socket,
        protection=TaskProtection(settings.ecs_agent_uri, slots, clock),
        liveness=liveness,
    )
