"""stylize_video(): a film in, a painted film out."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from tfnst.checks import argument, argument_error, check_integer, check_number
from tfnst.config import (
    FRAME_STEPS,
    TEMPORAL_WEIGHT,
    StyleTransferConfig,
    build_config,
    picture_settings,
)
from tfnst.eager import eagerly
from tfnst.files import check_path, show_path
from tfnst.images.style_images import style_images, style_paths
from tfnst.paths import check_outputs
from tfnst.transfer.progress import TransferProgress
from tfnst.version import __version__
from tfnst.video.coherence import DISTANCES, Traces
from tfnst.video.flow import FlowFiles, OpticalFlow
from tfnst.video.folder_lock import is_locked
from tfnst.video.frames import FilmInfo, Frame
from tfnst.video.kept_frames import FrameState
from tfnst.video.outputs import check_film_output
from tfnst.video.painting import FilmPainter, check_film_config
from tfnst.video.reading import FilmReader, open_film
from tfnst.video.segments import FilmParts, folder_in_use

PARTS_SUFFIX = ".parts"
MAX_PASSES = 20


@dataclasses.dataclass
class FilmProgress:
    """How far a film is; passed to the callback.

    Attributes:
        frames_done: frames that are painted; several passes count each time.
        frames: frames in all, alike, or None if the film doesn't say.
        seconds: since the work began.
        run: how far the frame is that is being painted; None after a frame.
        picture: the frame that has just been painted, uint8 [H, W, 3]; None within
            one.
    """

    frames_done: int
    frames: int | None
    seconds: float
    run: TransferProgress | None = None
    picture: np.ndarray | None = None
    stopped: bool = dataclasses.field(default=False, init=False)

    def stop(self) -> None:
        """Asks for the film to end before the next frame."""
        self.stopped = True


FilmCallback = Callable[[FilmProgress], None]


@dataclasses.dataclass(frozen=True)
class FilmResult:
    """What became of a film.

    Attributes:
        output: path of the painted film.
        frames: in it.
        painted: frames that were painted now, not before a break; several passes
            count each time.
        shots: how many of these began anew, the first frame among them.
        still: mean share of the pixels of the others that stood still.
        steps: gradient steps taken now.
        seconds: that it took.
        complete: whether the film was painted to its end.
        width: of its frames.
        height: of its frames.
        config: the settings.
    """

    output: str
    frames: int
    painted: int
    shots: int
    still: float
    steps: int
    seconds: float
    complete: bool
    width: int
    height: int
    config: StyleTransferConfig


@eagerly
def stylize_video(
    film: str | os.PathLike[str],
    style_image: Any,
    output: str | os.PathLike[str],
    *,
    start: float = 0.0,
    end: float | None = None,
    every: int = 1,
    rate: float | None = None,
    frame_steps: int = FRAME_STEPS,
    temporal_weight: float = TEMPORAL_WEIGHT,
    passes: int = 1,
    flow: OpticalFlow | None = None,
    crf: int | None = None,
    resume: bool = False,
    config: StyleTransferConfig | None = None,
    preset: str | None = None,
    callback: FilmCallback | None = None,
    **settings: Any,
) -> FilmResult:
    """Paints a film in the style of a picture, without flicker.

    See `tfnst.FilmPainter` for how frames are held to each other. Sound is kept, and
    frame times, rotation and shape are kept.

    What is painted lies in a folder beside the film, `OUTPUT.parts`, until the film is
    complete. After a break of any kind, `resume=True` goes on from there, and gives
    the frames that the film would have had without it, bit for bit on the same
    machine.

    Args:
        film: what to paint: a path of a file that FFmpeg reads, of an animated GIF,
            WebP or PNG, of a folder of pictures, or a pattern such as
            `frames/%04d.png`.
        style_image: as for `tfnst.stylize`.
        output: where to write: `.mp4`, `.webm`, `.gif` or `.webp`, a folder for
            pictures, or a pattern for them.
        start: seconds from which to paint. Default 0.
        end: seconds up to which to paint; to the end by default.
        every: paints each N-th frame, 1 or more. Default 1.
        rate: frames per second of a folder or pattern of pictures. 24 by default.
        frame_steps: as for `tfnst.FilmPainter`.
        temporal_weight: as for `tfnst.FilmPainter`.
        passes: how many times the film is painted, 1 to 20, from its beginning and
            from its end in turn. Each time, frames start from what they were and from
            the one painted before them. Until the last pass ends, the disk holds each
            frame twice, without loss. Default 1.
        flow: as for `tfnst.FilmPainter`.
        crf: quality of MP4 (0 to 51) and WebM (0 to 63), the lower the better. 17 and
            22 by default.
        resume: goes on with a film that wasn't finished. If there is none, it begins.
        config: as for `tfnst.FilmPainter`.
        preset: as for `tfnst.stylize`.
        callback: called with a FilmProgress after each frame and about twice a second
            within one; it may call `progress.stop()`.
        **settings: fields of StyleTransferConfig that override `config` and `preset`.

    Returns:
        FilmResult. If the callback stops it, the film holds the frames so far, and can
        be resumed.

    Raises:
        ValueError: for bad settings, films or pictures; the message names the
            argument.
        OSError: if a file can't be read or written.
        ImportError: if PyAV or OpenCV is needed and isn't installed.
        MemoryError: if the frames are too large for the machine.
    """
    config = build_config(config, preset, settings)
    check_film_config(config)
    start = check_number("start", start, expected="seconds, 0 or more", low=0)
    if end is not None:
        end = check_number("end", end, expected="seconds after `start`", above=start)
    every = check_integer("every", every, 1)
    passes = check_integer("passes", passes, 1, MAX_PASSES)
    kind = check_film_output(output, film=film)
    check_outputs(style_paths(style_images(style_image)), [("output", output)])
    folder = parts_folder(output)
    if os.path.lexists(folder) and not resume:
        if is_locked(folder):
            raise folder_in_use(folder)
        raise argument_error(
            "resume",
            f"true to go on with the film in {show_path(folder)}; remove that folder "
            "to begin anew",
            "False",
        )
    painter = FilmPainter(
        style_image,
        frame_steps=frame_steps,
        temporal_weight=temporal_weight,
        flow=flow,
        config=config,
    )
    cut: dict[str, Any] = {"start": start, "end": end, "every": every}
    with (
        open_film(film, rate=rate) as reader,
        FilmParts(
            folder,
            kind=kind,
            rate=reader.info.rate / every,
            time_base=reader.info.time_base,
            description={
                "film": _identity(film),
                "style_image": painter.style_source,
                **cut,
                "rate": rate,
                "frame_steps": frame_steps,
                "temporal_weight": temporal_weight,
                "flow": _describe_flow(painter.flow),
                "config": picture_settings(config.to_dict()),
                "version": __version__,
            },
            crf=crf,
            keep=max(DISTANCES),
            passes=passes,
        ) as parts,
    ):
        if reader.info.has_sound and parts.needs_sound:
            first = next(reader.frames(**cut))
            last: float | Fraction | None = end
            if last is None and reader.info.duration is not None:
                # Some films are longer than their files say.
                last = 2 * reader.info.duration + 60
            parts.add_sound(
                film,
                origin=reader.info.origin,
                start=first.time,
                end=None if last is None else Fraction(last),
            )
        work = _Work(reader, painter, parts, callback, cut, passes)
        work.paint()
        complete = not work.stopped
        if complete or parts.frames:
            texts = {"comment": json.dumps({"tfnst": __version__, **config.to_dict()})}
            if reader.info.title is not None:
                texts["title"] = reader.info.title
            parts.finish(output, complete=complete, metadata=texts)
        return work.result(os.fspath(output), complete, config)


def parts_folder(output: str | os.PathLike[str]) -> str:
    """Where a film is kept until it is complete."""
    with argument("output"):
        check_path(output)
    return os.path.normpath(os.fspath(output)).replace("%", "") + PARTS_SUFFIX


class _Work:
    """The painting of a film's frames, one after the other.

    Args:
        reader: the film.
        painter: paints its frames.
        parts: where they are kept.
        callback: as for `stylize_video`.
        cut: `start`, `end` and `every`.
        passes: over the film.
    """

    def __init__(
        self,
        reader: FilmReader,
        painter: FilmPainter,
        parts: FilmParts,
        callback: FilmCallback | None,
        cut: dict[str, Any],
        passes: int,
    ) -> None:
        self._reader, self._painter, self._parts = reader, painter, parts
        self._callback, self._cut = callback, cut
        self._began = time.perf_counter()
        self._frames = count_frames(reader.info, **cut)
        self._passes = passes
        self._shots = self._begun = self._painted = self._steps = 0
        self._still = 0.0
        self._shape = (0, 0)
        self.stopped = False

    def paint(self) -> None:
        """Paints what isn't painted yet, or until the callback stops it."""
        while not self.stopped:
            self._paint_pass()
            if not self._parts.end_pass():
                break

    def _paint_pass(self) -> None:
        for frame, earlier in self._frames_left():
            painted = self._painter.paint(frame.picture, self._within, painted=earlier)
            if self.stopped and painted.result is not None and painted.result.stopped:
                # A frame that was cut short is painted again when the film goes on.
                return
            past, traces = self._painter.past, self._painter.traces
            assert traces is not None
            self._parts.append(
                dataclasses.replace(frame, picture=painted.picture),
                FrameState(np.dstack(traces), tuple(each.shot for each in past)),
                past[-1].frame.picture if self._passes > 1 else None,
            )
            self._painted += 1
            self._begun += painted.cut
            self._shots += painted.cut and earlier is None
            self._still += painted.still
            if painted.result is not None:
                self._steps += len(painted.result.losses)
            self._shape = painted.picture.shape[:2]
            self._tell(None, painted.picture)
            if self.stopped:
                return

    def result(
        self, output: str, complete: bool, config: StyleTransferConfig
    ) -> FilmResult:
        """What became of it."""
        going_on = self._painted - self._begun
        height, width = self._shape
        return FilmResult(
            output=output,
            frames=self._parts.frames,
            painted=self._painted,
            shots=self._shots,
            still=self._still / going_on if going_on else 0.0,
            steps=self._steps,
            seconds=time.perf_counter() - self._began,
            complete=complete,
            width=width,
            height=height,
            config=config,
        )

    def _frames_left(self) -> Iterator[tuple[Frame, np.ndarray | None]]:
        """The frames of the pass, after its last painted ones have been remembered.

        Each comes with what the pass before has painted.
        """
        parts, state = self._parts, self._parts.last_state()
        shots = () if state is None else state.past
        first = parts.frames_done - len(shots)
        self._painter.begin_pass(parts.number(first), backward=parts.backward)
        frames: Iterator[tuple[Frame, np.ndarray | None]]
        if parts.pass_number:
            before = parts.last_sources(len(shots))
            frames = (
                (dataclasses.replace(frame, picture=source), frame.picture)
                for frame, source in parts.next_frames()
            )
        else:
            read = self._reader.frames(**self._cut, skip=first)
            before = [next(read).picture for _ in shots]
            frames = ((frame, None) for frame in read)
        if state is not None:
            painted, remembered = parts.last_pictures(len(shots)), state.picture
            traces = Traces(remembered[..., :3], remembered[..., 3])
            self._painter.resume(before, painted, shots, traces)
            self._shape = remembered.shape[:2]
        return frames

    def _within(self, run: TransferProgress) -> None:
        self._tell(run, None)
        if self.stopped:
            run.stop()

    def _tell(self, run: TransferProgress | None, picture: np.ndarray | None) -> None:
        if self._callback is None:
            return
        parts, frames = self._parts, self._frames
        if parts.pass_number:
            frames = parts.frames
        progress = FilmProgress(
            parts.pass_number * parts.frames + parts.frames_done,
            None if frames is None else frames * self._passes,
            time.perf_counter() - self._began,
            run,
            picture,
        )
        self._callback(progress)
        self.stopped |= progress.stopped


def count_frames(
    info: FilmInfo, *, start: float, end: float | None, every: int
) -> int | None:
    """About how many frames will be painted, if the film says how long it is."""
    whole = info.duration
    if whole is None and info.frames is not None:
        whole = Fraction(info.frames) / info.rate
    if whole is None and end is None:
        return None
    last = min(float(x) for x in (whole, end) if x is not None)
    frames = math.ceil(round(max(0.0, last - start) * float(info.rate), 3))
    return -(-frames // every)


def _identity(film: str | os.PathLike[str]) -> list[Any]:
    """Name, size and time of change of a film, by which a resumed run knows it."""
    status = os.stat(film) if os.path.exists(film) else None
    name = os.path.basename(os.path.normpath(os.fspath(film)))
    if status is None or os.path.isdir(film):
        return [name]
    return [name, status.st_size, status.st_mtime_ns]


def _describe_flow(flow: OpticalFlow) -> str:
    """What a resumed run must find the motion by, too."""
    if isinstance(flow, FlowFiles):
        return f"files in {os.path.abspath(flow.folder)}"
    return type(flow).__name__
