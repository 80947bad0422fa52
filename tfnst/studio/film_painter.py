"""Paints the studio's films, in turns that leave room for the runs of others."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
import time
from typing import TYPE_CHECKING

from PIL import Image

from tfnst.studio.jobs import AbandonedError, Job, Progress, Unfinished
from tfnst.studio.limits import Limits
from tfnst.studio.orders import Film, Order
from tfnst.studio.previews import PREVIEW_SIZE, Previews

if TYPE_CHECKING:
    from tfnst.video.video import FilmProgress

# A film gives way to others after so many seconds.
TURN_SECONDS = 30.0


def paint_film(
    job: Job, order: Order, film: Film, limits: Limits
) -> pathlib.Path | Unfinished | None:
    """Paints a film, or goes on with it; see `tfnst.studio.jobs.Painter`.

    Args:
        job: whose film it is.
        order: what to paint.
        film: how.
        limits: at which it ends with the frames so far.
    """
    from tfnst.video.video import parts_folder, stylize_video

    before = job.unfinished
    path = job.history.new_path(order) if before is None else before.path
    parts = pathlib.Path(parts_folder(path))
    # In all its turns.
    most_seconds = limits.bound(order.config).max_time or limits.max_seconds
    watcher = FilmWatcher(job, most_seconds, limits.max_frames)
    gives_way = False
    try:
        result = stylize_video(
            order.content,
            list(order.styles),
            path,
            resume=before is not None,
            config=order.config.replace(max_time=None),
            callback=watcher,
            **dataclasses.asdict(film),
        )
        gives_way = watcher.gives_way
    except AbandonedError:
        path.unlink(missing_ok=True)
        return None
    finally:
        if not gives_way:
            shutil.rmtree(parts, ignore_errors=True)
    if gives_way:
        return Unfinished(path, parts, watcher.seconds)
    if result.frames:
        return path
    if job.stopping:
        return None
    raise ValueError("The time was over before the first frame was painted.")


class FilmWatcher:
    """A callback that writes down how far a film is, and ends it or has it give way.

    Args:
        job: where it writes; its visitor looks there.
        most_seconds: that all its turns may take.
        most_frames: at which the film ends.

    Attributes:
        gives_way: whether it was ended for the sake of others.
    """

    def __init__(self, job: Job, most_seconds: float, most_frames: int) -> None:
        self._job = job
        self._most_seconds = most_seconds
        self._most_frames = most_frames
        self._spent = 0.0 if job.unfinished is None else job.unfinished.seconds
        self._began = time.monotonic()
        self._previews = Previews(job.progress.preview, job.progress.previews)
        # When the first frame of this turn was done, and how many there were then.
        self._first: tuple[float, int] | None = None
        self.gives_way = False

    @property
    def seconds(self) -> float:
        """That have been spent on the film."""
        return self._spent + time.monotonic() - self._began

    def __call__(self, progress: FilmProgress) -> None:
        """Takes a FilmProgress."""
        if self._job.abandoned:
            raise AbandonedError
        run, picture, done = progress.run, progress.picture, progress.frames_done
        within, pace = 0.0, self._job.progress.pace
        if picture is not None:
            image = Image.fromarray(picture)
            image.thumbnail((PREVIEW_SIZE, PREVIEW_SIZE))
            self._previews.offer(lambda: image, always=done == progress.frames)
            if self._first is None:
                self._first = self.seconds, done
            else:
                pace = (self.seconds - self._first[0]) / (done - self._first[1])
        elif run is not None:
            within = run.fraction
            if not done:
                # A shot begins with many steps, which people want to watch.
                self._previews.offer(lambda: run.image(PREVIEW_SIZE))
        frames = None if progress.frames is None else max(progress.frames, done)
        self._job.progress = Progress(
            step=0 if run is None else run.step,
            steps=0 if run is None else run.steps,
            size=self._job.progress.size if run is None else run.size,
            fraction=min((done + within) / frames, 1.0) if frames else 0.0,
            seconds=self.seconds,
            preview=self._previews.latest,
            previews=self._previews.count,
            frames_done=done,
            frames=frames,
            pace=pace,
        )
        if self._job.stopping or self.seconds >= self._most_seconds:
            progress.stop()
        elif picture is not None and done != progress.frames:
            turn = time.monotonic() - self._began
            if done >= self._most_frames:
                progress.stop()
            elif self._job.others_wait and turn >= TURN_SECONDS:
                self.gives_way = True
                progress.stop()
