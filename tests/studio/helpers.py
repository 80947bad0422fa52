"""Shared by the studio's tests: pictures, tasks, and a painter that paints nothing."""

import threading
import time

import numpy as np

import tfnst
from tests.helpers import TINY, picture
from tfnst.images.manifest import build_manifest, describe_source
from tfnst.images.style_images import StyleImage, describe_style
from tfnst.studio.history import History
from tfnst.studio.run_queue import Progress, QueuedRun
from tfnst.studio.tasks import Task


def open_history(folder):
    """The history in a folder."""
    return History(folder / "painted", folder / "thumbnails")


def make_pictures(folder, *names):
    """Tiny picture files, each with another picture: their paths."""
    paths = []
    for seed, name in enumerate(names):
        path = folder / name
        tfnst.save_image(picture(40, 50, seed=seed), path)
        paths.append(path)
    return paths


def make_task(content, *styles, config=TINY, **options):
    """A task for a picture, or with `video` for a video."""
    parts = tuple(StyleImage(image=style) for style in styles)
    return Task(content, parts, config, **options)


def add_picture(history, task, color=(10, 20, 30)):
    """Adds a picture of one colour to a history, as a painter does."""

    def save(path):
        manifest = build_manifest(
            content_image=describe_source(task.content),
            style_image=describe_style(
                list(task.styles),
                [describe_source(style.image) for style in task.styles],
            ),
            settings=task.config.to_dict(),
        )
        pixels = np.full((40, 50, 3), color, np.float32) / 255
        tfnst.save_image(pixels, path, manifest=manifest)

    return history.add(task, save)


class PretendPainter:
    """Paints when it is told to, and writes down when it did.

    Args:
        step_seconds: after which it looks whether it is to stop.
    """

    def __init__(self, step_seconds=0.005):
        self.painted = []
        self.go = threading.Semaphore(0)
        self.step_seconds = step_seconds
        self.fail = None
        self.prepared = threading.Event()
        self.rehearsed = threading.Event()

    def prepare(self):
        self.prepared.set()

    def rehearse(self):
        self.rehearsed.set()

    def expected_seconds(self, task, sides):
        return None

    def paint(self, run, task, limits):
        while not self.go.acquire(timeout=self.step_seconds):
            run.progress = Progress(step=run.progress.step + 1)
            if run.stopping:
                return None if run.abandoned else add_picture(run.history, task)
        self.painted.append((run.visitor, task.label))
        if self.fail is not None:
            raise self.fail
        return add_picture(run.history, task)


class WatchedRun(QueuedRun):
    """A run that calls `told` with itself whenever its progress is set."""

    told = None

    @property
    def progress(self):
        return self._progress

    @progress.setter
    def progress(self, progress):
        self._progress = progress
        if self.told is not None:
            self.told(self)


def make_run(history, task, visitor="someone", told=None, **options):
    """A run for one task or several."""
    tasks = task if isinstance(task, tuple) else (task,)
    run = WatchedRun(tasks, history, visitor=visitor, **options)
    run.told = told
    return run


def wait_for(condition):
    """Waits until something is the case."""
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, "it never became so"
        time.sleep(0.002)
