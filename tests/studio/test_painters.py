"""Painting the studio's tasks, in this process and on a server."""

import dataclasses
import io
import shutil
import threading
import types

import numpy as np
import pytest
from PIL import Image

import tfnst
from tests.helpers import TINY, message, picture
from tests.studio.helpers import make_pictures, make_run, make_task
from tfnst.client import ServingError
from tfnst.config import setting_names
from tfnst.engines.loading import load_engine
from tfnst.export.warmup import WARMUP
from tfnst.images.manifest import describe_source
from tfnst.images.metadata import PictureInfo
from tfnst.images.reading import load_image
from tfnst.server import ModelServer
from tfnst.studio.limits import Limits
from tfnst.studio.painters import LocalPainter, ServerPainter, Watcher
from tfnst.transfer.history import LOSS_FIELDS
from tfnst.transfer.progress import Snapshot, TransferProgress


@pytest.fixture
def pictures(tmp_path):
    return make_pictures(tmp_path, "content.png", "style.png")


@pytest.fixture(scope="module")
def address(tiny_model, tmp_path_factory):
    """Where TINY is served, as fast as it can be loaded: without its warm-up."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    shutil.copytree(tiny_model, folder, ignore=shutil.ignore_patterns(*WARMUP.parts))
    with ModelServer(folder, port=0) as server:
        yield f"127.0.0.1:{server.port}"


def progress_of(step, steps=10):
    """A step of a pretended run."""
    row = np.array([(step, 48, 0.3, 0.2, 0.1, 1.0 / step, step)], LOSS_FIELDS)[0]
    snapshot = Snapshot(
        np.full((1, 30, 40, 3), step / steps, np.float32), lambda x: x, PictureInfo()
    )
    return TransferProgress(
        step=step,
        steps=steps,
        size=48,
        fraction=step / steps,
        losses=row,
        learning_rate=0.01,
        seconds=float(step),
        config=TINY,
        snapshot=snapshot,
    )


def test_the_picture_is_that_of_stylize(history, pictures):
    run = make_run(history, make_task(*pictures))
    painter = LocalPainter(TINY)
    painter.prepare()
    entry = painter.paint(run, run.task, Limits())
    expected = tfnst.stylize(*pictures, config=TINY)
    with Image.open(entry.path) as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected.image))
    manifest = entry.manifest
    assert manifest["content_image"] == describe_source(pictures[0])
    assert manifest["style_image"] == describe_source(pictures[1])
    assert manifest["settings"] == TINY.replace(max_time=3600.0).to_dict()
    assert run.progress.step == run.progress.steps == len(expected.losses)
    assert run.progress.fraction == 1
    assert history.entries() == [entry]


def test_a_rehearsal_traces_what_runs_use(history, pictures):
    config = TINY.replace(content_weight=0.5)  # Traced by no other test.
    painter = LocalPainter(config)
    painter.prepare()
    engine, _ = load_engine(config)
    painter.rehearse()
    traced = engine.traces
    assert traced > 0
    run = make_run(history, make_task(*pictures, config=config))
    painter.paint(run, run.task, Limits())
    assert engine.traces == traced


def test_the_time_of_a_run_follows_from_its_steps_and_pixels():
    painter = LocalPainter(TINY)
    config = TINY.replace(size=64, min_size=64, initial_steps=5)

    def expected(config):
        task = make_task("photo.png", config=config)
        return painter.expected_seconds(task, (60, 80))

    assert expected(config) is None  # The speed is unknown.
    painter.prepare()
    painter.rehearse()
    seconds = expected(config)
    assert 0 < seconds < 60
    for changed, ratio in (
        (config.replace(initial_steps=10), 2.0),
        (config.replace(size=128, min_size=128), 4.0),
    ):
        assert expected(changed) == pytest.approx(ratio * seconds)


def test_a_picture_has_as_many_bits_as_its_task_asks_for(history, pictures):
    task = dataclasses.replace(make_task(*pictures), bits=16)
    run = make_run(history, task)
    entry = LocalPainter(TINY).paint(run, run.task, Limits())
    assert entry.bits == 16
    expected = tfnst.stylize(*pictures, config=TINY).array
    difference = np.abs(load_image(entry.path)[0] - expected)
    assert difference.max() <= 1.01 / 2**17


def test_a_run_that_stops_keeps_the_picture_so_far(history, pictures):
    config = TINY.replace(steps=10_000)
    steps = []

    def stop(run):
        steps.append(run.progress.step)
        run.stop()

    task = make_task(*pictures, config=config)
    run = make_run(history, task, told=stop)
    entry = LocalPainter(TINY).paint(run, run.task, Limits())
    assert len(steps) == 1
    assert entry.manifest["stop_reason"] == "callback"
    assert entry.manifest["steps"] == steps[0]


def test_nothing_is_painted_for_somebody_who_left(history, pictures):
    run = make_run(history, make_task(*pictures))
    run.stop(leave=True)
    assert LocalPainter(TINY).paint(run, run.task, Limits()) is None
    task = make_task(*pictures)
    run = make_run(history, task, told=lambda run: run.stop(leave=True))
    assert LocalPainter(TINY).paint(run, run.task, Limits()) is None
    assert history.entries() == []


def test_the_hosts_limit_of_time_holds(history, pictures):
    config = TINY.replace(steps=100_000, max_time=900.0)
    run = make_run(history, make_task(*pictures, config=config))
    entry = LocalPainter(TINY).paint(run, run.task, Limits(max_seconds=0.01))
    assert entry.settings["max_time"] == 0.01
    assert 0 < entry.manifest["steps"] < 100_000


def test_previews_are_the_picture_as_it_is_and_not_too_many(history, pictures):
    now = 100.0
    run = make_run(history, make_task(*pictures))
    watcher = Watcher(run, clock=lambda: now)
    watcher(progress_of(1))
    first = run.progress.preview
    with Image.open(io.BytesIO(first)) as image:
        assert image.size == (40, 30)
        np.testing.assert_allclose(np.asarray(image), 26, atol=2)
    now += 0.1
    watcher(progress_of(2))  # Soon after the first.
    assert run.progress.preview is first
    assert run.progress.step == 2
    now += 1
    watcher(progress_of(3))
    second = run.progress.preview
    assert second != first
    watcher(progress_of(10))  # The last one is always shown.
    assert run.progress.preview != second


def test_the_curves_have_a_bounded_number_of_points(history, pictures):
    run = make_run(history, make_task(*pictures))
    watcher = Watcher(run)
    for step in range(1, 2001):
        watcher(progress_of(step, 2000))
    rows = run.progress.losses
    assert 100 <= len(rows) <= 240
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert rows[-1][0] > 1980
    np.testing.assert_allclose([row[3] for row in rows], [1 / row[0] for row in rows])


class PretendClient:
    """A client of a server that paints one picture, at once or never."""

    image = Image.fromarray((255 * picture(36, 48)).astype(np.uint8))
    answers = True
    asked = None

    def __init__(self, target):
        assert target == "studio:8500"
        self.closed = threading.Event()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.closed.set()

    def wait_until_ready(self, timeout):
        assert timeout > 0

    def stylize(self, content, styles, **settings):
        PretendClient.asked = content, styles, settings
        if not self.answers:
            assert self.closed.wait(300)
            raise ServingError("The client was closed")
        return types.SimpleNamespace(
            image=self.image, info=PictureInfo(), model_version=3
        )


class SilentClient(PretendClient):
    answers = False


def test_what_a_server_answers_is_kept(history, pictures):
    painter = ServerPainter("studio:8500", PretendClient)
    painter.prepare()
    run = make_run(history, make_task(*pictures))
    entry = painter.paint(run, run.task, Limits(max_seconds=50))
    with Image.open(entry.path) as image:
        np.testing.assert_array_equal(image, PretendClient.image)
    assert history.entries() == [entry]
    assert entry.manifest["server"] == "studio:8500"
    assert entry.manifest["model_version"] == 3
    assert entry.manifest["content_image"] == describe_source(pictures[0])
    assert run.progress.fraction == 1
    with Image.open(io.BytesIO(run.progress.preview)) as preview:
        assert preview.size == (48, 36)
    content, styles, settings = PretendClient.asked
    assert (content, styles) == (run.task.content, list(run.task.styles))
    assert settings.pop("timeout") == 50
    assert settings == {n: getattr(TINY, n) for n in setting_names("requested")}
    assert entry.settings == settings


def test_a_call_ends_when_the_run_is_to_stop(history, pictures):
    run = make_run(history, make_task(*pictures))
    run.stop()
    painter = ServerPainter("studio:8500", SilentClient)
    assert painter.paint(run, run.task, Limits()) is None
    assert history.entries() == []


@pytest.mark.slow
def test_a_server_paints(address, history, pictures):
    painter = ServerPainter(address)
    painter.prepare()  # Waits until the model is loaded.
    config = TINY.replace(steps=1)
    run = make_run(history, make_task(*pictures, config=config))
    entry = painter.paint(run, run.task, Limits())
    expected = tfnst.stylize(*pictures, config=config)
    with Image.open(entry.path) as image:
        difference = np.asarray(image, int) - np.asarray(expected.image, int)
    assert np.abs(difference).mean() < 0.25
    assert entry.manifest["server"] == address
    assert entry.settings["size"] == TINY.size
    assert entry.manifest["content_image"] == describe_source(pictures[0])
    assert run.progress.preview is not None


def test_a_server_that_is_no_address_is_refused():
    text = message(ValueError, ServerPainter, "nowhere")
    assert text == "`server` must be HOST:PORT. Received: 'nowhere'"
