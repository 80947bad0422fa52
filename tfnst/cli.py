"""The `tfnst` command: parse, call, print.

Nothing here imports TensorFlow before a command needs it, so that `--help` is quick.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import pathlib
import sys
import warnings

import click
from tqdm import tqdm

from tfnst import config as config_module
from tfnst.config import StyleTransferConfig
from tfnst.version import __version__

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

_CHOICES = {
    "backbone": config_module.BACKBONES,
    "precision": config_module.PRECISIONS,
    "device": config_module.DEVICES,
    "style_loss": config_module.STYLE_LOSSES,
    "pooling": config_module.POOLINGS,
    "preserve_color": config_module.COLOR_MODES,
    "optimizer": config_module.OPTIMIZERS,
}
_REQUEST_SETTINGS = (
    "content_weight",
    "style_weight",
    "total_variation_weight",
    "learning_rate",
    "steps",
    "size",
    "seed",
)
# An exported step has no tiles, and runs where its server does.
_EXPORT_SETTINGS = tuple(
    field.name
    for field in dataclasses.fields(StyleTransferConfig)
    if field.name not in ("max_memory", "device")
)
_NETWORK_SETTINGS = ("backbone", "weights", "seed")
_TYPES = {"int": (int, "N"), "float": (float, "X")}


def main() -> None:
    """Runs the command; the console script."""
    warnings.showwarning = lambda message, *_, **__: _say(f"warning: {message}")
    try:
        cli.main(standalone_mode=False, prog_name="tfnst")
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _fail(error.format_message(), EXIT_BAD_INPUT)
    except (ValueError, OSError, ImportError) as error:
        _fail(_one_line(error), EXIT_BAD_INPUT)
    except MemoryError as error:
        _fail(_one_line(error) or "out of memory; try a smaller --size", EXIT_FAILED)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted before there was a picture to keep", EXIT_INTERRUPTED)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tfnst")
def cli() -> None:
    """Paints a picture in the style of another one."""


def _config_options(command, names=None, default_of=None):
    """Adds one option for each setting, with the setting's name and default."""
    for field in reversed(dataclasses.fields(StyleTransferConfig)):
        if names is not None and field.name not in names:
            continue
        # The default is shown but not passed on: it lives in StyleTransferConfig.
        shown = field.default
        if isinstance(shown, tuple):
            shown = ",".join(shown)
        settings = {"help": field.metadata["help"], "default": None}
        if default_of is not None:
            settings["help"] += f"  [default: {default_of}]"
        elif shown is not None:
            settings["help"] += f"  [default: {shown}]"
        if field.name in _CHOICES:
            settings["type"] = click.Choice(_CHOICES[field.name])
        elif field.name.endswith(("layers", "layer_weights")):
            settings["metavar"] = "A,B,..."
        elif field.name == "init_image":
            settings["metavar"] = "content|style|noise|FILE"
        elif field.name == "weights":
            settings["metavar"] = "imagenet|none|FILE"
        else:
            settings["type"], settings["metavar"] = _TYPES[field.type.split(" ")[0]]
        option = "--" + field.name.replace("_", "-")
        command = click.option(option, field.name, **settings)(command)
    return command


def _request_options(command):
    """Adds an option for each setting that a request may carry."""
    return _config_options(command, _REQUEST_SETTINGS, "the server's")


def _export_options(command):
    """Adds an option for each setting that an exported model can have."""
    return _config_options(command, _EXPORT_SETTINGS)


def _network_options(command):
    """Adds an option for each setting that says which network looks at pictures."""
    return _config_options(command, _NETWORK_SETTINGS)


def _split_style(text):
    """Path, weight and scale of a style such as `a.jpg:2` or `a.jpg:2:0.5`."""
    if os.path.exists(text):  # Colons may be part of a name.
        return text, 1.0, 1.0
    path, numbers = text, []
    while len(numbers) < 2 and ":" in path:
        head, _, tail = path.rpartition(":")
        try:
            numbers.insert(0, float(tail))
        except ValueError:
            break
        path = head
    return path, *numbers, *[1.0] * (2 - len(numbers))


