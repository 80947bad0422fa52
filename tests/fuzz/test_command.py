"""The command with random settings, pictures, masks and options."""

import contextlib
import io
import json
import os
import pathlib
import shutil
import sys
import tempfile
import warnings

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

import tfnst
from tests.cli.helpers import TINY_OPTIONS
from tests.fuzz.settings import cases
from tests.helpers import TINY, picture
from tfnst.cli import command

pytestmark = pytest.mark.filterwarnings("ignore")

# A step takes milliseconds, and few engines are traced.
TINY_NETWORK = TINY_OPTIONS[: TINY_OPTIONS.index("--size")]
SIZES = {"--size": "40", "--min-size": "32", "--steps": "1", "--initial-steps": "1"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder with pictures of many kinds, masks, and what is neither."""
    folder = tmp_path_factory.mktemp("pictures")
    rgb = Image.fromarray(np.uint8(255 * picture(40, 52, seed=1)))
    rgb.save(folder / "rgb.png")
    rgb.save(folder / "rgb.jpg")
    rgb.convert("L").save(folder / "grey.webp")
    rgb.convert("P").save(folder / "palette.gif")
    rgb.convert("CMYK").save(folder / "cmyk.tif")
    clear = rgb.copy()
    clear.putalpha(Image.fromarray(np.uint8(255 * picture(40, 52, seed=2)[..., 0])))
    clear.save(folder / "clear.png")
    tfnst.save_image(picture(36, 40, seed=3), folder / "deep.tif", bits=16)
    tfnst.save_image(picture(16, 200), folder / "narrow.png")
    tfnst.save_image(
        picture(32, 40), folder / "painted.png", manifest={"settings": TINY.to_dict()}
    )
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    for name, rows in (("black", 0), ("white", 40), ("strip", 2), ("half", 20)):
        mask = np.zeros((40, 40), np.uint8)
        mask[40 - rows :] = 255
        Image.fromarray(mask).save(folder / f"{name}.png")
    (folder / "text.png").write_text("not a picture")
    (folder / "empty.jpg").write_text("")
    (folder / "folder.png").mkdir()
    (folder / "good.toml").write_text('style_strength = 0.7\nstyle_loss = "gram"\n')
    (folder / "bad.toml").write_text("size = [1]\n")
    tfnst.stylize(
        folder / "rgb.png", folder / "rgb.jpg", config=TINY, steps=1, initial_steps=1,
        checkpoint=folder / "run.checkpoint",
    )  # fmt: skip
    return folder


GOOD = ["rgb.png", "rgb.jpg", "grey.webp", "palette.gif", "cmyk.tif", "clear.png"]
FILES = st.one_of(
    st.sampled_from([*GOOD, "deep.tif"]),
    st.sampled_from([*GOOD, "link.png"]),
    st.sampled_from(
        ["narrow.png", "dot.png", "text.png", "empty.jpg", "folder.png", "no.png", ""]
    ),
)
MASKS = st.one_of(
    st.sampled_from(["white.png", "strip.png", "half.png", "-"]),
    st.sampled_from(["black.png", "text.png", "no.png", "rgb.jpg"]),
)
NUMBERS = st.one_of(
    st.floats(0, 1),
    st.floats(0, 1000),
    st.integers(0, 100),
    st.sampled_from(
        ["-1", "nan", "inf", "1e30", "1e-30", "1e300", "0", "x", "", "9" * 400]
    ),
)
OUTPUTS = st.one_of(
    st.sampled_from(["o.png", "o.jpg", "o.webp", "o.tif", "sub/o.png"]),
    st.sampled_from(
        [
            "rgb.png",
            "link.png",
            "o.bmp",
            "no/o.png",
            "folder.png",
            "",
            "x" * 252 + ".png",
        ]
    ),
)
WEIGHTS = st.sampled_from(["", "", ":2", ":0.5:2", ":0", ":x", ":1e300"])
STYLES = st.tuples(FILES, WEIGHTS)
OPTIONS = st.one_of(
    *(
        st.tuples(st.just(name), NUMBERS.map(str))
        for name in (
            "--content-weight", "--style-weight", "--style-strength", "--seed",
            "--total-variation-weight", "--learning-rate", "--style-scale", "--steps",
            "--ema-momentum", "--content-detail", "--patience", "--checkpoint-seconds",
        )
    ),
    *(
        st.tuples(st.just(name), st.sampled_from(values))
        for name, values in {
            "--size": ["32", "33", "48", "64", "31", "0"],
            "--min-size": ["32", "40", "64"],
            "--preserve-color": ["luminance", "histogram", "transport", "x"],
            "--optimizer": ["adam", "lbfgs"],
            "--init-image": ["content", "style", "noise", "given", "rgb.jpg", "no.png"],
            "--max-time": ["0.01", "5s", "-1", "x"],
            "--max-memory": ["8", "0.001", "0"],
            "--bits": ["8", "16"],
            "--save-every": ["1", "2", "0"],
            "--sheet": ["s.png", "o.png", "s.bmp", "rgb.jpg", "o-1.png"],
            "--timelapse": ["t.gif", "o.gif", "t.avi"],
            "--plot": ["p.png", "o.png", "s.png", "no/p.png"],
            "--checkpoint": ["c", "rgb.png", "run.checkpoint", "o.png"],
            "--resume": ["run.checkpoint", "rgb.png", "no"],
            "--from": ["painted.png", "rgb.png"],
            "--config": ["good.toml", "bad.toml", "rgb.png", "no.toml"],
            "--preset": ["fast", "x"],
            "--label-map": ["rgb.png", "half.png", "no.png"],
            "--style-rotations": ["2", "8", "3", "-", "x"],
            "--layers": ["block1_conv1", "-", "x"],
            "--label-colors": ["red", "-,white", "x"],
            "--style-layer-weights": ["1,2", "1", "0,0", "a,b", "1e308,1e308"],
        }.items()
    ),
    st.tuples(st.sampled_from(["--region", "--style-mask"]), MASKS),
    st.tuples(st.sampled_from(["--keep-gps", "--seamless", "--no-seamless"])),
)  # fmt: skip
READ = (
    *("--region", "--style-mask", "--label-map"),
    *("--init-image", "--config", "--from"),
)
WRITTEN = ("--sheet", "--timelapse", "--plot", "--checkpoint", "--resume")


def run(folder, *arguments):
    """The command in this process: its exit code, and what it printed."""
    before, argv = os.getcwd(), sys.argv
    out, err = io.StringIO(), io.StringIO()
    try:
        os.chdir(folder)
        sys.argv = ["tfnst", *arguments]
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            warnings.catch_warnings(),
        ):
            try:
                command.main()
                code = 0
            except SystemExit as error:
                code = error.code or 0
    finally:
        os.chdir(before)
        sys.argv = argv
    return code, out.getvalue(), err.getvalue()


def read_all(folder):
    """The bytes of each file in a folder and those within it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def values(options, names):
    """The values of some of the options."""
    return [option[1] for option in options if option[0] in names]


def with_links(files):
    """Names of files, with the other name of the one that has two."""
    both = {"rgb.png", "link.png"}
    return files | both if files & both else files


def is_named(name, written):
    """Whether a file is an output, or a picture on the way to one."""
    stem, _, step = pathlib.PurePath(name).stem.rpartition("-")
    on_the_way = str(pathlib.PurePath(name).with_stem(stem)) if stem else None
    return name in written or (step.isdigit() and on_the_way in written)


@cases(
    *(24, 60),
    content=FILES,
    styles=st.lists(STYLES, min_size=1, max_size=3),
    output=OUTPUTS,
    options=st.lists(OPTIONS, max_size=4),
)
def test_any_command_paints_or_says_why_not(pictures, content, styles, output, options):
    given_options = {option[0] for option in options}
    sizes = [x for pair in SIZES.items() if pair[0] not in given_options for x in pair]
    arguments = [
        "stylize", content, *map("".join, styles), "-o", output, *TINY_NETWORK, *sizes,
        *(part for option in options for part in option),
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as start:
        folder = pathlib.Path(start, "here")
        shutil.copytree(pictures, folder)
        (folder / "link.png").symlink_to("rgb.png")
        (folder / "sub").mkdir()
        before = read_all(folder)
        code, out, err = run(folder, *arguments)
        after = read_all(folder)

        read = with_links({content, *(s[0] for s in styles), *values(options, READ)})
        written = with_links({output, *values(options, WRITTEN)})
        changed = {n for n in before | after if before.get(n) != after.get(n)}
        assert all(is_named(name, written) for name in changed), changed
        assert before.keys() <= after.keys()
        assert not changed & read
        assert code in (0, 1, 2)
        lines = err.splitlines()
        assert all(line.startswith("tfnst: ") for line in lines), err
        if code == 0:
            assert out.startswith(f"{output}: ")
            with Image.open(folder / output) as painted:
                painted.load()
            assert sum(line.startswith("tfnst: error: ") for line in lines) == 0
        else:
            assert lines[-1].startswith(("tfnst: error: ", "tfnst: warning: ")), err
            if code == 2:
                assert (out, changed) == ("", set())


BATCH_OPTIONS = st.one_of(
    st.tuples(st.just("--suffix"), st.sampled_from([".png", ".jpg", ".webp", ".x"])),
    st.tuples(
        st.just("--report"),
        st.sampled_from(["r.json", "rgb.png", "new/r.json", "out/r.json", "text.png"]),
    ),
    st.tuples(st.just("--pairs"), st.sampled_from(["pairs.csv", "rgb.png", "no.csv"])),
    st.tuples(st.just("--batch-size"), st.sampled_from(["1", "3", "0"])),
    st.tuples(st.just("--bits"), st.sampled_from(["8", "16"])),
    st.tuples(st.just("--init-image"), st.sampled_from(["noise", "rgb.jpg"])),
    st.tuples(st.just("--style-strength"), NUMBERS.map(str)),
)


@cases(
    *(12, 30),
    contents=st.lists(st.one_of(FILES, st.sampled_from([".", "sub"])), max_size=3),
    styles=st.lists(FILES, max_size=2),
    output=st.sampled_from(["out", "out", "new/out", ".", "rgb.png", ""]),
    options=st.lists(BATCH_OPTIONS, max_size=3),
    twice=st.booleans(),
)
def test_any_batch_paints_or_says_why_not(
    pictures, contents, styles, output, options, twice
):
    arguments = [
        "batch", *contents, *(part for s in styles for part in ("-s", s)),
        "-o", output, *TINY_NETWORK, *(part for pair in SIZES.items() for part in pair),
        *(part for option in options for part in option),
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as start:
        folder = pathlib.Path(start, "here")
        shutil.copytree(pictures, folder)
        (folder / "link.png").symlink_to("rgb.png")
        (folder / "sub").mkdir()
        shutil.copy(folder / "rgb.png", folder / "sub" / "a.png")
        (folder / "pairs.csv").write_text("content,style\nrgb.png,rgb.jpg\n")
        before = read_all(folder)
        code, out, err = run(folder, *arguments)
        after = read_all(folder)
        assert all(line.startswith("tfnst: ") for line in err.splitlines()), err
        assert {name: after[name] for name in before} == before
        assert not [name for name in after if ".tmp" in name]
        if code == 2:
            assert out == ""
            assert err.splitlines()[-1].startswith("tfnst: error: ")
            return
        assert code in (0, 1)
        report = folder / out.split("; ")[-1].strip()
        told = json.loads(report.read_text())
        assert code == (1 if told["failed"] else 0)
        assert told["painted"] + told["failed"] == len(told["items"])
        for item in told["items"]:
            if item["status"] == "painted":
                assert tfnst.load_image(folder / item["output"]).max() > 0
        if twice:
            again, out, _ = run(folder, *arguments)
            assert again in (code, 2)
            if again != 2:
                assert json.loads(report.read_text())["skipped"] == told["painted"]


@pytest.mark.slow
@cases(
    *(2, 10),
    data=st.data(),
    optimizer=st.sampled_from(["adam", "lbfgs"]),
    init_image=st.sampled_from(["content", "style", "noise"]),
    masked=st.booleans(),
    seed=st.integers(0, 3),
)
def test_a_run_is_resumed_bit_by_bit(data, optimizer, init_image, masked, seed):
    config = TINY.replace(optimizer=optimizer, init_image=init_image, seed=seed)
    steps, initial_steps = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    size, momentum = data.draw(
        st.tuples(st.integers(32, 64), st.sampled_from([0.0, 0.95]))
    )
    config = config.replace(
        steps=steps, initial_steps=initial_steps, size=size, ema_momentum=momentum
    )
    content, style = picture(60, 80, seed=seed), picture(50, 40, seed=seed + 9)
    if masked:
        half = np.zeros((20, 20), np.float32)
        half[:, data.draw(st.integers(1, 19)) :] = 1
        style = tfnst.StyleImage(image=style, region=half)
    whole = tfnst.stylize(content, style, config=config)
    last = data.draw(st.integers(1, len(whole.losses)))

    def stop(progress):
        if progress.step >= last:
            progress.stop()

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "run.checkpoint")
        tfnst.stylize(
            content, style, config=config, callback=stop, callback_steps=1,
            checkpoint=path,
        )  # fmt: skip
        result = tfnst.stylize(content, style, resume=path)
    np.testing.assert_array_equal(result.array, whole.array)
    np.testing.assert_array_equal(result.losses["total"], whole.losses["total"])
