"""Pieces of the page in HTML."""

import dataclasses
import html.parser
import re

import pytest

from tests.studio.helpers import (
    add_picture,
    make_pictures,
    make_run,
    make_task,
    open_history,
)
from tfnst.studio import panels, run_queue
from tfnst.studio.run_queue import Progress

NOW = Progress(
    step=30,
    steps=120,
    size=181,
    fraction=0.25,
    seconds=20.0,
    first=(0.0, 0.0),
    losses=((1, 0.5, 0.4, 4.0), (2, 0.6, 0.2, 2.0), (4, 0.6, 0.1, 1.0)),
    preview=b"a picture",
)


class Parsed(html.parser.HTMLParser):
    """The elements in a piece of HTML, each closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in ("img", "input", "polyline"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag):
        return [attributes for name, attributes in self.seen if name == tag]


@pytest.fixture
def run(tmp_path):
    history = open_history(tmp_path)
    task = make_task(*make_pictures(tmp_path, "a.png", "b.png"))
    return make_run(history, task)


def test_a_run_is_shown_with_its_picture_bar_and_curves(run):
    run.state, run.progress = run_queue.PAINTING, NOW
    text = panels.progress(run)
    parsed = Parsed(text)
    (picture,) = parsed.all("img")
    assert picture["src"] == "data:image/jpeg;base64,YSBwaWN0dXJl"
    assert picture["alt"]
    (bar,) = parsed.all("progress")
    assert bar["value"] == "0.2500"
    assert len(parsed.all("polyline")) == 3
    assert "Step 30 of 120, at 181 pixels, about 60 s left." in text


def test_curves_span_the_picture_and_fall_with_the_loss():
    (total, *_) = re.findall(r'points="([^"]*)"', panels.curves(NOW.losses))
    points = [tuple(map(float, point.split(","))) for point in total.split()]
    assert points == [(0, 4), (106.7, 45), (320, 86)]
    assert panels.curves(NOW.losses[:1]) == ""


@pytest.mark.parametrize(
    ("state", "before", "said"),
    [
        (run_queue.WAITING, 0, "Getting ready to paint ..."),
        (run_queue.WAITING, 1, "In the queue, 1 run ahead of it."),
        (run_queue.WAITING, 3, "In the queue, 3 runs ahead of it."),
        (run_queue.DONE, 0, "Done: 120 steps in 20 s."),
        (run_queue.STOPPED, 0, "Stopped after 30 steps; there is no picture."),
        (run_queue.FAILED, 0, "It failed: the <disk> is full"),
    ],
)
def test_each_state_has_its_words(run, state, before, said):
    run.state, run.progress = state, NOW
    run.stopping = state == run_queue.STOPPED
    if state == run_queue.FAILED:
        run.outcomes.append("the <disk> is full")
    assert panels.status(run, before) == said


def test_a_server_tells_nothing_on_the_way(run):
    run.state, run.progress = run_queue.PAINTING, Progress(seconds=12.3)
    text = panels.status(run)
    assert text == "The server has been painting for 12 s."


def test_what_visitors_write_stays_text(run):
    evil = '<img src=x onerror="alert(1)">'
    for text in (
        panels.error(evil),
        panels.notice(evil),
        panels.comparison(b"", b"", (evil, evil)),
        panels.side_by_side([(b"", evil)]),
        panels.choices([(b"", evil)], evil),
    ):
        assert all("onerror" not in given for _, given in Parsed(text).seen)
    task = dataclasses.replace(run.task, label=evil)
    run.tasks, run.outcomes = (task,), [evil]
    assert all("onerror" not in g for _, g in Parsed(panels.all_errors(run)).seen)


def test_a_comparison_can_be_moved_by_keyboard_and_is_named():
    parsed = Parsed(panels.comparison(b"one", b"two", ("Photo", "Painting")))
    (slider,) = parsed.all("input")
    assert slider["type"] == "range"
    assert slider["aria-label"] == "How much of Photo to show over Painting"
    assert [image["alt"] for image in parsed.all("img")] == ["Painting", "Photo"]


def test_facts_are_what_differs_from_the_defaults(run):
    entry = add_picture(run.history, run.task)
    text = panels.facts(entry)
    Parsed(text)
    shown = dict(re.findall(r"<th[^>]*>([^<]*)</th><td>([^<]*)</td>", text))
    assert shown["Photo"] == "a.png"
    assert shown["Style"] == "b.png"
    assert shown["Size"] == "48"
    assert shown["Style layers"] == "block1_conv1, block2_conv1"
    assert "Optimizer" not in shown


@pytest.mark.parametrize(
    ("reason", "said"),
    [("callback", "by hand"), ("max_time", "at the time limit"), (None, None)],
)
def test_why_a_run_ended_early_is_said_in_words(run, reason, said):
    entry = add_picture(run.history, run.task)
    entry.manifest["stop_reason"] = reason
    shown = dict(
        re.findall(r"<th[^>]*>([^<]*)</th><td>([^<]*)</td>", panels.facts(entry))
    )
    assert shown.get("Stopped early") == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(3.4, "3 s"), (89, "89 s"), (150, "2 min"), (9000, "2.5 h")]
)
def test_times_have_the_unit_that_suits_them(seconds, said):
    assert panels.duration(seconds) == said
