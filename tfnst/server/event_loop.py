"""The event loop that answers gRPC calls, in a thread of its own."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


def run(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """Runs a coroutine in the loop and returns its result."""
    return asyncio.run_coroutine_threadsafe(coroutine, _start()).result()


@functools.cache
def _start() -> asyncio.AbstractEventLoop:
    # One for all servers: grpc.aio has one completion queue a process, and two loops
    # that wait for it take each other's wake-ups.
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="tfnst-grpc", daemon=True).start()
    return loop
