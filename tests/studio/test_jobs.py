"""The queue: turns, places, limits, stopping."""

import pytest

from tests.studio.helpers import (
    PretendPainter,
    make_job,
    make_order,
    make_pictures,
    open_history,
    wait_for,
)
from tfnst.studio import jobs
from tfnst.studio.jobs import BusyError, JobQueue, Progress
from tfnst.studio.limits import Limits


@pytest.fixture
def history(tmp_path):
    return open_history(tmp_path)


@pytest.fixture
def order(tmp_path, history):
    content, style = make_pictures(tmp_path, "content.png", "style.png")

    def make(label=""):
        return make_order(history, content, style, label=label)

    return make


@pytest.fixture
def painter():
    return PretendPainter()


@pytest.fixture
def queue(painter):
    queue = JobQueue(painter, Limits(max_runs=3, max_waiting=5))
    queue.start()
    yield queue
    queue.close(300)


def test_a_job_is_painted_and_kept(queue, painter, history, order):
    job = make_job(history, order())
    queue.submit(job)
    wait_for(lambda: job.state == jobs.PAINTING)
    assert queue.place(job) == 0
    painter.go.release()
    wait_for(lambda: job.ended)
    assert job.state == jobs.DONE
    ((_, entry),) = job.results
    assert [each.name for each in history.entries()] == [entry.name]
    assert queue.ready.is_set()


def test_a_painter_rehearses_unless_somebody_waits(painter, history, order):
    queue = JobQueue(painter, Limits())
    queue.start()
    assert painter.rehearsed.wait(300)
    queue.close()
    busy = PretendPainter()
    queue = JobQueue(busy, Limits())
    job = make_job(history, order())
    queue.submit(job)
    queue.start()
    busy.go.release()
    wait_for(lambda: job.ended)
    assert not busy.rehearsed.is_set()
    queue.close()


def test_everybodys_first_run_comes_before_anybodys_second(
    queue, painter, history, order
):
    greedy = [make_job(history, order(f"{n}"), visitor="greedy") for n in range(3)]
    for job in greedy:
        queue.submit(job)
    wait_for(lambda: greedy[0].state == jobs.PAINTING)
    late = [make_job(history, order("0"), visitor=f"late {n}") for n in range(2)]
    for job in late:
        queue.submit(job)
    assert [queue.place(job) for job in (*greedy, *late)] == [0, 3, 4, 1, 2]
    for _ in range(5):
        painter.go.release()
    wait_for(lambda: all(job.ended for job in (*greedy, *late)))
    assert painter.painted == [
        ("greedy", "0"),
        ("late 0", "0"),
        ("late 1", "0"),
        ("greedy", "1"),
        ("greedy", "2"),
    ]


def test_a_job_of_several_pictures_takes_a_turn_for_each(
    queue, painter, history, order
):
    several = make_job(history, tuple(map(order, "abc")), visitor="several")
    queue.submit(several)
    wait_for(lambda: several.state == jobs.PAINTING)
    other = make_job(history, order("x"), visitor="other")
    queue.submit(other)
    for _ in range(4):
        painter.go.release()
    wait_for(lambda: several.ended)
    assert [label for _, label in painter.painted] == ["a", "x", "b", "c"]
    assert len(several.results) == 3


def test_the_queue_and_each_visitor_have_a_limit(queue, painter, history, order):
    first = [make_job(history, order(), visitor="one") for _ in range(3)]
    for job in first:
        queue.submit(job)
    with pytest.raises(BusyError, match="You have 3 runs in the queue"):
        queue.submit(make_job(history, order(), visitor="one"))
    wait_for(lambda: first[0].state == jobs.PAINTING)
    for number in range(3):
        queue.submit(make_job(history, order(), visitor=f"other {number}"))
    with pytest.raises(BusyError, match="5 runs are waiting"):
        queue.submit(make_job(history, order(), visitor="another"))


def test_stopping_keeps_the_picture_so_far(queue, painter, history, order):
    job = make_job(history, order())
    queue.submit(job)
    wait_for(lambda: job.progress.step > 2)
    queue.stop(job.key)
    wait_for(lambda: job.ended)
    assert job.state == jobs.STOPPED
    assert len(history.entries()) == len(job.results) == 1


def test_a_waiting_job_ends_at_once_and_leaves_nothing(queue, painter, history, order):
    painting = make_job(history, order(), tab="first")
    queue.submit(painting)
    wait_for(lambda: painting.state == jobs.PAINTING)
    waiting = make_job(history, order(), tab="second")
    queue.submit(waiting)
    queue.stop(waiting.key)
    assert waiting.state == jobs.STOPPED
    # The other job needs the same sources.
    assert painting.order.content.exists()
    queue.leave("first")
    wait_for(lambda: painting.ended)
    assert painting.state == jobs.LEFT
    assert history.entries() == []
    wait_for(lambda: not painting.order.content.exists())


def test_a_closed_page_ends_its_jobs_only(queue, painter, history, order):
    mine = make_job(history, order(), tab="mine")
    kept = make_job(history, order(), tab="mine", keep=True)
    yours = make_job(history, order(), tab="yours")
    for job in (mine, kept, yours):
        queue.submit(job)
    wait_for(lambda: mine.state == jobs.PAINTING)
    queue.leave("mine")
    wait_for(lambda: mine.ended)
    assert mine.state == jobs.LEFT
    for _ in range(2):
        painter.go.release()
    wait_for(lambda: kept.ended and yours.ended)
    assert kept.state == yours.state == jobs.DONE


def test_an_error_is_told_and_does_not_end_the_queue(queue, painter, history, order):
    painter.fail = ValueError("`size` is too\nlarge")
    job = make_job(history, tuple(map(order, "ab")))
    queue.submit(job)
    painter.go.release()
    painter.go.release()
    wait_for(lambda: job.ended)
    assert job.state == jobs.FAILED
    assert [text for _, text in job.errors] == ["`size` is too large"] * 2
    painter.fail = None
    after = make_job(history, order())
    queue.submit(after)
    painter.go.release()
    wait_for(lambda: after.ended)
    assert after.state == jobs.DONE


def test_closing_keeps_the_picture_so_far(painter, history, order):
    queue = JobQueue(painter, Limits())
    queue.start()
    job, waiting = (make_job(history, order(), visitor=name) for name in "ab")
    queue.submit(job)
    queue.submit(waiting)
    wait_for(lambda: job.progress.step > 0)
    queue.close(300)
    assert (job.state, waiting.state) == (jobs.STOPPED, jobs.STOPPED)
    assert len(history.entries()) == 1


def test_time_left_is_estimated_from_the_work_done():
    assert Progress().seconds_left is None
    assert Progress(step=4, fraction=0.25, seconds=10).seconds_left == 30
