"""Results that are computed ahead, and functions that are called behind."""

import threading

import pytest

from tfnst.batch.beside import Ahead, Behind

MAIN = threading.main_thread()


def test_results_come_in_order_whether_computed_ahead_or_not():
    threads = {}

    def square(number):
        threads[number] = threading.current_thread()
        return number**2

    with Ahead(square, range(6), 2) as ahead:
        assert ahead.next() == 0
        ahead.start()
        ahead.start()  # Two are on the way already.
        assert [ahead.next() for _ in range(3)] == [1, 4, 9]
        ahead.start()
        assert [ahead.next(), ahead.next()] == [16, 25]
    there = [number for number, thread in threads.items() if thread is MAIN]
    assert there == [0, 3]
    assert list(threads) == [0, 1, 2, 3, 4, 5]


def test_an_error_comes_when_its_result_is_asked_for():
    def invert(number):
        return 1 / number

    with Ahead(invert, [2, 0, 4], 2) as ahead:
        assert ahead.next() == 0.5
        ahead.start()
        with pytest.raises(ZeroDivisionError):
            ahead.next()
        assert ahead.next() == 0.25


def test_results_that_nobody_wants_are_not_computed():
    began, goes_on, seen = threading.Event(), threading.Event(), []

    def look(number):
        seen.append(number)
        began.set()
        goes_on.wait(300)

    with Ahead(look, range(9), 5) as ahead:
        ahead.start()
        assert began.wait(300)
        # The context cancels what waits, and then ends when the thread does.
        waiting = ahead._ahead[-1]
        waiting.add_done_callback(lambda _: goes_on.set())
    assert waiting.cancelled()
    assert seen == [0]


def test_functions_are_called_behind_one_after_the_other():
    goes_on, said = threading.Event(), []

    def wait():
        assert threading.current_thread() is not MAIN
        assert goes_on.wait(300)

    def fail():
        assert goes_on.is_set()
        raise OSError("full")

    def note(name):
        def ended(error):
            assert threading.current_thread() is MAIN
            said.append((name, error and str(error)))

        return ended

    with Behind() as behind:
        behind.submit(wait, note("one"))
        behind.submit(fail, note("two"))
        behind.settle(wait=False)
        assert said == []
        goes_on.set()
        behind.settle()
        assert said == [("one", None), ("two", "full")]
        behind.submit(lambda: None, note("three"))
    assert said[2:] == [("three", None)]


def test_what_is_behind_ends_even_if_the_context_is_interrupted():
    said = []

    def interrupt():
        with Behind() as behind:
            behind.submit(lambda: threading.Event().wait(0.05), said.append)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert said == [None]
