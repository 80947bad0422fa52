"""Threads beside painting, which load the next pictures and write the last ones."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Ahead(Generic[_Item, _Result]):
    """Computes results for items, in order, a few of them ahead.

    A context, which ends without the results that nobody has asked for.

    Args:
        function: function of an item. It is never called twice at a time.
        items: items, in the order in which results are asked for.
        most: largest number of results to compute ahead, 1 or more.
    """

    def __init__(
        self,
        function: Callable[[_Item], _Result],
        items: Iterable[_Item],
        most: int,
    ) -> None:
        self._function = function
        self._left = collections.deque(items)
        self._most = most
        self._ahead: collections.deque[Future[_Result]] = collections.deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tfnst-ahead")

    def __enter__(self) -> Ahead[_Item, _Result]:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def start(self) -> None:
        """Starts to compute the next results in a thread."""
        while self._left and len(self._ahead) < self._most:
            item = self._left.popleft()
            self._ahead.append(self._thread.submit(self._function, item))

    def next(self) -> _Result:
        """Returns the result for the next item.

        Raises:
            Exception: any error that the function raised for this item.
        """
        if self._ahead:
            return self._ahead.popleft().result()
        return self._function(self._left.popleft())


class Behind:
    """Calls functions one after the other in a thread, and reports how each ended.

    A context, which ends when all of them have ended.
    """

    def __init__(self) -> None:
        self._waiting: collections.deque[
            tuple[Future[Any], Callable[[Exception | None], None]]
        ] = collections.deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tfnst-behind")

    def __enter__(self) -> Behind:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()
        self.settle()

    def submit(
        self, function: Callable[[], Any], ended: Callable[[Exception | None], None]
    ) -> None:
        """Calls a function in the thread.

        Args:
            function: function to call.
            ended: function that `settle` calls, in its thread, with the function's
                error or None.
        """
        self._waiting.append((self._thread.submit(function), ended))

    def settle(self, *, wait: bool = True) -> None:
        """Reports the functions that have ended.

        Args:
            wait: whether to wait for all of them.
        """
        while self._waiting and (wait or self._waiting[0][0].done()):
            future, ended = self._waiting[0]
            error = future.exception()
            self._waiting.popleft()
            if error is not None and not isinstance(error, Exception):
                raise error
            ended(error)
