"""Painting the studio's videos in turns, between which others have theirs."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
import time
from typing import TYPE_CHECKING

from PIL import Image

from tfnst.studio.limits import Limits
from tfnst.studio.previews import PREVIEW_SIZE, Previews
from tfnst.studio.run_queue import AbandonedError, PausedVideo, Progress, QueuedRun
from tfnst.studio.tasks import Task, VideoOptions

if TYPE_CHECKING:
    from tfnst.video.video import FilmProgress

# A video pauses after so many seconds if other runs wait.
TURN_SECONDS = 30.0


def paint_video(
    run: QueuedRun,
    task: Task,
    options: VideoOptions,
    limits: Limits,
    *,
    turn_seconds: float = TURN_SECONDS,
) -> pathlib.Path | PausedVideo | None:
    """Paints a video, or goes on with it; see `tfnst.studio.run_queue.Painter`.

    Args:
        run: the run with the task.
        task: the task.
        options: the task's options of the video.
        limits: the host's limits, at which the video ends with the frames so far.
        turn_seconds: seconds after which it pauses if other runs wait. Default 30.
    """
    from tfnst.video.video import parts_folder, stylize_video

    before = run.paused
    path = run.history.new_path(task) if before is None else before.path
    parts = pathlib.Path(parts_folder(path))
    # The limit holds for all turns together.
    most_seconds = limits.bound(task.config).max_time or limits.max_seconds
    watcher = VideoWatcher(run, most_seconds, limits.max_frames, turn_seconds)
    pausing = False
    try:
        result = stylize_video(
            task.content,
            list(task.styles),
            path,
            resume=before is not None,
            config=task.config.replace(max_time=None),
            callback=watcher,
            **dataclasses.asdict(options),
        )
        pausing = watcher.pausing
    except AbandonedError:
        path.unlink(missing_ok=True)
        return None
    finally:
        if not pausing:
            shutil.rmtree(parts, ignore_errors=True)
    if pausing:
        return PausedVideo(path, parts, watcher.seconds)
    if result.frames:
        return path
    if run.stopping:
        return None
    raise ValueError("Time ran out before the first frame was finished.")


class VideoWatcher:
    """A callback that records a video's progress, and ends or pauses it.

    Args:
        run: the run whose `progress` is set.
        most_seconds: maximum duration of all turns together in seconds.
        most_frames: number of frames at which the video ends.
        turn_seconds: as for `paint_video`.

    Attributes:
        pausing: whether the video pauses while others have their turn.
    """

    def __init__(
        self,
        run: QueuedRun,
        most_seconds: float,
        most_frames: int,
        turn_seconds: float,
    ) -> None:
        self._run = run
        self._most_seconds = most_seconds
        self._most_frames = most_frames
        self._turn_seconds = turn_seconds
        self._spent = 0.0 if run.paused is None else run.paused.seconds
        self._began = time.monotonic()
        self._previews = Previews(run.progress.preview, run.progress.previews)
        # Time at which the first frame of this turn was done, and the frames by then.
        self._first: tuple[float, int] | None = None
        self.pausing = False

    @property
    def seconds(self) -> float:
        """Time spent on the video so far."""
        return self._spent + time.monotonic() - self._began

    def __call__(self, progress: FilmProgress) -> None:
        """Records the progress within a frame or after one."""
        inner, picture, done = progress.run, progress.picture, progress.frames_done
        within, pace = 0.0, self._run.progress.pace
        if picture is not None:
            image = Image.fromarray(picture)
            image.thumbnail((PREVIEW_SIZE, PREVIEW_SIZE))
            self._previews.offer(lambda: image, always=done == progress.frames)
            if self._first is None:
                self._first = self.seconds, done
            else:
                pace = (self.seconds - self._first[0]) / (done - self._first[1])
        elif inner is not None:
            within = inner.fraction
            if not done:
                # The first frame takes many steps, which people want to watch.
                self._previews.offer(lambda: inner.image(PREVIEW_SIZE))
        frames = None if progress.frames is None else max(progress.frames, done)
        self._run.progress = Progress(
            step=0 if inner is None else inner.step,
            steps=0 if inner is None else inner.steps,
            size=self._run.progress.size if inner is None else inner.size,
            fraction=min((done + within) / frames, 1.0) if frames else 0.0,
            seconds=self.seconds,
            preview=self._previews.latest,
            previews=self._previews.count,
            frames_done=done,
            frames=frames,
            pace=pace,
        )
        if self._run.abandoned:
            raise AbandonedError
        if self._run.stopping or self.seconds >= self._most_seconds:
            progress.stop()
        elif picture is not None and done != progress.frames:
            turn = time.monotonic() - self._began
            if done >= self._most_frames:
                progress.stop()
            elif self._run.others_wait and turn >= self._turn_seconds:
                self.pausing = True
                progress.stop()
