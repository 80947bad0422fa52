"""`tfnst studio` as a hosted space, with the limits that a public page needs."""

import os
import pathlib
import sys

from tfnst.cli.command import main

# Sized for two CPU cores without a GPU, and for people who come and go. On larger
# hardware, raise them; `tfnst studio --help` explains each.
OPTIONS = {
    # Initial settings of the page.
    "preset": "fast",
    "size": 256,
    # Limits for visitors.
    "max-megapixels": 0.4,
    "max-steps": 200,
    "max-seconds": 180,
    "max-waiting": 30,
    "max-batch": 4,
    "max-frames": 48,
    "max-upload": 20,
    "max-upload-sum": 40,
    "max-days": 1,
}
HERE = pathlib.Path(__file__).parent
# The space's permanent storage, if it has one.
STORAGE = pathlib.Path("/data")


def arguments(
    environment: dict[str, str],
    *,
    folder: pathlib.Path = HERE,
    storage: pathlib.Path = STORAGE,
) -> list[str]:
    """Returns the arguments of the command.

    Args:
        environment: variables with the address of the space.
        folder: folder of the space, which may have samples.
        storage: permanent storage, if it can be written to.
    """
    output = storage if os.access(storage, os.W_OK) else folder
    given = {
        "host": environment.get("GRADIO_SERVER_NAME", "0.0.0.0"),
        "port": environment.get("GRADIO_SERVER_PORT", "7860"),
        "output": output / "painted",
    } | OPTIONS
    if (folder / "samples").is_dir():
        given["samples"] = folder / "samples"
    options = [text for name, value in given.items() for text in (f"--{name}", value)]
    # Each browser sees only what it has painted.
    return ["studio", "--separate", *map(str, options)]


if __name__ == "__main__":
    sys.argv[1:] = arguments(dict(os.environ))
    main()
