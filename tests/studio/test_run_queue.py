"""The queue: turns, places, limits, stopping."""

import pytest

from tests.studio.helpers import (
    PretendPainter,
    make_pictures,
    make_run,
    make_task,
    wait_for,
)
from tfnst.studio import run_queue
from tfnst.studio.limits import Limits
from tfnst.studio.run_queue import BusyError, Progress, RunQueue


@pytest.fixture
def task(tmp_path, history):
    content, style = make_pictures(tmp_path, "content.png", "style.png")

    def make(label=""):
        return make_task(history, content, style, label=label)

    return make


@pytest.fixture
def painter():
    return PretendPainter()


@pytest.fixture
def queue(painter):
    queue = RunQueue(painter, Limits(max_runs=3, max_waiting=5))
    queue.start()
    yield queue
    queue.close(300)


def test_a_run_is_painted_and_kept(queue, painter, history, task):
    run = make_run(history, task())
    queue.submit(run)
    wait_for(lambda: run.state == run_queue.PAINTING)
    assert queue.place(run) == 0
    painter.go.release()
    wait_for(lambda: run.ended)
    assert run.state == run_queue.DONE
    ((_, entry),) = run.results
    assert [each.name for each in history.entries()] == [entry.name]
    assert queue.ready.is_set()


def test_a_painter_rehearses_unless_somebody_waits(painter, history, task):
    queue = RunQueue(painter, Limits())
    queue.start()
    assert painter.rehearsed.wait(300)
    queue.close()
    busy = PretendPainter()
    queue = RunQueue(busy, Limits())
    run = make_run(history, task())
    queue.submit(run)
    queue.start()
    busy.go.release()
    wait_for(lambda: run.ended)
    assert not busy.rehearsed.is_set()
    queue.close()


def test_everybodys_first_run_comes_before_anybodys_second(
    queue, painter, history, task
):
    greedy = [make_run(history, task(f"{n}"), visitor="greedy") for n in range(3)]
    for run in greedy:
        queue.submit(run)
    wait_for(lambda: greedy[0].state == run_queue.PAINTING)
    late = [make_run(history, task("0"), visitor=f"late {n}") for n in range(2)]
    for run in late:
        queue.submit(run)
    assert [queue.place(run) for run in (*greedy, *late)] == [0, 3, 4, 1, 2]
    for _ in range(5):
        painter.go.release()
    wait_for(lambda: all(run.ended for run in (*greedy, *late)))
    assert painter.painted == [
        ("greedy", "0"),
        ("late 0", "0"),
        ("late 1", "0"),
        ("greedy", "1"),
        ("greedy", "2"),
    ]


def test_a_run_of_several_pictures_takes_a_turn_for_each(queue, painter, history, task):
    several = make_run(history, tuple(map(task, "abc")), visitor="several")
    queue.submit(several)
    wait_for(lambda: several.state == run_queue.PAINTING)
    other = make_run(history, task("x"), visitor="other")
    queue.submit(other)
    for _ in range(4):
        painter.go.release()
    wait_for(lambda: several.ended)
    assert [label for _, label in painter.painted] == ["a", "x", "b", "c"]
    assert len(several.results) == 3


def test_the_queue_and_each_visitor_have_a_limit(queue, painter, history, task):
    first = [make_run(history, task(), visitor="one") for _ in range(3)]
    for run in first:
        queue.submit(run)
    with pytest.raises(BusyError, match="You have 3 runs in the queue"):
        queue.submit(make_run(history, task(), visitor="one"))
    wait_for(lambda: first[0].state == run_queue.PAINTING)
    for number in range(3):
        queue.submit(make_run(history, task(), visitor=f"other {number}"))
    with pytest.raises(BusyError, match="5 runs are waiting"):
        queue.submit(make_run(history, task(), visitor="another"))


def test_stopping_keeps_the_picture_so_far(queue, painter, history, task):
    run = make_run(history, task())
    queue.submit(run)
    wait_for(lambda: run.progress.step > 2)
    queue.stop(run.key)
    wait_for(lambda: run.ended)
    assert run.state == run_queue.STOPPED
    assert len(history.entries()) == len(run.results) == 1


def test_a_waiting_job_ends_at_once_and_leaves_nothing(queue, painter, history, task):
    painting = make_run(history, task(), session="first")
    queue.submit(painting)
    wait_for(lambda: painting.state == run_queue.PAINTING)
    waiting = make_run(history, task(), session="second")
    queue.submit(waiting)
    queue.stop(waiting.key)
    assert waiting.state == run_queue.STOPPED
    # The other run needs the same sources.
    assert painting.task.content.exists()
    queue.leave("first")
    wait_for(lambda: painting.ended)
    assert painting.state == run_queue.LEFT
    assert history.entries() == []
    wait_for(lambda: not painting.task.content.exists())


def test_a_closed_page_ends_its_runs_only(queue, painter, history, task):
    mine = make_run(history, task(), session="mine")
    kept = make_run(history, task(), session="mine", keep=True)
    yours = make_run(history, task(), session="yours")
    for run in (mine, kept, yours):
        queue.submit(run)
    wait_for(lambda: mine.state == run_queue.PAINTING)
    queue.leave("mine")
    wait_for(lambda: mine.ended)
    assert mine.state == run_queue.LEFT
    for _ in range(2):
        painter.go.release()
    wait_for(lambda: kept.ended and yours.ended)
    assert kept.state == yours.state == run_queue.DONE


def test_an_error_is_told_and_does_not_end_the_queue(queue, painter, history, task):
    painter.fail = ValueError("`size` is too\nlarge")
    run = make_run(history, tuple(map(task, "ab")))
    queue.submit(run)
    painter.go.release()
    painter.go.release()
    wait_for(lambda: run.ended)
    assert run.state == run_queue.FAILED
    assert [text for _, text in run.errors] == ["`size` is too large"] * 2
    painter.fail = None
    after = make_run(history, task())
    queue.submit(after)
    painter.go.release()
    wait_for(lambda: after.ended)
    assert after.state == run_queue.DONE


def test_closing_keeps_the_picture_so_far(painter, history, task):
    queue = RunQueue(painter, Limits())
    queue.start()
    run, waiting = (make_run(history, task(), visitor=name) for name in "ab")
    queue.submit(run)
    queue.submit(waiting)
    wait_for(lambda: run.progress.step > 0)
    queue.close(300)
    assert (run.state, waiting.state) == (run_queue.STOPPED, run_queue.STOPPED)
    assert len(history.entries()) == 1


def test_time_left_is_estimated_from_the_work_done():
    assert Progress().seconds_left is None
    assert Progress(step=4, fraction=0.25, seconds=10).seconds_left == 30
