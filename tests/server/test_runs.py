"""The queue of requests, and the bytes that they may hold."""

import asyncio

import pytest
import tensorflow as tf

from tfnst.server.runs import Cancellation, Intake, RunLimit, StatusError


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

    def test_memory(self):
        async def main():
            limit, order = RunLimit(4, 8, max_bytes=12 * 2**30), []
            limit.idle_bytes = 2 * 2**30

            async def work(size):
                async with limit.turn(Cancellation(), size * 2**30):
                    order.append((size, limit.running_bytes // 2**30))
                    await asyncio.sleep(0.01)

            # The third waits for room, and the fourth, which had room, behind it.
            await asyncio.gather(*(work(size) for size in (6, 3, 5, 1)))
            assert [size for size, _ in order] == [6, 3, 5, 1]
            assert max(total for _, total in order) == 9
            with pytest.raises(StatusError) as caught:
                await work(11)
            assert caught.value.code == tf.errors.RESOURCE_EXHAUSTED
            assert caught.value.message == (
                "The request takes about 11.0 GiB, and the server has 10.0 GiB for "
                "requests. Choose a smaller `size`, or fewer styles or regions."
            )
            assert (limit.running, limit.running_bytes) == (0, 0)

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
        with intake.place() as first, intake.place():
            assert intake.pending_bytes == 200
            with pytest.raises(StatusError) as caught, intake.place():
                pass
            assert caught.value.code == tf.errors.RESOURCE_EXHAUSTED
            assert caught.value.message == (
                "The server is busy: 2 requests are arriving or waiting. Try again "
                "later."
            )
            first.size = 50
            with intake.place():
                assert intake.pending_bytes == 250
        assert intake.pending_bytes == 0
