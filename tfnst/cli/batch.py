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
    """The pictures of a batch and where they go; the fields are the options."""

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
            saving: how they are saved.
            report: where the report will be.
            sheet: where the contact sheet will be, if there is to be one.

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
            help="Style image, or a folder of them; repeat it to paint every content "
            "in every style.",
        ),
        file_option(
            "--pairs",
            help="CSV file with the columns content and style, instead of CONTENT and "
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
            help="Format of the pictures.  [default: .png]",
        ),
    )


@dataclasses.dataclass(frozen=True)
class Workers:
    """What paints a batch; the fields are the options."""

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
        """Paints items, and notes in each what became of it."""
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
    """Adds the options for what paints a batch, received as `workers`."""
    return add_options(
        grouped(command, "workers", Workers),
        click.option(
            "--batch-size",
            type=click.IntRange(min=1),
            metavar="N",
            help="Most pictures of one size to paint together; by default what suits "
            "the device.",
        ),
        click.option(
            "--engine",
            type=click.Choice(["local", "ray"]),
            default="local",
            help="Paint in this process or on a Ray cluster.  [default: local]",
        ),
        click.option(
            "--address",
            metavar="HOST",
            help="Address of the Ray cluster; by default one is started here.",
        ),
        click.option(
            "--workers",
            type=click.IntRange(min=1),
            metavar="N",
            help="Most Ray workers.",
        ),
        click.option(
            "--cpus",
            type=float,
            default=1.0,
            metavar="X",
            help="CPUs per Ray worker.  [default: 1]",
        ),
        click.option(
            "--gpus",
            type=float,
            default=0.0,
            metavar="X",
            help="GPUs per Ray worker.  [default: 0]",
        ),
    )


@click.command(short_help="Paints many pictures.")
@picture_options
@file_option(
    "--report",
    help="Where to write what became of each picture, as JSON; report.json in DIR by "
    "default.",
)
@file_option(
    "--contact-sheet",
    "sheet",
    help="Also write all pictures, small and with their names, into one.",
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

    Pictures that are already in DIR are skipped, so a batch that was stopped can be
    started again. A picture that fails doesn't stop the others.
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
    """Writes the report when a batch begins and however it ends."""
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
    """Writes the contact sheet; warns where it can't, or there is nothing to show."""
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
    """Says what became of a batch, and ends the command with the code for it."""
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
