"""`tfnst batch`."""

from __future__ import annotations

import contextlib
import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from tfnst.checks import argument
from tfnst.cli.options import (
    config_options,
    file_option,
    number_option,
    saving_options,
)
from tfnst.cli.reporting import reporting, reporting_options
from tfnst.cli.settings import read_config
from tfnst.cli.terminal import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    extra_file,
    quiet_start,
    say,
)
from tfnst.images.save_options import SaveOptions
from tfnst.paths import check_outputs, named_paths
from tfnst.processor import prefer_onednn

if TYPE_CHECKING:
    from tfnst.batch.items import BatchItem
    from tfnst.batch.progress import BatchProgress


_BAR = "{n}/{total} pictures|{bar:12}| {elapsed}<{remaining}  {desc}"


@click.command(short_help="Paints many pictures.")
@click.argument("contents", type=click.Path(), nargs=-1, metavar="CONTENT...")
@file_option(
    "-s",
    "--style",
    "styles",
    multiple=True,
    metavar="FILE|DIR",
    help="Style image, network that has learned a style, name of a built-in style, or "
    "a folder of files. With several, every content is painted in every style.",
)
@file_option(
    "--pairs",
    help="CSV file with the columns content and style, in place of CONTENT and "
    "--style.",
)
@file_option(
    "-o",
    "--output",
    required=True,
    metavar="DIR",
    help="Folder for the pictures, which are named CONTENT_STYLE.png.",
)
@click.option(
    "--suffix",
    default=".png",
    metavar=".png|.jpg|...",
    help="Format of the pictures.",
)
@file_option(
    "--report",
    help="JSON report of the batch; by default report.json in DIR.",
)
@file_option(
    "--contact-sheet",
    "sheet",
    help="Also write a contact sheet: small copies of all pictures, with their names.",
)
@number_option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Largest number of pictures of one size to paint together; by default what "
    "suits the device.",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    help="Paint in this process or on a Ray cluster.",
)
@click.option(
    "--address",
    metavar="HOST",
    help="Address of the Ray cluster; by default a local one is started.",
)
@number_option(
    "--workers",
    type=click.IntRange(min=1),
    help="Largest number of Ray workers.",
)
@number_option("--cpus", type=float, default=1, help="CPUs per Ray worker.")
@number_option("--gpus", type=float, default=0, help="GPUs per Ray worker.")
@saving_options
@reporting_options
@config_options
def batch(
    contents: tuple[str, ...],
    styles: tuple[str, ...],
    pairs: str | None,
    output: str,
    suffix: str,
    report: str | None,
    sheet: str | None,
    batch_size: int | None,
    engine: str,
    saving: SaveOptions,
    options: dict[str, Any],
    **cluster: Any,
) -> None:
    """Paints every CONTENT, a file or a folder, in every style.

    Pictures that are already in DIR are skipped, so an interrupted batch can be started
    again. A picture that fails doesn't stop the others.
    """
    config = read_config(options)
    prefer_onednn()
    with quiet_start():
        from tfnst.batch import storage
        from tfnst.batch.contact_sheet import check_contact_sheet
        from tfnst.batch.painter import BatchPainter
        from tfnst.batch.planning import check_settings, plan_items
        from tfnst.cli.progress import CountBar, stoppable
    items = plan_items(
        *_find_sources(contents, styles, pairs, output),
        output,
        pairs=pairs is not None,
        suffix=suffix,
        saving=saving,
    )
    check_settings(items, config)
    path = report or storage.join(output, "report.json")
    sources: list[tuple[str, Any]] = [("pairs", pairs)]
    for item in items:
        sources += [("contents", item.content_image), ("styles", item.style_image)]
        sources += [("output", item.output)]
    written = named_paths(("report", path), ("contact_sheet", sheet))
    check_outputs(named_paths(*sources), written)
    if sheet is not None:
        check_contact_sheet(sheet)
    bar = CountBar(_count, bar_format=_BAR, smoothing=0)
    with stoppable(bar) as callback, _reported(items, path):
        painting: dict[str, Any] = {"saving": saving, "callback": callback}
        if engine == "ray":
            from tfnst.batch import ray_workers

            ray_workers.paint_items(items, config, **painting, **cluster)
        else:
            BatchPainter(config, batch_size=batch_size, **painting).paint(items)
    if sheet is not None:
        _save_sheet(items, sheet, config.size)
    _finish(items, output, path, sheet)


def _find_sources(
    contents: Sequence[str], styles: Sequence[str], pairs: str | None, output: str
) -> tuple[Sequence[Any], Sequence[Any]]:
    """The paths of contents and styles, in folders or in the table of pairs.

    Raises:
        click.UsageError: for contents or styles beside `--pairs`.
        ValueError, OSError: as `find_pictures` and `read_pairs`.
    """
    from tfnst.batch.sources import find_pictures, read_pairs

    if pairs is not None:
        if contents or styles:
            raise click.UsageError("--pairs replaces CONTENT and --style")
        return read_pairs(pairs)
    with argument("contents"):
        found = find_pictures(contents, apart_from=output)
    with argument("styles"):
        return found, find_pictures(styles, apart_from=output, networks=True)


def _count(progress: BatchProgress) -> tuple[int, int, str]:
    """The number of pictures done, of all, and the names of the present ones."""
    names = ", ".join(str(item.output) for item in progress.items)
    return progress.done, progress.total, names


@contextlib.contextmanager
def _reported(items: Sequence[BatchItem], report: str | pathlib.Path) -> Iterator[None]:
    """Writes the report at the beginning of a batch and at its end, however it ends."""
    from tfnst.batch import storage
    from tfnst.batch.report import check_report, write_report

    check_report(report)
    storage.make_folder(storage.parent(report))
    write_report(items, report)
    try:
        yield
    finally:
        with extra_file("the report"):
            write_report(items, report)


def _save_sheet(items: Sequence[BatchItem], sheet: str, size: int) -> None:
    """Writes the contact sheet; warns if that fails or there is nothing to show."""
    from tfnst.batch.contact_sheet import write_contact_sheet
    from tfnst.batch.items import PAINTED, SKIPPED

    if any(item.status in (PAINTED, SKIPPED) for item in items):
        with extra_file("the contact sheet"):
            write_contact_sheet(items, sheet, size=size)
    else:
        say("warning: there is no contact sheet, as no picture was painted")


def _finish(
    items: Sequence[BatchItem],
    output: str,
    report: str | pathlib.Path,
    sheet: str | None,
) -> None:
    """Reports a batch, and ends the command with the code for it."""
    from tfnst.batch.items import FAILED, LEFT
    from tfnst.batch.report import count

    counts = count(items)
    for item in items:
        if item.status == FAILED:
            say(f"failed: {item.output}: {item.error}")
    told = ", ".join(
        f"{number} {status}" for status, number in counts.items() if number
    )
    facts = {"output": output, "report": str(report), "contact_sheet": sheet}
    reporting().tell(
        facts | counts | {"items": [item.to_dict() for item in items]},
        f"{output}: {told}; {report}",
    )
    if counts[LEFT]:
        sys.exit(EXIT_INTERRUPTED)
    if counts[FAILED]:
        sys.exit(EXIT_FAILED)