def _saving_options(command):
    """Adds the options that say what is written into the files of pictures."""
    command = click.option(
        "--keep-gps",
        is_flag=True,
        help="Keep in the Exif data where the photo was taken; by default the rest "
        "is kept and the place is not.",
    )(command)
    return click.option(
        "--bits",
        type=click.Choice(["8", "16"]),
        default="8",
        help="Bits a channel; 16 for PNG and TIFF.  [default: 8]",
    )(command)


def _read_manifest(path, name):
    """How a picture was painted."""
    from tfnst.manifest import read_manifest

    manifest = read_manifest(path, name=name)
    if manifest is None:
        raise ValueError(
            f"`{name}` must be a picture that tfnst has painted. "
            f"Received: {str(path)!r}, in which nothing says so"
        )
    return manifest


def _warn_of_other_pictures(manifest, painted, content, styles):
    from tfnst.manifest import describe_source, without_names
    from tfnst.styles import describe_style

    # What can't be read is soon said by the run.
    with contextlib.suppress(OSError, ValueError):
        sources = [describe_source(part.image) for part in styles]
        for name, now in (
            ("content", describe_source(content)),
            ("style", describe_style(styles, sources)),
        ):
            then = manifest.get(f"{name}_image")
            if then and without_names(then) != without_names(now):
                _say(
                    f"warning: the {name} image is not the one that {painted} was "
                    "painted from"
                )


def _warn_of_another_network(manifest, painted, now):
    told = [
        (each.get("backbone"), _entry(each, "weights", "sha256"))
        for each in (manifest, now)
    ]
    if told[0] != told[1]:
        before, after = (f"{name} (weights {str(sha)[:12]})" for name, sha in told)
        _say(f"warning: {painted} was painted by {before}, this picture by {after}")


def _entry(manifest, name, key):
    """What a manifest holds, whoever may have written it."""
    part = manifest.get(name)
    return part.get(key) if isinstance(part, dict) else None


def _manifest_settings(manifest, init_image):
    """The configuration of a manifest, to which options are added."""
    before = manifest["settings"]
    if not isinstance(before, dict):
        raise ValueError(
            "`from` must be a picture whose settings are known. "
            f"Received: settings of type {type(before).__name__}"
        )
    if before.get("init_image") == "given":
        if init_image is None:
            raise ValueError(
                "`init_image` must be given: the picture was started from one. "
                "Received: None"
            )
        before = before | {"init_image": "content"}
    # Where it runs and in how much memory is no matter of the picture.
    skipped = ("device", "max_memory")
    return StyleTransferConfig().replace(
        **{name: value for name, value in before.items() if name not in skipped}
    )


_DEFAULTS = StyleTransferConfig()


def _read_settings(settings, others=_DEFAULTS):
    """The configuration that the options stand for, and the picture to start from.

    Args:
        settings: the options.
        others: the settings that no option is given for.
    """
    settings = {name: value for name, value in settings.items() if value is not None}
    if settings.get("weights") == "none":
        settings["weights"] = None
    init_image = settings.pop("init_image", None)
    for name in settings:
        if name.endswith(("layers", "layer_weights")):
            settings[name] = tuple(part.strip() for part in settings[name].split(","))
    return others.replace(**settings), init_image


