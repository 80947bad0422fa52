"""stylize_video(): a film in, a painted film out."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tfnst.checks import ArgumentError, argument, check_integer
from tfnst.config import (
    FRAME_STEPS,
    TEMPORAL_WEIGHT,
    StyleTransferConfig,
    build_config,
    picture_settings,
)
from tfnst.eager import eagerly
from tfnst.files import check_path
from tfnst.images.arrays import to_integers
from tfnst.images.style_images import style_images, style_paths
from tfnst.paths import check_outputs
from tfnst.transfer.network_style import NetworkStyle
from tfnst.transfer.progress import TransferProgress
from tfnst.transfer.style_network import check_painting_settings, find_networks
from tfnst.version import __version__
from tfnst.video.encoding import FORMATS, FilmFormat, FilmWriter
from tfnst.video.flow import FlowFiles, OpticalFlow
from tfnst.video.frame_folder import FrameFolder, FrameState
from tfnst.video.frame_range import FrameRange
from tfnst.video.frames import Frame
from tfnst.video.outputs import check_film_output
from tfnst.video.painting import FilmPainter, PaintedFrame, check_film_config
from tfnst.video.reading import FilmReader, open_film
from tfnst.video.sound import Track, prepare_sound

PARTS_SUFFIX = ".parts"
MAX_PASSES = 20


@dataclasses.dataclass
class FilmProgress:
    """Progress of a film; passed to the callback.

    Attributes:
        frames_done: number of painted frames, counted in each pass.
        frames: number of frames in all, counted in each pass; None if the film doesn't
            say.
        seconds: seconds since the work began.
        run: progress of the frame that is being painted; None after a frame.
        picture: the frame that has just been painted, uint8 [H, W, 3]; None within
            one.
        encoded: share of the frames that are encoded, once no more are painted; else
            None.
        stopped: whether the callback has asked for the film to end.
    """

    frames_done: int
    frames: int | None
    seconds: float
    run: TransferProgress | None = None
    picture: np.ndarray | None = None
    encoded: float | None = None
    stopped: bool = dataclasses.field(default=False, init=False)

    def stop(self) -> None:
        """Ends the film before the next frame."""
        self.stopped = True


FilmCallback = Callable[[FilmProgress], None]


@dataclasses.dataclass(frozen=True)
class FilmResult:
    """Outcome of `stylize_video`.

    Attributes:
        output: path of the painted film.
        frames: number of frames in it.
        painted: number of frames that were painted by this call, counted in each pass.
        shots: number of these that begin a scene, the first frame among them; 0 for a
            network, which looks for none.
        still: mean share of the pixels of the others that stood still.
        steps: number of gradient steps that this call has taken.
        seconds: seconds that this call has taken.
        complete: whether the film was painted to its end.
        width: width of its frames.
        height: height of its frames.
        config: settings of the film.
        network: name and SHA-256 of the network that painted it, or a list if there
            were several; None if its frames were optimised.
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
    network: Any = None


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

    Painted frames lie in a folder beside the film, `OUTPUT.parts`, until the film is
    complete. After a break of any kind, `resume=True` goes on from there, and gives
    the frames that the film would have had without it, bit for bit on the same
    machine.

    A network that has learned the style paints each frame at once. Frames then go
    straight into the painted film, and nothing else is kept on the disk; of the
    arguments of a run, `frame_steps`, `temporal_weight`, `passes`, `flow` and `resume`
    must be left out.

    Args:
        film: path of the film to paint: of a file that FFmpeg reads, of an animated
            GIF, WebP or PNG, of a folder of pictures, or a pattern such as
            `frames/%04d.png`.
        style_image: as for `tfnst.stylize`, networks included.
        output: path of the painted film: `.mp4`, `.webm`, `.gif` or `.webp`, a folder
            for pictures, or a pattern for them.
        start: time in seconds from which to paint. Default 0.
        end: time in seconds up to which to paint; to the end by default.
        every: paints each N-th frame, 1 or more. Default 1.
        rate: frames per second of a folder or pattern of pictures. 24 by default.
        frame_steps: as for `tfnst.FilmPainter`.
        temporal_weight: as for `tfnst.FilmPainter`.
        passes: number of times that the film is painted, 1 to 20, from its beginning
            and from its end in turn. Each time, frames start from what they were and
            from the one painted before them. Until the last pass ends, the disk holds
            each frame twice, without loss. Default 1.
        flow: as for `tfnst.FilmPainter`.
        crf: quality of MP4 (0 to 51) and WebM (0 to 63), the lower the better. 17 and
            22 by default.
        resume: goes on with a film that wasn't finished. If there is none, it begins.
        config: as for `tfnst.FilmPainter`.
        preset: as for `tfnst.stylize`.
        callback: function called with a FilmProgress after each frame and about twice
            a second within one; it may call `progress.stop()`. It is also called while
            the film is encoded.
        **settings: fields of StyleTransferConfig that override `config` and `preset`.

    Returns:
        FilmResult. If the callback stops it, the film holds the frames so far, and can
        be resumed unless a network paints it.

    Raises:
        ValueError: for bad settings, films or pictures; the message names the
            argument.
        OSError: if a file can't be read or written.
        ImportError: if PyAV or OpenCV is needed and isn't installed.
        MemoryError: if the frames are too large for the machine.
    """
    config = build_config(config, preset, settings)
    networks = find_networks(style_image)
    if networks is None:
        check_film_config(config)
    else:
        _check_at_once(
            config,
            frame_steps=(frame_steps, FRAME_STEPS),
            temporal_weight=(temporal_weight, TEMPORAL_WEIGHT),
            passes=(passes, 1),
            flow=(flow, None),
            resume=(resume, False),
        )
    range = FrameRange(start, end, every)
    passes = check_integer("passes", passes, 1, MAX_PASSES)
    format = FORMATS[check_film_output(output, film=film)]
    if crf is not None:
        check_integer("crf", crf, 0, format.max_crf)
    check_outputs(style_paths(style_images(style_image)), [("output", output)])
    if networks is not None:
        style = NetworkStyle(networks)
        with open_film(film, rate=rate) as reader:
            tally = _Tally(callback)
            frames = _FramesAtOnce(reader, range, style, config, tally)
            with tempfile.TemporaryDirectory() as sounds:
                tracks = prepare_sound(sounds, film, reader, range, format)
                writer = _writer(
                    format, reader, range, crf, tracks, config, style.source
                )
                with argument("output"):
                    writer.write(output, frames)
            return tally.result(output, tally.painted, config, style.source)
    painter = FilmPainter(
        style_image,
        frame_steps=frame_steps,
        temporal_weight=temporal_weight,
        flow=flow,
        config=config,
    )
    described = {
        "film": _identity(film),
        "style_image": painter.style_source,
        **vars(range),
        "rate": rate,
        "frame_steps": frame_steps,
        "temporal_weight": temporal_weight,
        "flow": _describe_flow(painter.flow),
        **picture_settings(config.to_dict()),
        "version": __version__,
    }
    with (
        open_film(film, rate=rate) as reader,
        FrameFolder(
            parts_folder(output), run=described, passes=passes, resume=resume
        ) as folder,
    ):
        info = reader.info
        folder.check_room(
            range.count(info),
            painter.painted_sides(info.height, info.width),
            pictures=not format.encoder,
        )
        tracks = prepare_sound(folder.path, film, reader, range, format)
        tally = _Tally(callback)
        run = _FilmRun(reader, range, painter, folder, passes, tally)
        run.paint()
        if folder.frames:
            writer = _writer(format, reader, range, crf, tracks, config)
            writer = dataclasses.replace(
                writer, callback=run.tell_encoded, folder=folder.path
            )
            with argument("output"):
                writer.write(output, folder)
        result = tally.result(output, folder.frames, config)
        if result.complete:
            folder.close(remove=True)
        return result


def _check_at_once(config: StyleTransferConfig, **options: tuple[Any, Any]) -> None:
    """Checks that all that only a run uses is left out; options have their defaults."""
    check_painting_settings(config)
    for name, (value, default) in options.items():
        if value != default:
            raise ArgumentError(
                "no effect where a network paints each frame at once; leave it out",
                repr(value),
                argument=name,
                verb="has",
            )


def _writer(
    format: FilmFormat,
    reader: FilmReader,
    range: FrameRange,
    crf: int | None,
    tracks: Sequence[Track],
    config: StyleTransferConfig,
    network: Any = None,
) -> FilmWriter:
    """The writer of a painted film; it also stores the settings in it."""
    settings = {"tfnst": __version__, **config.to_dict()}
    if network is not None:
        settings["network"] = network
    texts = {"comment": json.dumps(settings)}
    if reader.info.title is not None:
        texts["title"] = reader.info.title
    return FilmWriter(
        format,
        rate=reader.info.rate / range.every,
        time_base=reader.info.time_base,
        crf=crf,
        tracks=tracks,
        metadata=texts,
    )


def parts_folder(output: str | os.PathLike[str]) -> str:
    """Returns the folder in which a film is kept until it is complete."""
    with argument("output"):
        check_path(output)
    return os.path.normpath(os.fspath(output)).replace("%", "") + PARTS_SUFFIX


class _Tally:
    """Counts what is painted of a film, and tells the callback of it.

    Args:
        callback: as for `stylize_video`.

    Attributes:
        painted: number of frames that were painted, counted in each pass.
        shape: height and width of the painted frames.
        stopped: whether the callback has stopped the film.
    """

    def __init__(self, callback: FilmCallback | None) -> None:
        self._callback, self._began = callback, time.perf_counter()
        self.painted, self.shape, self.stopped = 0, (0, 0), False
        # Numbers of frames that begin a scene, in all passes and in the first one, and
        # of steps.
        self._begun = self._scenes = self._steps = 0
        self._still = 0.0

    def add(self, frame: PaintedFrame, *, is_first_pass: bool) -> None:
        """Counts a frame that was painted by a run."""
        self.painted += 1
        self._begun += frame.cut
        self._scenes += frame.cut and is_first_pass
        self._still += frame.still
        if frame.result is not None:
            self._steps += len(frame.result.losses)
        self.shape = frame.picture.shape[:2]

    def call_back(self, done: int, frames: int | None, **now: Any) -> None:
        """Tells the callback how far the film is; the fields are FilmProgress's."""
        if self._callback is None:
            return
        seconds = time.perf_counter() - self._began
        progress = FilmProgress(done, frames, seconds, **now)
        self._callback(progress)
        # What is encoded is kept, and there is nothing else to stop then.
        self.stopped |= progress.stopped and progress.encoded is None

    def result(
        self,
        output: str | os.PathLike[str],
        frames: int,
        config: StyleTransferConfig,
        network: Any = None,
    ) -> FilmResult:
        """Returns the outcome; the arguments are fields of FilmResult."""
        going_on = self.painted - self._begun
        height, width = self.shape
        return FilmResult(
            output=os.fspath(output),
            frames=frames,
            painted=self.painted,
            shots=self._scenes,
            still=self._still / going_on if going_on else 0.0,
            steps=self._steps,
            seconds=time.perf_counter() - self._began,
            complete=not self.stopped,
            width=width,
            height=height,
            config=config,
            network=network,
        )


