"""The queue of requests, and the bytes that they may hold."""

import asyncio

import pytest
import tensorflow as tf

from tfnst.server.runs import Cancellation, Intake, RunLimit, StatusError

GIB = 2**30


async def refused(limit, cancellation=None):
    """The code and text with which a request gets no turn."""
    with pytest.raises(StatusError) as caught:
        async with limit.turn(cancellation or Cancellation()):
            pass
    return caught.value.code, caught.value.message


class TestRunLimit:
    def test_order_and_bounds(self):
        async def main():
            limit, order = RunLimit(1, 2), []

            async def work(number):
                async with limit.turn(Cancellation()):
                    order.append(number)
                    await asyncio.sleep(0)

            async with limit.turn(Cancellation()):
                tasks = [asyncio.create_task(work(number)) for number in range(2)]
                await asyncio.sleep(0)
                assert (limit.running, limit.waiting) == (1, 2)
                assert await refused(limit) == (
                    tf.errors.RESOURCE_EXHAUSTED,
                    "The server is busy: 1 of at most 1 requests running, 2 of at most "
                    "2 waiting. Try again later.",
                )
                assert order == []
            await asyncio.gather(*tasks)
            assert order == [0, 1]
            assert (limit.running, limit.waiting) == (0, 0)

        asyncio.run(main())

    def test_two_run_at_a_time(self):
        async def main():
            limit, running = RunLimit(2, 8), []

            async def work():
                async with limit.turn(Cancellation()):
                    running.append(limit.running)
                    await asyncio.sleep(0.01)

            await asyncio.gather(*(work() for _ in range(6)))
            assert max(running) == 2
            assert limit.running == 0

        asyncio.run(main())

    @pytest.mark.parametrize(
        ("gibibytes", "running"), [(0, 4), (1, 4), (2.5, 4), (3, 3), (10, 1)]
    )
    def test_memory_limits_how_many_run(self, gibibytes, running):
        limit = RunLimit(4, 8, max_bytes=12 * GIB)
        limit.fit(int(gibibytes * GIB), idle_bytes=2 * GIB)
        assert limit.max_running == running

    def test_a_request_for_which_there_is_no_memory(self):
        limit = RunLimit(4, 8, max_bytes=12 * GIB)
        with pytest.raises(StatusError) as caught:
            limit.fit(11 * GIB, idle_bytes=2 * GIB)
        assert caught.value.code == tf.errors.RESOURCE_EXHAUSTED
        assert caught.value.message == (
            "its largest request takes 11.0 GiB, and of `max_memory`, 12.0 GiB, there "
            "are 10.0 GiB left for requests: choose a larger one, or a smaller "
            "`max_memory` for the export"
        )
        assert limit.max_running == 4

    def test_memory_of_requests_is_not_counted_as_idle(self):
        async def main():
            limit = RunLimit(4, 8, max_bytes=12 * GIB)
            limit.fit(5 * GIB, idle_bytes=2 * GIB)
            async with limit.turn(Cancellation()):
                limit.fit(5 * GIB, idle_bytes=7 * GIB)
                assert limit.max_running == 2

        asyncio.run(main())

    def test_no_queue(self):
        async def main():
            limit = RunLimit(1, 0)
            async with limit.turn(Cancellation()):
                assert (await refused(limit))[0] == tf.errors.RESOURCE_EXHAUSTED
            async with limit.turn(Cancellation()):
                assert limit.running == 1

        asyncio.run(main())

    def test_a_cancelled_request_leaves_the_queue(self):
        async def main():
            limit, cancellation = RunLimit(1, 5), Cancellation()
            async with limit.turn(Cancellation()):
                waiting = asyncio.create_task(refused(limit, cancellation))
                await asyncio.sleep(0)
                assert limit.waiting == 1
                # From a thread, as when a client leaves.
                await asyncio.to_thread(cancellation.request)
                assert (await waiting)[0] == tf.errors.CANCELLED
                assert (limit.running, limit.waiting) == (1, 0)
                # And one that was cancelled before.
                assert (await refused(limit, cancellation))[0] == tf.errors.CANCELLED
            assert (limit.running, limit.waiting) == (0, 0)

        asyncio.run(main())


class TestIntake:
    def test_arriving_requests_count_as_the_longest(self):
        intake = Intake(100, 250)
        with intake.room(100), intake.room(100):
            assert intake.pending_bytes == 200
            with pytest.raises(StatusError) as caught, intake.room(100):
                pass
            assert caught.value.code == tf.errors.RESOURCE_EXHAUSTED
            assert caught.value.message == (
                "The server is busy: 2 requests are arriving or waiting. Try again "
                "later."
            )
            with intake.room(50):
                assert intake.pending_bytes == 250
        assert intake.pending_bytes == 0
