"""Painting the studio's videos."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
import time
from typing import TYPE_CHECKING

from PIL import Image

from tfnst.studio.limits import Limits
from tfnst.studio.previews import PREVIEW_SIZE, Previews
from tfnst.studio.run_queue import Progress, QueuedRun
from tfnst.studio.tasks import Task, VideoOptions

if TYPE_CHECKING:
    from tfnst.video.video import FilmProgress


class _AbandonedError(Exception):
    """Nobody wants the video any more, so that its frames need not be encoded."""


def paint_video(
    run: QueuedRun, task: Task, options: VideoOptions, limits: Limits
) -> pathlib.Path | None:
    """Paints a video; see `tfnst.studio.run_queue.Painter`.

    Args:
        run: the run with the task.
        task: the task.
        options: the task's options of the video.
        limits: the host's limits, at which the video ends with the frames so far.
    """
    from tfnst.video.video import parts_folder, stylize_video

    path = run.history.new_path(task)
    arguments = dataclasses.asdict(options)
    if task.network is not None:
        # A network takes no steps.
        del arguments["frame_steps"], arguments["temporal_weight"]
    try:
        result = stylize_video(
            task.content,
            task.style,
            path,
            config=task.config.replace(max_time=None),
            callback=VideoWatcher(
                run,
                # The time is that of the whole video, not of a frame.
                limits.seconds(task.config),
                limits.max_frames,
            ),
            **arguments,
        )
    except _AbandonedError:
        path.unlink(missing_ok=True)
        return None
    finally:
        shutil.rmtree(parts_folder(path), ignore_errors=True)
    if result.frames:
        return path
    if run.stopping:
        return None
    raise ValueError("Time ran out before the first frame was finished.")


class VideoWatcher:
    """A callback that records a video's progress, and ends it.

    Args:
        run: the run whose `progress` is set.
        most_seconds: maximum duration in seconds.
        most_frames: number of frames at which the video ends.
    """

    def __init__(self, run: QueuedRun, most_seconds: float, most_frames: int) -> None:
        self._run = run
        self._most_seconds = most_seconds
        self._most_frames = most_frames
        self._began = time.monotonic()
        self._previews = Previews()

    def __call__(self, progress: FilmProgress) -> None:
        """Records the progress within a frame or after one."""
        inner, picture, done = progress.run, progress.picture, progress.frames_done
        seconds = time.monotonic() - self._began
        within, first = 0.0, self._run.progress.first
        if picture is not None:
            image = Image.fromarray(picture)
            image.thumbnail((PREVIEW_SIZE, PREVIEW_SIZE))
            self._previews.offer(lambda: image, always=done == progress.frames)
        elif inner is not None:
            within = inner.fraction
            if not done:
                # The first frame takes many steps, which people want to watch.
                self._previews.offer(lambda: inner.image(PREVIEW_SIZE))
        frames = None if progress.frames is None else max(progress.frames, done)
        fraction = min((done + within) / frames, 1.0) if frames else 0.0
        if picture is not None and first is None:
            first = seconds, fraction
        self._run.progress = Progress(
            step=0 if inner is None else inner.step,
            steps=0 if inner is None else inner.steps,
            size=self._run.progress.size if inner is None else inner.size,
            fraction=fraction,
            seconds=seconds,
            preview=self._previews.latest,
            frames_done=done,
            frames=frames,
            first=first,
        )
        if self._run.abandoned:
            raise _AbandonedError
        enough = picture is not None and done >= self._most_frames
        if self._run.stopping or seconds >= self._most_seconds or enough:
            progress.stop()
