"""Shared by the studio's tests: pictures, orders, and a painter that paints nothing."""

import threading
import time

import numpy as np

import tfnst
from tests.helpers import TINY, picture
from tfnst.images.manifest import build_manifest, describe_source
from tfnst.images.style_images import StyleImage, describe_style
from tfnst.studio.history import History
from tfnst.studio.jobs import Job, Progress
from tfnst.studio.orders import Order


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


def make_order(history, content, *styles, config=TINY, label=""):
    """An order for pictures that are copied into a history."""
    parts = tuple(StyleImage(image=history.keep_source(style)) for style in styles)
    return Order(history.keep_source(content), parts, config, label=label)


def add_picture(history, order, color=(10, 20, 30)):
    """Adds a picture of one colour to a history, as a painter does."""

    def save(path):
        manifest = build_manifest(
            content_image=describe_source(order.content),
            style_image=describe_style(
                list(order.styles),
                [describe_source(style.image) for style in order.styles],
            ),
            settings=order.config.to_dict(),
        )
        pixels = np.full((40, 50, 3), color, np.float32) / 255
        tfnst.save_image(pixels, path, manifest=manifest)

    return history.add(order, save)


class PretendPainter:
    """Paints when it is told to, and writes down in which order it did.

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

    def paint(self, job, order, limits):
        while not self.go.acquire(timeout=self.step_seconds):
            job.progress = Progress(step=job.progress.step + 1)
            if job.stopping:
                return None if job.abandoned else add_picture(job.history, order)
        self.painted.append((job.visitor, order.label))
        if self.fail is not None:
            raise self.fail
        return add_picture(job.history, order)


def make_job(history, order, visitor="someone", tab="a tab", **options):
    """A job for one order or several."""
    orders = order if isinstance(order, tuple) else (order,)
    return Job(orders, history, visitor=visitor, tab=tab, **options)


def wait_for(condition):
    """Waits until something is the case."""
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, "it never became so"
        time.sleep(0.002)