class _FilmRun:
    """Paints a film's frames, one after the other.

    Args:
        reader: the film.
        range: range of its frames.
        painter: painter of the frames.
        folder: folder for the painted frames.
        passes: number of passes over the film.
        tally: counts the frames, and tells the callback.
    """

    def __init__(
        self,
        reader: FilmReader,
        range: FrameRange,
        painter: FilmPainter,
        folder: FrameFolder,
        passes: int,
        tally: _Tally,
    ) -> None:
        self._reader, self._range = reader, range
        self._painter, self._folder = painter, folder
        self._passes, self._tally = passes, tally
        self._frames = range.count(reader.info)

    def paint(self) -> None:
        """Paints what isn't painted yet, or until the callback stops it."""
        self._paint_pass()
        while not self._tally.stopped and self._folder.end_pass():
            self._paint_pass()

    def _paint_pass(self) -> None:
        folder, painter, tally = self._folder, self._painter, self._tally
        for frame in self._resume():
            earlier = folder[frame.number].picture if folder.pass_number else None
            painted = painter.paint(frame.picture, self._within, painted=earlier)
            if tally.stopped and painted.result is not None and painted.result.stopped:
                # A frame that was cut short is painted again when the film goes on.
                return
            assert painter.traces is not None
            folder.append(
                dataclasses.replace(frame, picture=painted.picture),
                painter.past[-1].frame.picture,
                FrameState(painter.traces, tuple(x.scene for x in painter.past)),
            )
            tally.add(painted, is_first_pass=earlier is None)
            self._call_back(picture=painted.picture)
            if tally.stopped:
                return

    def _resume(self) -> Iterator[Frame]:
        """Yields the frames of the pass that aren't painted yet.

        Before the first one, the painter is given the last ones that are painted.
        """
        folder, state = self._folder, self._folder.state
        scenes = () if state is None else state.scenes
        first = folder.frames_done - len(scenes)
        self._painter.begin_pass(folder.number(first), backward=folder.backward)
        frames = self._sources(first)
        if state is not None:
            before = [next(frames) for _ in scenes]
            self._painter.resume(
                [frame.picture for frame in before],
                [folder[frame.number].picture for frame in before],
                scenes,
                state.traces,
            )
            self._tally.shape = state.traces.steps.shape
        return frames

    def _sources(self, first: int) -> Iterator[Frame]:
        """Yields the frames to paint in the pass, after so many others."""
        folder = self._folder
        if not folder.pass_number:
            return self._reader.frames(self._range, skip=first)
        numbers = [folder.number(done) for done in range(first, folder.frames)]
        return map(folder.source, numbers)

    def tell_encoded(self, written: int) -> None:
        """Tells the callback how many frames are encoded."""
        self._call_back(encoded=written / self._folder.frames)

    def _within(self, run: TransferProgress) -> None:
        self._call_back(run=run)
        if self._tally.stopped:
            run.stop()

    def _call_back(self, **now: Any) -> None:
        folder, frames = self._folder, self._frames
        if folder.pass_number:
            frames = folder.frames
        self._tally.call_back(
            folder.pass_number * folder.frames + folder.frames_done,
            None if frames is None else frames * self._passes,
            **now,
        )


