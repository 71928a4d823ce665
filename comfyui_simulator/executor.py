"""Runs the nodes of a prompt in order, and sends the events about them."""

from __future__ import annotations

import json
import random
import threading
import time
from typing import TYPE_CHECKING

from comfyui_simulator.errors import (
    InterruptedByUserError,
    OutOfGpuMemoryError,
    WorkerStoppedError,
    failure_details,
)
from comfyui_simulator.execution import NodeControl, RunningPrompt
from comfyui_simulator.execution_order import ExecutionOrder
from comfyui_simulator.node_graph import NodeGraph
from comfyui_simulator.nodes import IMPLEMENTATIONS
from comfyui_simulator.nodes.node_run import Blocker, Machine, NodeRun, Returned
from comfyui_simulator.progress import NodeProgress
from comfyui_simulator.result_cache import NodeResult, NodeResultCache
from comfyui_simulator.types import JsonObject, QueueItem, is_link

if TYPE_CHECKING:
    from comfyui_simulator.faults import Faults
    from comfyui_simulator.object_info import ObjectInfo
    from comfyui_simulator.socket_hub import SocketHub

_STUCK_POLL_SECONDS = 0.01
_TEMP_SUFFIX_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class PromptExecutor:
    """Runs prompts one at a time, in the worker thread; only `interrupt` and `stop` are for other threads."""

    def __init__(self, machine: Machine, object_info: ObjectInfo, hub: SocketHub, faults: Faults) -> None:
        self._machine = machine
        self._object_info = object_info
        self._hub = hub
        self._faults = faults
        self._cache = NodeResultCache(object_info, machine.files.fingerprint)
        self._temp_prefixes: dict[tuple[str, str], str] = {}
        self._interrupted = threading.Event()
        self._stopping = threading.Event()

    def interrupt(self) -> None:
        """Interrupt the prompt that runs, at its next step or node; an idle executor forgets this at its next start."""
        self._interrupted.set()

    def stop(self) -> None:
        """Stop the running prompt, and with it the worker thread, at once."""
        self._stopping.set()

    def free_memory(self) -> None:
        """Forget the results of earlier prompts."""
        self._cache.clear()

    def wait(self, seconds: float, *, interruptible: bool = True) -> None:
        """Wait, unless the server stops or a fault is injected.

        Raises InterruptedByUserError when the prompt was interrupted, and WorkerStoppedError when the server stops or
        the worker dies.
        """
        if seconds > 0:
            self._stopping.wait(seconds)
        while self._faults.worker_stuck and not self._stopping.is_set():
            self._stopping.wait(_STUCK_POLL_SECONDS)
        if self._stopping.is_set() or self._faults.worker_dead:
            raise WorkerStoppedError
        if interruptible and self._interrupted.is_set():
            self._interrupted.clear()
            raise InterruptedByUserError

    def execute(self, item: QueueItem) -> JsonObject:
        """Run a prompt and return its history entry, without the prompt."""
        # An interrupt that came between the POST and this moment is lost, as on the real server.
        self._interrupted.clear()
        execution = self._begin(item)
        succeeded = self._run_nodes(execution)
        if succeeded:
            self._record(execution, "execution_success", {})
        self._hub.running_node_id = None
        return {
            "outputs": execution.outputs,
            "status": {
                "status_str": "success" if succeeded else "error",
                "completed": succeeded,
                "messages": execution.messages,
            },
            "meta": execution.meta,
        }

    def _begin(self, item: QueueItem) -> RunningPrompt:
        _, prompt_id, prompt, extra_data, output_ids = item
        client_id = extra_data.get("client_id")
        if not isinstance(client_id, str | None):
            # No client has such an id. The real server ends its process when it is a list or an object (measured).
            client_id = json.dumps(client_id)
        self._hub.running_client_id = client_id
        graph = NodeGraph(prompt)
        order = ExecutionOrder(graph, self._object_info, lambda node_id: self._cache.get(node_id) is not None)
        execution = RunningPrompt(item, graph, order, NodeProgress(prompt_id, graph, self._hub, client_id), client_id)
        self._record(execution, "execution_start", {})
        cached = self._cache.begin(graph)
        for key in [key for key in self._temp_prefixes if key[0].split(".")[0] not in prompt]:
            del self._temp_prefixes[key]
        for node_id in output_ids:
            order.add(node_id)
        self._record(execution, "execution_cached", {"nodes": cached})
        return execution

    def _run_nodes(self, execution: RunningPrompt) -> bool:
        """Run all nodes and return whether all succeeded."""
        while (node_id := execution.order.next()) is not None:
            # The error event contains the inputs, so they must survive the exception.
            inputs: JsonObject = {}
            try:
                if self._run_node(execution, node_id, inputs):
                    execution.order.done(node_id)
            except InterruptedByUserError:
                self._record(execution, "execution_interrupted", self._culprit(execution, node_id), broadcast=True)
                return False
            except Exception as error:  # noqa: BLE001  whatever a node raises ends its prompt, not the server
                if isinstance(error, OutOfGpuMemoryError):
                    self._machine.gpu.unload()
                culprit = self._culprit(execution, node_id)
                details = failure_details(error, execution.graph.class_type(node_id), inputs)
                self._record(
                    execution, "execution_error", {**culprit, **details, "current_outputs": list(execution.graph)}
                )
                return False
        return True

    def _run_node(self, execution: RunningPrompt, node_id: str, inputs: JsonObject) -> bool:
        """Run a node, filling in `inputs`; return whether it is done. A node that expanded is not done yet."""
        cached = self._cache.get(node_id)
        if cached is not None:
            self._show_cached(execution, node_id, cached)
            return True
        if node_id in execution.expanded:
            links = execution.expanded.pop(node_id)
            self._complete(execution, node_id, tuple(self._resolve(link) for link in links), None)
            return True
        execution.progress.start(node_id)
        self._hub.running_node_id = node_id
        identity = self._identity(execution, node_id)
        if execution.client_id is not None:
            self._send(execution, "executing", identity)
        inputs.update(self._resolved_inputs(execution, node_id))
        returned = self._call(execution, node_id, inputs)
        if returned.expansion is not None:
            self._expand(execution, node_id, returned)
            return False
        # Lists of all values, as the real server makes them; a value that is no list ends the prompt with its error.
        ui = {name: list(values) for name, values in (returned.ui or {}).items()}  # type: ignore[call-overload]
        self._complete(execution, node_id, returned.outputs, ui or None)
        return True

    def _call(self, execution: RunningPrompt, node_id: str, inputs: JsonObject) -> Returned:
        class_type = execution.graph.class_type(node_id)
        blocker = next((value for value in inputs.values() if isinstance(value, Blocker)), None)
        if blocker is not None:
            if blocker.message is not None:
                self._report_blocked(execution, node_id, blocker.message)
            return Returned(tuple(Blocker(None) for _ in self._object_info.outputs(class_type)))
        self.wait(0)
        key = (node_id, class_type)
        if key not in self._temp_prefixes:
            self._temp_prefixes[key] = "ComfyUI_temp_" + "".join(random.choices(_TEMP_SUFFIX_LETTERS, k=5))  # noqa: S311  a file name
        extra_data = execution.item[3]
        run = NodeRun(
            node_id=node_id,
            inputs=inputs,
            prompt=execution.item[2],
            extra_pnginfo=extra_data.get("extra_pnginfo") or {},
            control=NodeControl(self.wait, execution, self._hub, node_id),
            machine=self._machine,
            temp_prefix=self._temp_prefixes[key],
        )
        return IMPLEMENTATIONS[class_type](run)

    def _resolved_inputs(self, execution: RunningPrompt, node_id: str) -> JsonObject:
        declared = self._object_info.inputs(execution.graph.class_type(node_id))
        given = execution.graph.inputs(node_id)
        return {name: self._resolve(given[name]) for name in declared if name in given}

    def _resolve(self, value: object) -> object:
        if not is_link(value):
            return value
        node_id, slot = value
        result = self._cache.get(node_id)
        return None if result is None else result.outputs[slot]

    def _expand(self, execution: RunningPrompt, node_id: str, returned: Returned) -> None:
        for inner_id, inner in (returned.expansion or {}).items():
            execution.graph.add(inner_id, inner, node_id)
        execution.expanded[node_id] = returned.outputs
        for link in returned.outputs:
            if is_link(link):
                execution.order.wait_for(node_id, link[0])
        for inner_id, inner in (returned.expansion or {}).items():
            if self._object_info.is_output(inner["class_type"]):
                execution.order.wait_for(node_id, inner_id)

    def _complete(
        self, execution: RunningPrompt, node_id: str, outputs: tuple[object, ...], ui: JsonObject | None
    ) -> None:
        graph = execution.graph
        meta = None
        if ui is not None:
            meta = {
                "node_id": node_id,
                "display_node": graph.display_id(node_id),
                "parent_node": graph.parent_id(node_id),
                "real_node_id": graph.real_id(node_id),
            }
            execution.outputs[node_id] = ui
            execution.meta[node_id] = meta
            if execution.client_id is not None:
                self._send_executed(execution, node_id, ui)
        self._cache.put(node_id, NodeResult(outputs, ui, meta))
        execution.executed.append(node_id)
        execution.progress.finish(node_id)

    def _show_cached(self, execution: RunningPrompt, node_id: str, result: NodeResult) -> None:
        # Without a client nothing of a cached result reaches the history (recorded: cached rerun without client_id).
        if execution.client_id is not None:
            self._send_executed(execution, node_id, result.ui)
            if result.ui is not None:
                execution.outputs[node_id] = result.ui
                execution.meta[node_id] = result.ui_meta
        execution.progress.finish(node_id)

    def _send_executed(self, execution: RunningPrompt, node_id: str, ui: JsonObject | None) -> None:
        node, display, prompt_id = self._identity(execution, node_id).items()
        self._send(execution, "executed", dict([node, display, ("output", ui), prompt_id]))

    def _report_blocked(self, execution: RunningPrompt, node_id: str, message: str) -> None:
        # Unlike other errors this one is not in the history, and the prompt continues.
        data = {
            "prompt_id": execution.item[1],
            **self._culprit(execution, node_id),
            "exception_message": f"Execution Blocked: {message}",
            "exception_type": "ExecutionBlocked",
            "traceback": [],
            "current_inputs": [],
            "current_outputs": [],
        }
        self._send(execution, "execution_error", data)

    def _identity(self, execution: RunningPrompt, node_id: str) -> JsonObject:
        display_id = execution.graph.display_id(node_id)
        return {"node": node_id, "display_node": display_id, "prompt_id": execution.item[1]}

    def _culprit(self, execution: RunningPrompt, node_id: str) -> JsonObject:
        """Return the client's node that a failing node belongs to, and what ran before it."""
        real_id = execution.graph.real_id(node_id)
        return {
            "node_id": real_id,
            "node_type": execution.graph.class_type(real_id),
            "executed": list(execution.executed),
        }

    def _record(self, execution: RunningPrompt, event: str, data: JsonObject, *, broadcast: bool = False) -> None:
        """Send an event and keep it for the history; without a client, send only broadcasts."""
        stamped = {"prompt_id": execution.item[1], **data, "timestamp": int(time.time() * 1000)}
        execution.messages.append([event, stamped])
        if execution.client_id is not None or broadcast:
            self._send(execution, event, stamped)

    def _send(self, execution: RunningPrompt, event: str, data: JsonObject) -> None:
        self._hub.send_json(event, data, execution.client_id)