@cli.command()
@click.argument("content", type=click.Path())
@click.argument("styles", metavar="STYLE[:WEIGHT[:SCALE]]...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    metavar="FILE",
    help="Where the picture goes: .png, .jpg, .webp or .tif.",
)
@click.option(
    "--sheet",
    type=click.Path(),
    metavar="FILE",
    help="Also write content, style and result side by side.",
)
@click.option(
    "--save-every",
    type=click.IntRange(min=1),
    metavar="N",
    help="Also write the picture after every N steps, as OUTPUT-STEP.suffix.",
)
@click.option(
    "--checkpoint",
    type=click.Path(),
    metavar="FILE",
    help="Keep the state of the run there, for --resume.",
)
@click.option(
    "--checkpoint-seconds",
    type=click.FloatRange(min=0),
    default=60.0,
    metavar="X",
    help="Between two of them, at least.  [default: 60]",
)
@click.option(
    "--resume",
    type=click.Path(),
    metavar="FILE",
    help="Go on where the run was that kept this file, with its settings.",
)
@click.option(
    "--from",
    "painted",
    type=click.Path(),
    metavar="FILE",
    help="Take the settings from a picture that tfnst has painted; options that are "
    "given go first.",
)
@_saving_options
@_config_options
def stylize(
    content, styles, output, sheet, save_every, checkpoint, checkpoint_seconds, resume,
    painted, bits, keep_gps, **settings,
):  # fmt: skip
    """Paints CONTENT in the style of STYLE, or of several, blended by their weights.

    WEIGHT and SCALE are 1 by default; SCALE multiplies --style-scale.
    """
    # Settings are checked before TensorFlow takes its seconds to load.
    manifest, others = None, _DEFAULTS
    if painted is not None:
        manifest = _read_manifest(painted, "from")
        others = _manifest_settings(manifest, settings["init_image"])
    config, init_image = _read_settings(settings, others)
    given = [_split_style(each) for each in styles]
    saving = {"bits": int(bits), "keep_gps": keep_gps}
    _images().check_output_path(output, name="output", bits=saving["bits"])
    if sheet is not None:
        _images().check_output_path(sheet, name="sheet")

    with _quiet_start():
        from tfnst.progress import RunProgress
        from tfnst.results import NonFiniteLossError
        from tfnst.styles import StyleImage
        from tfnst.transfer import stylize as paint
    if resume is not None:
        from tfnst.checkpoint import load_checkpoint

        there = StyleTransferConfig(**load_checkpoint(resume).settings)
        config, init_image = _read_settings(settings, there)
    style = [StyleImage(image=p, weight=w, scale=s) for p, w, s in given]
    if manifest is not None:
        _warn_of_other_pictures(manifest, painted, content, style)
    progress = RunProgress(pathlib.Path(output), save_every)
    with progress:
        try:
            result = paint(
                content,
                style,
                init_image=init_image,
                config=config,
                callback=progress.update,
                callback_steps=save_every,
                checkpoint=checkpoint,
                checkpoint_seconds=checkpoint_seconds,
                resume=resume,
            )
        except NonFiniteLossError as error:
            progress.close()
            if len(error.result.losses):
                error.result.save(output, name="output", **saving)
                _say(f"the last good picture is {output}")
            _fail(_one_line(error), EXIT_FAILED)
    result.save(output, name="output", **saving)
    if manifest is not None:
        _warn_of_another_network(manifest, painted, result.manifest)
    if sheet is not None:
        from tfnst.sheet import comparison_sheet

        _images().save_image(
            comparison_sheet(content, style, result.image), sheet, name="sheet"
        )
    height, width = result.array.shape[:2]
    steps, seconds = len(result.losses), result.losses["seconds"][-1]
    if result.stopped:
        _say(f"stopped after {steps} steps; the picture so far is {output}")
        sys.exit(EXIT_INTERRUPTED)
    click.echo(
        f"{output}: {width}x{height} pixels, {steps} steps in {seconds:.0f} s "
        f"({result.backbone}, weights from {result.weights.source})"
    )


