import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import tfnst
from tests import processes
from tests.helpers import TINY, picture
from tfnst.cli import command
from tfnst.images.manifest import read_manifest

TINY_OPTIONS = [
    *("--weights", "none"),
    *("--precision", "float32"),
    *("--content-layers", "block2_conv1"),
    *("--style-layers", "block1_conv1,block2_conv1"),
    *("--size", "48", "--min-size", "32", "--steps", "6"),
    *("--initial-steps", "6"),
]
TFNST = [sys.executable, "-c", "from tfnst.cli.command import main; main()"]


@pytest.fixture
def pictures(tmp_path):
    tfnst.save_image(picture(60, 80, seed=1), tmp_path / "content.png")
    tfnst.save_image(picture(50, 40, seed=2), tmp_path / "style.png")
    return tmp_path


def tfnst_command(*arguments, cwd, **environment):
    """The command in a process that has TensorFlow loaded already."""
    return processes.run_tfnst(*arguments, cwd=cwd, env={**os.environ, **environment})


def new_tfnst_command(*arguments, cwd):
    """The command in a process that starts from nothing, as users' do."""
    return subprocess.run(
        [*TFNST, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_help_does_not_load_tensorflow(tmp_path):
    code = (
        "import sys\n"
        "from tfnst.cli.command import cli\n"
        "for arguments in (['--help'], ['stylize', '--help'], ['info', '--help']):\n"
        "    cli.main(arguments, standalone_mode=False)\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'PIL', 'grpc'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "stylize" in done.stdout


def test_every_setting_is_an_option_with_its_default():
    text = CliRunner().invoke(command.cli, ["stylize", "--help"]).output
    flat = " ".join(text.split())
    for name, value in tfnst.StyleTransferConfig().to_dict().items():
        assert f"--{name.replace('_', '-')} " in flat
        if isinstance(value, int | float | str):
            assert f"[default: {value}]" in flat


def test_stylize_writes_what_python_gives(pictures):
    done = new_tfnst_command(
        "stylize", "content.png", "style.png", "-o", "out.png", *TINY_OPTIONS,
        cwd=pictures,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(
        r"out\.png: 48x36 pixels, 12 steps in \d+ s "
        r"\(vgg19, weights from [^)]*\)\n",
        done.stdout,
    )
    # Nothing but the result in a pipe.
    assert done.stderr == ""
    expected = tfnst.stylize(
        pictures / "content.png", pictures / "style.png", config=TINY
    )
    with Image.open(pictures / "out.png") as out:
        np.testing.assert_array_equal(np.asarray(out), np.asarray(expected.image))
    assert names(pictures) == ["content.png", "out.png", "style.png"]


def test_pictures_in_between_and_the_sheet(pictures):
    done = tfnst_command(
        "stylize", "content.png", "style.png", "-o", "out.jpg", "--save-every", "4",
        "--sheet", "sheet.png", *TINY_OPTIONS,
        cwd=pictures,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert names(pictures) == [
        "content.png", "out-04.jpg", "out-08.jpg", "out-12.jpg", "out.jpg",
        "sheet.png", "style.png",
    ]  # fmt: skip
    with Image.open(pictures / "sheet.png") as sheet:
        assert sheet.width > 48 + 12
        assert sheet.height == 36 + 24


def test_pictures_in_between_have_what_the_last_one_has(pictures):
    with Image.open(pictures / "content.png") as photo:
        photo.putalpha(100)
        photo.save(pictures / "clear.png", dpi=(300, 300))
    done = tfnst_command(
        "stylize", "clear.png", "style.png", "-o", "out.png", "--save-every", "6",
        *TINY_OPTIONS, cwd=pictures,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in ("out-06.png", "out-12.png", "out.png"):
        with Image.open(pictures / name) as out:
            assert out.mode == "RGBA"
            assert out.getchannel("A").getextrema() == (100, 100)
            assert out.info["dpi"] == pytest.approx((300, 300), rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.png", "style.png", "-o", "out.png"], r"`content_image` .*nowhere"),
        (["text.jpg", "style.png", "-o", "out.png"], r"`content_image` .*text\.jpg"),
        (["content.png", "cut.png", "-o", "out.png"], r"`style_image` .*cut\.png"),
        (
            ["dot.png", "style.png", "-o", "out.png"],
            r"`content_image` .*1 wide and 1 high",
        ),
        (["content.png", "style.png", "-o", "out.doc"], r"`output` .*out\.doc"),
        (["content.png", "style.png", "-o", "no/out.png"], r"`output` .*no/out\.png"),
        (
            ["content.png", "style.png", "-o", "out.png", "--steps", "-1"],
            r"`steps` must be an integer from 1 to 100000\. Received: -1",
        ),
        (
            ["content.png", "style.png", "-o", "out.png", "--style-weight", "nan"],
            r"`style_weight` must be a finite number, 0 or more\. Received: nan",
        ),
        (
            ["content.png", "style.png", "-o", "out.png", "--size", "big"],
            r"Invalid value for '--size': 'big' is not a valid integer\.",
        ),
        (
            ["content.png", "style.png", "-o", "out.png", "--style-layers", "x"],
            r"`content_layers` and `style_layers` must be .*Received: 'x'",
        ),
        (
            ["content.png", "style.png", "-o", "out.png", "--weights", "no.h5"],
            r".*no\.h5.*",
        ),
        (
            ["content.png", "style.png", "-o", "out.png", "--max-time", "soon"],
            r"`max_time` must be seconds, above 0, .* Received: 'soon'",
        ),
        (
            ["content.png", "style.png", "-o", "out.png", "--timelapse", "film.avi"],
            r"`timelapse` must be a path that ends in \.gif, \.webp or \.mp4\. ",
        ),
        (
            ["content.png", "style.png", "-o", "out.png", "--plot", "plot.gif"],
            r"`plot` must be a path that ends in \.png, \.svg or \.pdf\. ",
        ),
        (["content.png", "style.png"], r"Missing option '-o' / '--output'\."),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing_behind(
    pictures, arguments, message, monkeypatch, capsys
):
    (pictures / "text.jpg").write_text("not a picture\n")
    whole = (pictures / "style.png").read_bytes()
    (pictures / "cut.png").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (1, 1)).save(pictures / "dot.png")
    before = names(pictures)
    monkeypatch.chdir(pictures)
    # The last one of an option counts.
    monkeypatch.setattr(sys, "argv", ["tfnst", "stylize", *TINY_OPTIONS, *arguments])
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    with pytest.raises(SystemExit) as exit_:
        command.main()
    assert exit_.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.fullmatch(rf"tfnst: error: {message}.*\n", printed.err), printed.err
    assert names(pictures) == before


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["export", "models", "--version", "0"],
            2,
            r"`version` must be an integer from 1 to .* Received: 0",
        ),
        (["serve", ".", "--port", "-1"], 2, r"`port` must be .* Received: -1"),
        (
            ["request", "127.0.0.1", "content.png", "style.png", "-o", "out.png"],
            2,
            r"`target` must be .* Received: '127\.0\.0\.1'",
        ),
        (
            [
                "request", "127.0.0.1:1", "content.png", "style.png", "-o", "out.png",
                "--steps", "0",
            ],
            2,
            r"`steps` must be an integer from 1 to 100000\. Received: 0",
        ),
        (
            [
                "request", "127.0.0.1:1", "content.png", "style.png", "-o", "out.png",
                "--timeout", "1",
            ],
            1,
            r".*127\.0\.0\.1:1",
        ),
        (
            [
                "request", "127.0.0.1:1", "content.png", "style.png", "-o", "out.png",
                "--wait", "0.5",
            ],
            1,
            r"The server at 127\.0\.0\.1:1 did not have .* ready within 0\.5 seconds",
        ),
        (
            [
                "request", "127.0.0.1:1", "content.png", "style.png", "-o", "out.png",
                "--wait", "0",
            ],
            2,
            r".*--wait.*0\.0",
        ),
    ],
)  # fmt: skip
def test_serving_commands_say_what_is_wrong(
    pictures, arguments, code, message, monkeypatch, capsys
):
    monkeypatch.chdir(pictures)
    monkeypatch.setattr(sys, "argv", ["tfnst", *arguments])
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    with pytest.raises(SystemExit) as exit_:
        command.main()
    assert exit_.value.code == code
    printed = capsys.readouterr()
    assert re.search(rf"^tfnst: error: {message}", printed.err, re.M), printed.err
    assert names(pictures) == ["content.png", "style.png"]


def read_terminal(descriptor):
    with open(descriptor, "rb", buffering=0) as stream:
        try:
            while chunk := stream.read(1024):
                yield chunk.decode(errors="replace")
        except OSError:  # the other end is closed
            return


def start_on_terminal(folder, *options, new=False):
    """The command with a terminal as its standard error."""
    ours, theirs = pty.openpty()
    arguments = [
        "stylize", "content.png", "style.png", "-o", "out.png", *TINY_OPTIONS, *options
    ]  # fmt: skip
    streams = {"stdout": subprocess.DEVNULL, "stderr": theirs}
    if new:
        process = subprocess.Popen([*TFNST, *arguments], cwd=folder, **streams)
    else:
        process = processes.start_tfnst(*arguments, cwd=folder, **streams)
    os.close(theirs)
    # Whatever happens, the tests end.
    killer = threading.Timer(60, process.kill)
    killer.daemon = True
    killer.start()
    return process, read_terminal(ours)


def test_a_terminal_gets_a_bar(pictures):
    process, output = start_on_terminal(pictures)
    shown = "".join(output)
    assert process.wait() == 0
    assert re.search(r"100%\|.*48px 12/12 [\d.]+/s  content [\d.]+ style", shown)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_the_picture_so_far(pictures, number):
    process, output = start_on_terminal(
        pictures, "--steps", "100000", "--timelapse", "film.gif"
    )
    shown = ""
    for chunk in output:
        if "content" not in shown and "content" in shown + chunk:
            process.send_signal(number)
        shown += chunk
    assert process.wait() == 130
    assert re.search(
        r"tfnst: stopped after \d+ steps; the picture so far is out\.png", shown
    )
    with Image.open(pictures / "out.png") as out:
        assert out.size == (48, 36)
    with Image.open(pictures / "film.gif") as film:
        assert film.size == (48, 36)
    assert "tfnst: stopping after this step" in shown
    assert "Traceback" not in shown


def test_ctrl_c_before_there_is_a_picture(pictures):
    process, output = start_on_terminal(pictures, new=True)
    time.sleep(0.7)  # while TensorFlow loads
    process.send_signal(signal.SIGINT)
    shown = "".join(output)
    assert process.wait() in (0, 130)
    if process.returncode == 130:
        assert "Traceback" not in shown
        assert "interrupted before there was a picture to keep" in shown
        assert names(pictures) == ["content.png", "style.png"]


def test_info_names_versions_devices_and_weights(tmp_path):
    done = new_tfnst_command("info", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for line in (
        rf"tfnst +{re.escape(tfnst.__version__)}",
        r"tensorflow +\d+\.\d+\.\d+",
        r"keras +3\.",
        r"device +CPU:0 CPU",
        r"cpu cores +\d+",
        r"weights vgg19 +\S",
        r"weights vgg16 +\S",
    ):
        assert re.search(rf"^{line}", done.stdout, re.MULTILINE), line


def run_here(monkeypatch, capsys, folder, *arguments):
    """The command in this process: its exit code, and what it printed."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["tfnst", *arguments])
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    code = 0
    try:
        command.main()
    except SystemExit as error:
        code = error.code
    return code, *capsys.readouterr()


def test_info_prints_how_a_picture_was_painted(pictures, monkeypatch, capsys):
    manifest = {"settings": {"size": 48}, "content_image": {"name": "Müller.png"}}
    tfnst.save_image(picture(20, 20), pictures / "out.jpg", manifest=manifest)
    code, out, err = run_here(monkeypatch, capsys, pictures, "info", "out.jpg")
    assert (code, json.loads(out), err) == (0, manifest, "")
    (pictures / "text.png").write_text("not a picture")
    for name in ("content.png", "text.png"):
        code, out, err = run_here(monkeypatch, capsys, pictures, "info", name)
        assert (code, out) == (2, "")
        assert err == (
            "tfnst: error: `file` must be a picture that tfnst has painted. "
            f"Received: '{name}', in which nothing says so\n"
        )
    code, out, err = run_here(monkeypatch, capsys, pictures, "info", "no.png")
    assert (code, out) == (2, "")
    assert err == (
        "tfnst: error: `file` must be a file that can be read. "
        "Received: 'no.png', which does not exist\n"
    )


def test_a_run_is_repeated_from_its_picture(pictures, monkeypatch, capsys):
    def stylize(*arguments):
        return run_here(
            monkeypatch, capsys, pictures, "stylize", "content.png", *arguments
        )

    code, _, err = stylize("style.png", "-o", "out.png", *TINY_OPTIONS, "--seed", "3")
    assert (code, err) == (0, "")
    code, out, err = stylize("style.png", "-o", "new.png", "--from", "out.png")
    assert (code, err) == (0, "")
    assert out.startswith("new.png: 48x36 pixels, 12 steps in ")
    with (
        Image.open(pictures / "out.png") as old,
        Image.open(pictures / "new.png") as new,
    ):
        np.testing.assert_array_equal(np.asarray(old), np.asarray(new))
    assert read_manifest(pictures / "new.png") == read_manifest(pictures / "out.png")
    # What is given goes first; another picture or network is told of.
    tfnst.save_image(picture(50, 40, seed=3), pictures / "other.png")
    code, out, err = stylize(
        *("other.png", "-o", "new.tif", "--from", "out.png"),
        *("--steps", "2", "--seed", "4", "--bits", "16"),
    )
    assert code == 0
    assert out.startswith("new.tif: 48x36 pixels, ")
    settings = read_manifest(pictures / "new.tif")["settings"]
    assert (settings["steps"], settings["seed"], settings["size"]) == (2, 4, 48)
    lines = err.splitlines()
    assert lines[0] == (
        "tfnst: warning: the style image is not the one that out.png was painted from"
    )
    assert lines[1:] == [] or lines[1].startswith("tfnst: warning: out.png was painted")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (None, "`from` must be a picture that tfnst has painted"),
        ([], "`from` must be a picture whose settings are known"),
        ({"brush": 3}, "`brush` is not a setting"),
        ({"steps": "many"}, "`steps` must be an integer"),
        ({"style_layers": {"a": [1]}, "size": [1]}, "`"),
        ({"init_image": "given"}, "`init_image` must be given"),
    ],
)
def test_strange_manifests_are_refused(
    pictures, monkeypatch, capsys, settings, message
):
    manifest = None if settings is None else {"settings": settings}
    tfnst.save_image(picture(20, 20), pictures / "old.png", manifest=manifest)
    code, out, err = run_here(
        *(monkeypatch, capsys, pictures, "stylize", "content.png", "style.png"),
        *("-o", "out.png", "--from", "old.png"),
    )
    assert (code, out) == (2, "")
    assert err.startswith(f"tfnst: error: {message}")
    assert err.count("\n") == 1
    assert not (pictures / "out.png").exists()


def test_bits_are_refused_before_the_work_starts(pictures, monkeypatch, capsys):
    for arguments in (
        ["stylize", "content.png", "style.png", "-o", "out.jpg"],
        ["batch", "content.png", "-s", "style.png", "-o", "out", "--suffix", ".jpg"],
    ):
        code, _, err = run_here(
            monkeypatch, capsys, pictures, *arguments, "--bits", "16"
        )
        assert code == 2
        assert err == (
            "tfnst: error: `bits` must be 8 in a .jpg file (PNG and TIFF hold 16). "
            "Received: 16\n"
        )


def test_settings_come_from_a_file(pictures):
    names = ("weights", "precision", "content_layers", "style_layers", "min_size")
    lines = [
        *(f"{name} = {json.dumps(TINY.to_dict()[name] or 'none')}" for name in names),
        'steps = 3\ninitial_steps = 2\nsize = 40\ninit_image = "style"',
    ]
    (pictures / "my.toml").write_text("\n".join(lines))
    done = tfnst_command(
        "stylize", "content.png", "style.png", "-o", "out.png",
        "--config", "my.toml", "--size", "48", cwd=pictures,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = read_manifest(pictures / "out.png")
    expected = TINY.replace(steps=3, initial_steps=2, init_image="style", size=48)
    assert told["settings"] == expected.to_dict()


def test_a_film_and_a_plot(pictures, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    code, _, err = run_here(
        monkeypatch, capsys, pictures, "stylize", "content.png", "style.png",
        "-o", "out.png", *TINY_OPTIONS, "--timelapse", "film.webp",
        "--timelapse-size", "32", "--plot", "losses.svg", "--save-every", "6",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert names(pictures) == [
        "content.png", "film.webp", "losses.svg", "out-06.png", "out-12.png",
        "out.png", "style.png",
    ]  # fmt: skip
    with Image.open(pictures / "film.webp") as film:
        assert film.size == (32, 24)
        assert film.n_frames > 2


def test_a_time_that_is_up_is_said(pictures, monkeypatch, capsys):
    code, out, err = run_here(
        monkeypatch, capsys, pictures, "stylize", "content.png", "style.png",
        "-o", "out.png", *TINY_OPTIONS, "--max-time", "0.001s",
    )  # fmt: skip
    assert code == 0
    assert re.match(r"out\.png: 48x36 pixels, \d steps, cut by --max-time, in ", out)
    assert err == (
        "tfnst: the time was up at 34 pixels; the picture is enlarged from there\n"
    )
    told = read_manifest(pictures / "out.png")
    assert (told["stopped"], told["stop_reason"]) == (True, "max_time")
    # Repeated on whatever machine, it gets all steps.
    code, out, _ = run_here(
        monkeypatch, capsys, pictures, "stylize", "content.png", "style.png",
        "-o", "new.png", "--from", "out.png",
    )  # fmt: skip
    assert code == 0
    assert out.startswith("new.png: 48x36 pixels, 12 steps in ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("size = ", "`config` must be a TOML file. Received: 'my.toml', "),
        ("sizes = 3", "`sizes` is not a setting; there are: "),
        ("size = 3", "`size` must be an integer from 32 to 16384. Received: 3"),
        (None, "`config` must be a file that can be read. Received: 'my.toml', which"),
    ],
)
def test_a_bad_file_of_settings_is_one_line(pictures, text, expected):
    if text is not None:
        (pictures / "my.toml").write_text(text)
    done = tfnst_command(
        "stylize", "content.png", "style.png", "-o", "out.png", "--config", "my.toml",
        cwd=pictures,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(f"tfnst: error: {expected}")
    assert done.stderr.count("\n") == 1
