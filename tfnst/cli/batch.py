"""`tfnst batch`."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from tfnst.checks import argument
from tfnst.cli.options import (
    Command,
    add_options,
    config_options,
    file_option,
    grouped,
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
from tfnst.config import StyleTransferConfig
from tfnst.paths import check_outputs, named_paths
from tfnst.processor import prefer_onednn

if TYPE_CHECKING:
    from tfnst.batch.items import BatchItem
    from tfnst.batch.painter import BatchCallback
    from tfnst.images.save_options import SaveOptions


@dataclasses.dataclass(frozen=True)
class Pictures:
    """The pictures of a batch and their folder; the fields are the options."""

    contents: tuple[str, ...]
    styles: tuple[str, ...]
    pairs: str | None
    output: str
    suffix: str

    def plan(
        self, saving: SaveOptions, report: str | pathlib.Path, sheet: str | None
    ) -> list[BatchItem]:
        """The items of the batch.

        Args:
            saving: options for saving the pictures.
            report: path of the report.
            sheet: path of the contact sheet; None for none.

        Raises:
            click.UsageError: for contents or styles beside `--pairs`.
            ValueError, OSError: as `find_pictures`, `read_pairs` and `plan_items`.
        """
        from tfnst.batch.planning import plan_items
        from tfnst.batch.sources import find_pictures, read_pairs

        contents: Sequence[Any]
        styles: Sequence[Any]
        if self.pairs is None:
            with argument("contents"):
                contents = find_pictures(self.contents, apart_from=self.output)
            with argument("styles"):
                styles = find_pictures(self.styles, apart_from=self.output)
        elif self.contents or self.styles:
            raise click.UsageError("--pairs replaces CONTENT and --style")
        else:
            contents, styles = read_pairs(self.pairs)
        items = plan_items(
            contents,
            styles,
            self.output,
            pairs=self.pairs is not None,
            suffix=self.suffix,
            saving=saving,
        )
        sources = [
            ("contents", *contents),
            ("styles", *styles),
            ("pairs", self.pairs),
            ("output", *(item.output for item in items)),
        ]
        check_outputs(
            named_paths(*((name, p) for name, *paths in sources for p in paths)),
            named_paths(("report", report), ("contact_sheet", sheet)),
        )
        return items


def picture_options(command: Command) -> Command:
    """Adds the contents, styles and names of a batch, received as `pictures`."""
    return add_options(
        grouped(command, "pictures", Pictures),
        click.argument("contents", type=click.Path(), nargs=-1, metavar="CONTENT..."),
        file_option(
            "-s",
            "--style",
            "styles",
            multiple=True,
            metavar="FILE|DIR",
            help="Style image, or a folder of them. With several, every content is "
            "painted in every style.",
        ),
        file_option(
            "--pairs",
            help="CSV file with the columns content and style, in place of CONTENT and "
            "--style.",
        ),
        file_option(
            "-o",
            "--output",
            required=True,
            metavar="DIR",
            help="Folder for the pictures, which are named CONTENT_STYLE.png.",
        ),
        click.option(
            "--suffix",
            default=".png",
            metavar=".png|.jpg|...",
            help="Format of the pictures.",
        ),
    )


@dataclasses.dataclass(frozen=True)
class Workers:
    """The engine that paints a batch; the fields are the options."""

    batch_size: int | None
    engine: str
    address: str | None
    workers: int | None
    cpus: float
    gpus: float

    def paint(
        self,
        items: Sequence[BatchItem],
        config: StyleTransferConfig,
        saving: SaveOptions,
        callback: BatchCallback,
    ) -> None:
        """Paints items, and sets their status."""
        if self.engine == "ray":
            from tfnst.batch import ray_workers

            ray_workers.paint_items(
                items,
                config,
                address=self.address,
                workers=self.workers,
                cpus=self.cpus,
                gpus=self.gpus,
                saving=saving,
                callback=callback,
            )
            return
        from tfnst.batch.painter import BatchPainter

        painter = BatchPainter(
            config, batch_size=self.batch_size, saving=saving, callback=callback
        )
        painter.paint(items)


def worker_options(command: Command) -> Command:
    """Adds the options for the engine of a batch, received as `workers`."""
    return add_options(
        grouped(command, "workers", Workers),
        number_option(
            "--batch-size",
            type=click.IntRange(min=1),
            help="Largest number of pictures of one size to paint together; by default "
            "what suits the device.",
        ),
        click.option(
            "--engine",
            type=click.Choice(["local", "ray"]),
            default="local",
            help="Paint in this process or on a Ray cluster.",
        ),
        click.option(
            "--address",
            metavar="HOST",
            help="Address of the Ray cluster; by default a local one is started.",
        ),
        number_option(
            "--workers",
            type=click.IntRange(min=1),
            help="Largest number of Ray workers.",
        ),
        number_option(
            "--cpus",
            type=float,
            default=1,
            help="CPUs per Ray worker.",
        ),
        number_option(
            "--gpus",
            type=float,
            default=0,
            help="GPUs per Ray worker.",
        ),
    )


@click.command(short_help="Paints many pictures.")
@picture_options
@file_option(
    "--report",
    help="JSON report of the batch; by default report.json in DIR.",
)
@file_option(
    "--contact-sheet",
    "sheet",
    help="Also write a contact sheet: small copies of all pictures, with their names.",
)
@worker_options
@saving_options
@reporting_options
@config_options
def batch(
    pictures: Pictures,
    report: str | None,
    sheet: str | None,
    workers: Workers,
    saving: SaveOptions,
    **options: Any,
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
        from tfnst.cli.progress import BatchBars
    path = report or storage.join(pictures.output, "report.json")
    items = pictures.plan(saving, path, sheet)
    if sheet is not None:
        check_contact_sheet(sheet)
    with BatchBars() as bars, _reported(items, path):
        workers.paint(items, config, saving, bars.update)
    if sheet is not None:
        _save_sheet(items, sheet, config.size)
    _finish(items, pictures.output, path, sheet)


@contextlib.contextmanager
def _reported(items: Sequence[BatchItem], report: str | pathlib.Path) -> Iterator[None]:
    """Writes the report at the beginning of a batch and at its end, however it ends."""
    from tfnst.batch import storage
    from tfnst.batch.report import check_report, write_report

    check_report(report)
    storage.make_folder(storage.parent(report))
    with storage.LocalCopy(report) as path:
        write_report(items, path)
    try:
        yield
    finally:
        with extra_file("the report"), storage.LocalCopy(report) as path:
            write_report(items, path)


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
