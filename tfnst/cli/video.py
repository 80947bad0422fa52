"""`tfnst video`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tfnst.cli.options import config_options, cut_options, file_option, number_option
from tfnst.cli.reporting import reporting, reporting_options
from tfnst.cli.settings import read_config, setting_files
from tfnst.cli.styles import style_arguments
from tfnst.cli.terminal import quiet_start
from tfnst.config import FRAME_STEPS, TEMPORAL_WEIGHT
from tfnst.paths import check_outputs, named_paths
from tfnst.processor import prefer_onednn

if TYPE_CHECKING:
    from tfnst.images.style_images import StyleImage
    from tfnst.video.video import FilmProgress, FilmResult

# Size in pixels and length of a video for --preview.
_PREVIEW_SIZE, _PREVIEW_SECONDS = 256, 2.0


@click.command(short_help="Paints a video.")
@click.argument("film_path", metavar="IN", type=click.Path())
@style_arguments
@file_option(
    "-o",
    "--output",
    required=True,
    help="File for the video (.mp4, .webm, .gif or .webp), or a folder or a pattern "
    "such as frames/%05d.png for its frames.",
)
@cut_options
@number_option(
    "--rate",
    type=float,
    help="Frames per second if IN is a folder or a pattern of pictures; by default 24.",
)
@number_option(
    "--frame-steps",
    type=click.IntRange(1, 1000),
    default=FRAME_STEPS,
    help="Gradient steps for each frame but the first of a scene.",
)
@number_option(
    "--temporal-weight",
    type=float,
    default=TEMPORAL_WEIGHT,
    help="Weight of the loss that holds a frame to the previous ones.",
)
@number_option(
    "--passes",
    type=click.IntRange(1, 20),
    default=1,
    help="Number of passes over the video: forward, backward and so on.",
)
@number_option(
    "--crf",
    help="Constant rate factor of the encoder; lower is better. By default 17 for MP4, "
    "22 for WebM.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Continue a video that was interrupted.",
)
@file_option(
    "--flow",
    metavar="DIR",
    help="Folder with precomputed optical flow: flow_A_B.flo is the motion from frame "
    "A to frame B. By default OpenCV estimates it.",
)
@click.option(
    "--preview",
    is_flag=True,
    help="Paint only 2 seconds, with a long side of at most 256 pixels.",
)
@reporting_options
@config_options
def video(
    film_path: str,
    style: list[StyleImage],
    output: str,
    end: float | None,
    flow: str | None,
    preview: bool,
    options: dict[str, Any],
    **others: Any,
) -> None:
    """Paints the video IN in the style of STYLE, without flicker.

    IN is a video, an animated GIF or WebP, a folder of pictures or a pattern such as
    'frames/%04d.png'. Settings of steps and scales apply to the first frame of a scene;
    --init-image FILE and --max-time don't apply to videos. Ctrl-C leaves a video of the
    frames so far, which --resume completes. A network from `tfnst train` as STYLE
    paints each frame at once; it has no steps, and nothing to resume.
    """
    config = read_config(options)
    inputs = named_paths(("film", film_path)) + setting_files(options, config)
    check_outputs(inputs, [("output", output)])
    if preview:
        config = config.replace(size=min(config.size, _PREVIEW_SIZE))
        last = others["start"] + _PREVIEW_SECONDS
        end = last if end is None else min(end, last)
    prefer_onednn()
    with quiet_start():
        from tfnst.cli.progress import CountBar, stoppable
        from tfnst.video.flow import FlowFiles
        from tfnst.video.video import stylize_video
    with stoppable(CountBar(_count, unit=" frames")) as callback:
        result = stylize_video(
            film_path,
            style,
            output,
            end=end,
            config=config,
            flow=None if flow is None else FlowFiles(flow),
            callback=callback,
            **others,
        )
    _report(result)


def _count(progress: FilmProgress) -> tuple[int, int | None, str]:
    encoded = progress.encoded
    description = "" if encoded is None else f"encoding {encoded:.0%}"
    return progress.frames_done, progress.frames, description


def _report(result: FilmResult) -> None:
    """Reports a video; ends the command if the video was interrupted."""
    names = "output width height frames painted shots steps seconds complete network"
    facts = {name: getattr(result, name) for name in names.split()}
    facts["config"] = result.config.to_dict()
    report = reporting()
    if not result.complete:
        kept = "no frame was finished"
        if result.frames:
            kept = f"the {result.frames} frames so far are {result.output}"
            if result.network is None:
                kept += "; --resume continues"
        report.interrupted(facts, f"stopped; {kept}")
    scenes = f", {result.shots} of them the first of a scene"
    report.tell(
        facts,
        f"{result.output}: {result.frames} frames of {result.width}x{result.height} "
        f"pixels in {result.seconds:.0f} s{scenes if result.network is None else ''}",
    )