class _FramesAtOnce(Sequence[Frame]):
    """A film's frames, each painted by a network when it is asked for; none is kept.

    Args:
        reader: the film.
        range: range of its frames.
        style: the style that the network has learned.
        config: the settings.
        tally: counts the frames that are asked for in their order, and tells the
            callback.
    """

    def __init__(
        self,
        reader: FilmReader,
        range: FrameRange,
        style: NetworkStyle,
        config: StyleTransferConfig,
        tally: _Tally,
    ) -> None:
        self._reader, self._range = reader, range
        self._style, self._config = style, config
        self._tally = tally

    @functools.cached_property
    def _count(self) -> int:
        return sum(1 for _ in self._reader.frames(self._range))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: Any) -> Any:
        number = range(len(self))[number]
        return self._paint(next(self._reader.frames(self._range, skip=number)))

    def __iter__(self) -> Iterator[Frame]:
        count, tally = self._range.count(self._reader.info), self._tally
        # The film may be written once more, without its sound.
        tally.stopped = False
        for frame in self._reader.frames(self._range):
            painted = self._paint(frame)
            tally.painted, tally.shape = frame.number + 1, painted.picture.shape[:2]
            tally.call_back(tally.painted, count, picture=painted.picture)
            yield painted
            if tally.stopped:
                return

    def _paint(self, frame: Frame) -> Frame:
        result = self._style.stylize(frame.picture, self._config)
        return dataclasses.replace(frame, picture=to_integers(result.array))


def _identity(film: str | os.PathLike[str]) -> list[Any]:
    """Name, size and time of change of a film, by which a resumed run knows it."""
    status = os.stat(film) if os.path.exists(film) else None
    name = os.path.basename(os.path.normpath(os.fspath(film)))
    if status is None or os.path.isdir(film):
        return [name]
    return [name, status.st_size, status.st_mtime_ns]


def _describe_flow(flow: OpticalFlow) -> str:
    """Describes a flow, by which a resumed run knows it."""
    if isinstance(flow, FlowFiles):
        return f"files in {os.path.abspath(flow.folder)}"
    return type(flow).__name__