@cli.command()
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
@_saving_options
@_config_options
def batch(
    contents, styles, pairs, output, suffix, batch_size, report, engine, address,
    workers, cpus, gpus, bits, keep_gps, **settings,
):  # fmt: skip
    """Paints every CONTENT, files or folders of them, in every style.

    Pictures that are in DIR already are not painted again, so a batch that was
    stopped can be started anew. One that fails doesn't stop the others.
    """
    config, init_image = _read_settings(settings)
    if init_image is not None:
        config = config.replace(init_image=init_image)
    with _quiet_start():
        from tfnst import batch_items as batches
        from tfnst import storage
        from tfnst.progress import BatchBars
    if pairs is None:
        contents = batches.find_pictures(contents)
    elif contents or styles:
        raise click.UsageError("--pairs is in place of CONTENT and --style")
    else:
        contents, styles = batches.read_pairs(pairs)
    items = batches.plan_items(
        contents,
        styles,
        output,
        pairs=pairs is not None,
        suffix=suffix or ".png",
        bits=int(bits),
    )
    saving = {"bits": int(bits), "keep_gps": keep_gps}
    report = storage.join(output, "report.json") if report is None else report
    storage.make_folder(storage.parent(report))
    with storage.LocalCopy(report) as path:
        batches.write_report(items, path)
    with BatchBars() as bars:
        try:
            if engine == "ray":
                from tfnst import batch_ray

                batch_ray.paint_items(
                    items, config, address=address, workers=workers, cpus=cpus,
                    gpus=gpus, saving=saving, callback=bars.update,
                )  # fmt: skip
            else:
                from tfnst.batch_painter import BatchPainter

                BatchPainter(
                    config, batch_size=batch_size, saving=saving, callback=bars.update
                ).paint(items)
        finally:
            bars.close()
            with storage.LocalCopy(report) as path:
                batches.write_report(items, path)
    counts = batches.count(items)
    for item in items:
        if item.status == batches.FAILED:
            _say(f"failed: {item.output}: {item.error}")
    click.echo(
        f"{output}: {', '.join(f'{n} {status}' for status, n in counts.items() if n)}"
        f"; {report}"
    )
    if counts[batches.LEFT]:
        sys.exit(EXIT_INTERRUPTED)
    if counts[batches.FAILED]:
        sys.exit(EXIT_FAILED)


@cli.command()
@click.argument("directory", type=click.Path())
@click.option("--version", type=int, metavar="N", help="Number; by default the next.")
@click.option("--max-steps", type=int, metavar="N", help="Largest steps of a request.")
@click.option("--max-size", type=int, metavar="N", help="Largest size of a request.")
@click.option("--max-pixels", type=int, metavar="N", help="Most pixels sent at once.")
@_export_options
def export(directory, **settings):
    """Writes a SavedModel to DIRECTORY for TensorFlow Serving."""
    limits = {
        name: value
        for name in ("version", "max_steps", "max_size", "max_pixels")
        if (value := settings.pop(name)) is not None
    }
    config, init_image = _read_settings(settings)
    if init_image is not None:
        config = config.replace(init_image=init_image)
    with _quiet_start():
        from tfnst.export import export_saved_model
    click.echo(export_saved_model(directory, config=config, **limits))


