"""Run handlers in processes that each process one request at a time, as Lambda does.

A handler must not run concurrently in one process: Powertools stores the current event on the class of the resolver,
so parallel threads would mix up their responses, even with one resolver each. The handlers are loaded before the
forks, so that the processes share their memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import pickle
import signal
import socket
import struct
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from gateway.redacting_log import stack_of
from local.child_process import end_with_parent
from local.lambda_runtime import EventTooLargeError, FunctionFailedError, FunctionTimedOutError, invoke

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.wiring.entry import Handler

_SIZE = struct.Struct("!Q")
# After the time limit of the handler, which the worker keeps itself unless C code holds it.
_GRACE_SECONDS = 2.0
_FIRST_OTHER_FD = 3


class _Worker:
    """A forked process and the socket to it."""

    def __init__(self, pool: WorkerPool) -> None:
        self.socket, other = socket.socketpair()
        self.socket.setblocking(False)  # noqa: FBT003  its only parameter
        end_worker = end_with_parent(signal.SIGKILL)
        self.pid = os.fork()
        if self.pid == 0:
            if end_worker is not None:
                end_worker()
            _serve(other, pool)
        other.close()

    async def call(self, request: object) -> Any:  # noqa: ANN401  what the worker returns
        """Send a request and return the result. Raises EOFError or OSError when the process has ended."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self.socket, _packed(request))
        (size,) = _SIZE.unpack(await self._exactly(_SIZE.size))
        return pickle.loads(await self._exactly(size))  # noqa: S301  from our own process

    async def _exactly(self, size: int) -> bytearray:
        loop = asyncio.get_running_loop()
        content = bytearray()
        while len(content) < size:
            piece = await loop.sock_recv(self.socket, min(size - len(content), 1 << 20))
            if not piece:
                raise EOFError
            content += piece
        return content

    def end(self) -> None:
        """Kill the process and reap it."""
        self.socket.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


class WorkerPool:
    """`size` processes with the handlers, by function name. Create it before the event loop runs."""

    def __init__(self, handlers: Mapping[str, Handler], *, size: int, timeout_seconds: float) -> None:
        self.handlers = handlers
        self.timeout_seconds = timeout_seconds
        gc.collect()
        gc.freeze()  # otherwise the first collection in each process copies the memory that it shares
        self._idle: asyncio.LifoQueue[_Worker] = asyncio.LifoQueue()  # the last one: its memory is warm
        self._all = [_Worker(self) for _ in range(size)]
        for worker in self._all:
            self._idle.put_nowait(worker)

    async def invoke(self, function_name: str, event: dict[str, Any]) -> dict[str, Any]:
        """Call a handler as soon as a process is idle, and return its response.

        Raises EventTooLargeError, FunctionTimedOutError or FunctionFailedError.
        """
        worker = await self._idle.get()
        try:
            async with asyncio.timeout(self.timeout_seconds + _GRACE_SECONDS):
                response, error = await worker.call((function_name, event))
        except TimeoutError:
            worker = self._replace(worker)
            raise FunctionTimedOutError(f"{function_name} did not return in time, and was killed.") from None
        except (EOFError, OSError):
            worker = self._replace(worker)
            raise FunctionFailedError(f"{function_name} ended its process.") from None
        except asyncio.CancelledError:
            worker = self._replace(worker)  # its response would be taken for that of the next request
            raise
        finally:
            self._idle.put_nowait(worker)
        if error is not None:
            raise error
        return dict(response)

    def _replace(self, worker: _Worker) -> _Worker:
        worker.end()
        new = _Worker(self)
        self._all[self._all.index(worker)] = new
        return new

    def close(self) -> None:
        """Kill all processes."""
        for worker in self._all:
            worker.end()


def _serve(connection: socket.socket, pool: WorkerPool) -> NoReturn:
    """Process requests until the other end is closed."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)
    # Clients of the API would see no end of their connections while this process has them open as well.
    own = connection.fileno()
    os.closerange(_FIRST_OTHER_FD, own)
    os.closerange(own + 1, os.sysconf("SC_OPEN_MAX"))
    stream = connection.makefile("rb")
    while len(head := stream.read(_SIZE.size)) == _SIZE.size:
        function_name, event = pickle.loads(stream.read(_SIZE.unpack(head)[0]))  # noqa: S301  from our own process
        result: tuple[Any, Exception | None]
        try:
            handler = pool.handlers[function_name]
            result = (invoke(function_name, handler, event, timeout_seconds=pool.timeout_seconds), None)
        except (EventTooLargeError, FunctionTimedOutError, FunctionFailedError) as error:
            if isinstance(error, FunctionFailedError):
                # Only the stack: the message may contain what the caller sent.
                sys.stderr.write(f"{error}\n{stack_of(error)}\n")
                sys.stderr.flush()
            result = (None, type(error)(str(error)))
        connection.sendall(_packed(result))
    os._exit(0)


def _packed(value: object) -> bytes:
    content = pickle.dumps(value)
    return _SIZE.pack(len(content)) + content
