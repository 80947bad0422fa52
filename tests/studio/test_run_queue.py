"""The queue: order, limits, stopping."""

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
        return make_task(content, style, label=label)

    return make


@pytest.fixture
def painter():
    return PretendPainter()


@pytest.fixture
def queue(painter):
    queue = RunQueue(painter, Limits(max_waiting=3))
    queue.start()
    yield queue
    queue.close(300)


def test_a_run_is_painted_and_kept(queue, painter, history, task):
    run = make_run(history, task())
    queue.submit(run)
    wait_for(lambda: run.state == run_queue.PAINTING)
    assert queue.run_of(run.visitor) is run
    painter.go.release()
    wait_for(lambda: run.ended)
    assert run.state == run_queue.DONE
    ((_, entry),) = run.results
    assert [each.name for each in history.entries()] == [entry.name]
    assert queue.run_of(run.visitor) is None


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


def test_whoever_comes_first_is_painted_first(queue, painter, history, task):
    batch = make_run(history, tuple(map(task, "ab")), visitor="first")
    others = [make_run(history, task(), visitor=name) for name in ("second", "third")]
    for run in (batch, *others):
        queue.submit(run)
    assert [queue.runs_before(run) for run in (batch, *others)] == [0, 1, 2]
    for _ in range(4):
        painter.go.release()
    wait_for(lambda: all(run.ended for run in (batch, *others)))
    assert painter.painted == [
        ("first", "a"),
        ("first", "b"),
        ("second", ""),
        ("third", ""),
    ]
    assert len(batch.results) == 2


def test_a_visitor_has_one_run_at_a_time(queue, painter, history, task):
    run = make_run(history, task(), visitor="one")
    queue.submit(run)
    with pytest.raises(BusyError, match="A run of yours is in the queue already"):
        queue.submit(make_run(history, task(), visitor="one"))
    painter.go.release()
    wait_for(lambda: run.ended)
    queue.submit(make_run(history, task(), visitor="one"))


def test_the_queue_has_a_limit(queue, history, task):
    runs = [make_run(history, task(), visitor=f"{number}") for number in range(4)]
    queue.submit(runs[0])
    wait_for(lambda: runs[0].state == run_queue.PAINTING)
    for run in runs[1:]:
        queue.submit(run)
    with pytest.raises(BusyError, match="3 runs are waiting"):
        queue.submit(make_run(history, task(), visitor="another"))


def test_stopping_keeps_the_picture_so_far(queue, history, task):
    run = make_run(history, task())
    queue.submit(run)
    wait_for(lambda: run.progress.step > 2)
    queue.stop(run.visitor)
    wait_for(lambda: run.ended)
    assert run.state == run_queue.STOPPED
    assert len(history.entries()) == len(run.results) == 1


def test_a_waiting_run_ends_at_once(queue, history, task):
    painting = make_run(history, task(), visitor="first")
    waiting = make_run(history, task(), visitor="second")
    for run in (painting, waiting):
        queue.submit(run)
    queue.stop(waiting.visitor)
    assert waiting.state == run_queue.STOPPED
    assert not painting.ended


def test_the_run_of_a_closed_page_ends_unless_it_goes_on(queue, painter, history, task):
    left = make_run(history, task(), visitor="first")
    kept = make_run(history, task(), visitor="second", keep=True)
    for run in (left, kept):
        queue.submit(run)
    wait_for(lambda: left.state == run_queue.PAINTING)
    for run in (left, kept):
        queue.leave(run)
    wait_for(lambda: left.ended)
    assert left.state == run_queue.LEFT
    assert history.entries() == []
    painter.go.release()
    wait_for(lambda: kept.ended)
    assert kept.state == run_queue.DONE


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


def test_time_left_is_estimated_from_the_work_after_the_first_step():
    assert Progress().seconds_left is None
    first = 50.0, 0.01  # Graphs are traced in it.
    assert Progress(fraction=0.01, seconds=50, first=first).seconds_left is None
    later = Progress(fraction=0.26, seconds=60, first=first)
    assert later.seconds_left == pytest.approx(29.6)