@cli.command()
@click.argument("directory", type=click.Path())
@click.option("--name", metavar="TEXT", help="What requests call the model.")
@click.option("--host", metavar="ADDRESS", help="Address to listen on.")
@click.option("--port", type=int, metavar="N", help="Port for gRPC; 0 for any.")
@click.option("--max-concurrent", type=int, metavar="N", help="Most runs at a time.")
@click.option("--max-queue", type=int, metavar="N", help="Most requests that wait.")
@click.option(
    "--poll-seconds", type=float, metavar="X", help="Between looks for versions."
)
@click.option("--grace", type=float, metavar="X", help="Seconds for the last requests.")
@click.option("--certificate", type=click.Path(), metavar="FILE", help="For TLS.")
@click.option("--private-key", type=click.Path(), metavar="FILE", help="For TLS.")
@click.option("--client-ca", type=click.Path(), metavar="FILE", help="For mutual TLS.")
@click.option("--metrics-port", type=int, metavar="N", help="Port for Prometheus.")
def serve(directory, **options):
    """Serves the SavedModels in DIRECTORY as TensorFlow Serving does.

    Stops on Ctrl-C or SIGTERM, once the requests that it has are answered.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with _quiet_start():
        from tfnst import server
    # What isn't given is left to the server, where the defaults live.
    server.serve(directory, **{k: v for k, v in options.items() if v is not None})


@cli.command()
@click.argument("target", metavar="HOST:PORT")
@click.argument("content", type=click.Path())
@click.argument("style", type=click.Path())
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    metavar="FILE",
    help="Where the picture goes: .png, .jpg, .webp or .tif.",
)
@click.option("--model", metavar="TEXT", help="Name of the model.")
@click.option(
    "--version", type=int, metavar="N", help="Version; the newest by default."
)
@click.option("--version-label", metavar="TEXT", help="Label of a version.")
@click.option("--root-certificates", type=click.Path(), metavar="FILE", help="For TLS.")
@click.option(
    "--client-certificate", type=click.Path(), metavar="FILE", help="For TLS."
)
@click.option("--client-key", type=click.Path(), metavar="FILE", help="For TLS.")
@click.option(
    "--timeout", type=float, metavar="X", help="Seconds; by default from the work."
)
@click.option(
    "--wait",
    type=click.FloatRange(0, 1e6, min_open=True),
    metavar="X",
    help="Seconds to wait for a server that is starting; none by default.",
)
@_request_options
def request(target, content, style, output, wait, **options):
    """Has a server paint CONTENT in the style of STYLE."""
    options = {name: value for name, value in options.items() if value is not None}
    settings = {n: options.pop(n) for n in _REQUEST_SETTINGS if n in options}
    _images().check_output_path(output, name="output")
    with _quiet_start():
        from tfnst.client import ServingError, StylizeClient
    try:
        with StylizeClient(target, **options) as client:
            if wait is not None:
                client.wait_until_ready(wait)
            response = client.stylize(content, style, **settings)
    except ServingError as error:
        bad_input = isinstance(error, ValueError)
        _fail(_one_line(error), EXIT_BAD_INPUT if bad_input else EXIT_FAILED)
    _images().save_image(response.image, output, name="output")
    width, height = response.image.size
    click.echo(
        f"{output}: {width}x{height} pixels, total loss {response.total_loss:.3f} "
        f"(version {response.model_version} at {target})"
    )


@cli.command()
@click.argument("content", type=click.Path())
@click.argument("style", type=click.Path())
@click.argument("stylized", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_network_options
def evaluate(content, style, stylized, as_json, **settings):
    """Measures how STYLIZED shows the style of STYLE and keeps CONTENT."""
    config, _ = _read_settings(settings)
    with _quiet_start():
        from tfnst.evaluation import evaluate as evaluate_pictures
    result = evaluate_pictures(
        content,
        style,
        stylized,
        backbone=config.backbone,
        weights=config.weights,
        seed=config.seed,
    )
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=2))
        return
    for name, meaning in result.measures().items():
        click.echo(f"{name:24}{getattr(result, name):9.4f}   {meaning}")
    sizes = ", ".join(map(str, result.resolutions))
    click.echo(
        f"on {', '.join(result.layers)} of {result.backbone} (weights from "
        f"{result.weights.source}) at {sizes} pixels"
    )


@cli.command()
@click.argument("file", type=click.Path(), required=False)
def info(file):
    """Shows versions, devices and which weights would be used.

    With FILE, a picture that tfnst has painted, shows how it was painted, as JSON.
    """
    if file is not None:
        click.echo(json.dumps(_read_manifest(file, "file"), indent=2))
        return
    with _quiet_start():
        from tfnst.info import report
    click.echo(report())


@contextlib.contextmanager
def _quiet_start():
    """Keeps TensorFlow's start-up notes off the terminal while it is imported.

    They come from C++, some of them before TF_CPP_MIN_LOG_LEVEL is looked at, so only
    the file descriptor itself can be turned away. Who sets the variable sees them.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _images():
    from tfnst import images

    return images


def _say(line: str) -> None:
    # A bar on the same terminal would be torn by a plain print.
    with contextlib.suppress(BrokenPipeError):
        tqdm.write(f"tfnst: {line}", file=sys.stderr)


def _fail(line: str, code: int) -> None:
    _say(f"error: {line}")
    sys.exit(code)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
