"""`tfnst batch`."""

from __future__ import annotations

import sys

import click

from tfnst.cli.options import config_options, read_settings, saving_options
from tfnst.cli.terminal import EXIT_FAILED, EXIT_INTERRUPTED, quiet_start, say


@click.command()
@click.argument("contents", type=click.Path(), nargs=-1, metavar="CONTENT...")
@click.option(
    "-s",
    "--style",
    "styles",
    type=click.Path(),
    multiple=True,
    metavar="FILE",
    help="Whose style; may be repeated, for every content in every style.",
)
@click.option(
    "--pairs",
    type=click.Path(),
    metavar="FILE",
    help="CSV file with the columns content and style, in place of the above.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    metavar="DIR",
    help="Folder for the pictures, CONTENT_STYLE.png.",
)
@click.option(
    "--suffix", metavar=".png|.jpg|...", help="Of the files; .png by default."
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    metavar="N",
    help="Most pictures of one size to paint together; by default what suits the "
    "device.",
)
@click.option(
    "--report",
    type=click.Path(),
    metavar="FILE",
    help="What became of each picture, as JSON; report.json in DIR by default.",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    help="This process, or a Ray cluster's.  [default: local]",
)
@click.option("--address", metavar="HOST", help="Of the Ray cluster; else one here.")
@click.option("--workers", type=click.IntRange(min=1), help="Most Ray workers.")
@click.option(
    "--cpus", type=float, default=1.0, help="Of each Ray worker.  [default: 1]"
)
@click.option(
    "--gpus", type=float, default=0.0, help="Of each Ray worker.  [default: 0]"
)
@saving_options
@config_options
def batch(
    contents, styles, pairs, output, suffix, batch_size, report, engine, address,
    workers, cpus, gpus, bits, keep_gps, **settings,
):  # fmt: skip
    """Paints every CONTENT, files or folders of them, in every style.

    Pictures that are in DIR already are not painted again, so a batch that was
    stopped can be started anew. One that fails doesn't stop the others.
    """
    config, init_image = read_settings(settings)
    if init_image is not None:
        config = config.replace(init_image=init_image)
    with quiet_start():
        from tfnst.batch import storage
        from tfnst.batch.items import FAILED, LEFT
        from tfnst.batch.planning import plan_items
        from tfnst.batch.report import count, write_report
        from tfnst.batch.sources import find_pictures, read_pairs
        from tfnst.cli.progress import BatchBars
        from tfnst.images.save_options import SaveOptions
    if pairs is None:
        contents = find_pictures(contents)
    elif contents or styles:
        raise click.UsageError("--pairs is in place of CONTENT and --style")
    else:
        contents, styles = read_pairs(pairs)
    saving = SaveOptions(bits=int(bits), keep_gps=keep_gps)
    items = plan_items(
        contents,
        styles,
        output,
        pairs=pairs is not None,
        suffix=suffix or ".png",
        saving=saving,
    )
    report = storage.join(output, "report.json") if report is None else report
    storage.make_folder(storage.parent(report))
    with storage.LocalCopy(report) as path:
        write_report(items, path)
    with BatchBars() as bars:
        try:
            if engine == "ray":
                from tfnst.batch import ray_workers

                ray_workers.paint_items(
                    items, config, address=address, workers=workers, cpus=cpus,
                    gpus=gpus, saving=saving, callback=bars.update,
                )  # fmt: skip
            else:
                from tfnst.batch.painter import BatchPainter

                BatchPainter(
                    config, batch_size=batch_size, saving=saving, callback=bars.update
                ).paint(items)
        finally:
            bars.close()
            with storage.LocalCopy(report) as path:
                write_report(items, path)
    counts = count(items)
    for item in items:
        if item.status == FAILED:
            say(f"failed: {item.output}: {item.error}")
    click.echo(
        f"{output}: {', '.join(f'{n} {status}' for status, n in counts.items() if n)}"
        f"; {report}"
    )
    if counts[LEFT]:
        sys.exit(EXIT_INTERRUPTED)
    if counts[FAILED]:
        sys.exit(EXIT_FAILED)
