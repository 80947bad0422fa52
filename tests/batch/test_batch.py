"""Batches: every content in every style, failures, and starting again after a kill."""

import errno
import json
import signal
import threading
import time

import numpy as np
import pytest

import tfnst
from tests import processes
from tests.cli.helpers import TINY_OPTIONS, run_here
from tests.helpers import TINY, assert_alike, assert_same_losses, picture
from tfnst.batch.painter import BatchPainter, paint_contents
from tfnst.batch.planning import plan_items
from tfnst.batch.sources import find_pictures, read_pairs
from tfnst.engines import whole
from tfnst.engines.memory import GIB, resident_memory
from tfnst.images.manifest import read_manifest
from tfnst.networks.vgg import kernel_shapes, layer_names, random_arrays
from tfnst.transfer import run
from tfnst.transfer.results import TransferResult
from tfnst.transfer.style_transfer import load_content

STYLES = [picture(50, 40, seed=2), picture(44, 60, seed=3)]
CONTENTS = [picture(60, 80, seed=1), picture(80, 60, seed=4), picture(60, 80, seed=5)]
# Convolutions of a batch may be summed in another order, which many steps magnify.
FEW = TINY.replace(steps=2, initial_steps=2)


def paint_batch(contents, styles, output=None, *, pairs=False, config=TINY, **options):
    """Paints a batch with options of BatchPainter."""
    items = plan_items(contents, styles, output, pairs=pairs)
    BatchPainter(config, **options).paint(items)
    return items


@pytest.mark.parametrize(
    ("optimizer", "batch_size"),
    [
        ("adam", 2),
        pytest.param("lbfgs", 2, marks=pytest.mark.slow),
        pytest.param("adam", 1, marks=pytest.mark.slow),
        pytest.param("adam", 6, marks=pytest.mark.slow),
        pytest.param("lbfgs", 1, marks=pytest.mark.slow),
        pytest.param("lbfgs", 6, marks=pytest.mark.slow),
    ],
)
def test_a_batch_gives_what_each_alone_gives(optimizer, batch_size):
    config = FEW.replace(optimizer=optimizer)
    items = tfnst.stylize_batch(CONTENTS, STYLES, config=config, batch_size=batch_size)
    wanted = [(content, style) for style in STYLES for content in CONTENTS]
    assert [item.status for item in items] == ["painted"] * 6
    for item, (content, style) in zip(items, wanted, strict=True):
        alone = tfnst.stylize(content, style, config=config)
        assert_alike(item.result.array, alone.array)
        for name in ("step", "size"):
            np.testing.assert_array_equal(item.result.losses[name], alone.losses[name])
        assert_same_losses(item.result.losses, alone.losses)
        assert item.result.manifest == alone.manifest


def test_styles_of_a_batch_painted_together_may_differ():
    sizes = []

    def counted(config, contents, callback):
        sizes.append(len(contents))
        return paint_contents(config, contents, callback)

    together = {"pairs": True, "batch_size": 2, "paint": counted}
    paint_batch(CONTENTS[:2], STYLES, config=FEW.replace(size=40), **together)
    assert sizes == [1, 1]  # of different shapes
    sizes.clear()
    items = paint_batch(CONTENTS[::2], STYLES, config=FEW, **together)
    assert sizes == [2]
    for item, content, style in zip(items, CONTENTS[::2], STYLES, strict=True):
        alone = tfnst.stylize(content, style, config=FEW)
        assert_alike(item.result.array, alone.array)


def test_noise_is_the_same_for_each_of_a_batch():
    config = FEW.replace(init_image="noise")
    items = tfnst.stylize_batch(CONTENTS[::2], STYLES[:1], config=config, batch_size=2)
    for item, content in zip(items, CONTENTS[::2], strict=True):
        alone = tfnst.stylize(content, STYLES[0], config=config)
        assert_alike(item.result.array, alone.array)


@pytest.fixture
def files(tmp_path):
    """Three contents, one of them bad, and two styles."""
    for i, array in enumerate(CONTENTS):
        tfnst.save_image(array, tmp_path / f"photo{i}.png")
    (tmp_path / "photo1.png").write_text("a diary")
    for i, array in enumerate(STYLES):
        tfnst.save_image(array, tmp_path / f"style{i}.png")
    return tmp_path


def paths(folder, kind, numbers):
    return [folder / f"{kind}{i}.png" for i in numbers]


def test_a_bad_picture_stops_no_other(files):
    out = files / "new" / "out"
    items = tfnst.stylize_batch(
        paths(files, "photo", range(3)), paths(files, "style", range(3)), out,
        config=TINY, suffix=".jpg",
    )  # fmt: skip
    assert [item.status for item in items] == [
        *("painted", "failed", "painted"),
        *("painted", "failed", "painted"),
        *("failed", "failed", "failed"),
    ]
    assert "`content_image` must be an image file" in items[1].error
    assert "photo1.png" in items[1].error
    assert "`style_image` must be a file that can be read" in items[6].error
    assert sorted(path.name for path in out.iterdir()) == [
        f"photo{i}_style{j}.jpg" for i in (0, 2) for j in range(2)
    ]
    for item in items:
        if item.status == "painted":
            assert tfnst.load_image(item.output).shape == (1, 36, 48, 3)
            assert item.seconds > 0
            assert item.result is None


def test_what_is_there_is_painted_again_only_where_something_changed(files):
    out = files / "out"
    contents, styles = paths(files, "photo", (0, 2)), paths(files, "style", (0, 1))

    def statuses(**settings):
        items = tfnst.stylize_batch(contents, styles, out, config=FEW, **settings)
        return [item.status for item in items]

    assert statuses() == ["painted"] * 4
    assert statuses() == ["skipped"] * 4
    assert statuses(max_memory=20, device="cpu") == ["skipped"] * 4
    assert statuses(steps=5) == ["painted"] * 4
    tfnst.save_image(CONTENTS[1], contents[0])
    assert statuses(steps=5) == ["painted", "skipped", "painted", "skipped"]
    tfnst.save_image(CONTENTS[1], styles[1])
    assert statuses(steps=5) == ["skipped", "skipped", "painted", "painted"]
    (out / "photo0_style0.png").unlink()
    assert statuses(steps=5) == ["painted", "skipped", "skipped", "skipped"]


@pytest.mark.slow
def test_what_other_weights_have_painted_is_painted_again(files, monkeypatch):
    config = TINY.replace(weights="imagenet")
    kernels = kernel_shapes(layer_names("vgg19")[:5])
    for seed in (0, 1):
        arrays = random_arrays(kernels, seed)
        np.savez(
            files / f"{seed}.npz",
            **{
                f"{layer}__{part}": array
                for layer, pair in arrays.items()
                for part, array in zip(("kernel", "bias"), pair, strict=True)
            },
        )

    def statuses(seed):
        monkeypatch.setenv("TFNST_WEIGHTS", str(files / f"{seed}.npz"))
        items = tfnst.stylize_batch(
            paths(files, "photo", (0, 2)), paths(files, "style", (0,)), files / "out",
            config=config,
        )  # fmt: skip
        return [item.status for item in items]

    assert statuses(0) == ["painted"] * 2
    assert statuses(0) == ["skipped"] * 2
    assert statuses(1) == ["painted"] * 2
    assert statuses(1) == ["skipped"] * 2


def test_a_file_that_tfnst_has_not_painted_is_kept(files):
    out = files / "out"
    out.mkdir()
    foreign = out / "photo0_style0.png"
    tfnst.save_image(CONTENTS[0], foreign)
    before = foreign.read_bytes()
    items = tfnst.stylize_batch(
        paths(files, "photo", (0, 2)), paths(files, "style", (0,)), out, config=TINY
    )
    assert [item.status for item in items] == ["failed", "painted"]
    assert "which tfnst has not painted" in items[0].error
    assert foreign.read_bytes() == before


def test_a_loss_that_is_not_finite_fails_its_own_picture_only(monkeypatch):
    real = whole.WholeEngine.step

    def poisoned(self, image, state, targets, knobs):
        import tensorflow as tf

        image, state, measured = real(self, image, state, targets, knobs)
        # Away from the edges, where the network pads.
        inside = targets.content["block2_conv1"][:, 2:-2, 2:-2]
        plain = tf.reduce_max(tf.math.reduce_std(inside, axis=[1, 2]), axis=-1)
        bad = plain < 1e-3
        total = tf.where(bad, float("nan"), measured.total)
        return image, state, measured._replace(total=total)

    monkeypatch.setattr(whole.WholeEngine, "step", poisoned)
    white = np.ones([60, 80, 3], np.float32)
    items = tfnst.stylize_batch(
        [CONTENTS[0], white, CONTENTS[2]],
        STYLES[:1],
        config=TINY.replace(ema_momentum=0.3),  # not shared with another test's engine
        batch_size=3,
    )
    assert [item.status for item in items] == ["painted", "failed", "painted"]
    assert "no longer finite" in items[1].error


def test_memory_that_is_too_small_for_all_together_paints_fewer():
    sizes = []

    def paint(config, contents, callback):
        sizes.append(len(contents))
        if len(contents) > 1:
            raise MemoryError("too many")
        return paint_contents(config, contents, callback)

    items = paint_batch([CONTENTS[0]] * 3, STYLES[:1], batch_size=3, paint=paint)
    assert [item.status for item in items] == ["painted"] * 3
    assert sizes == [3, 1, 2, 1, 1]


def test_a_picture_that_is_too_large_to_load_stops_no_other():
    def load(source, *rest, **options):
        if source is CONTENTS[1]:
            raise MemoryError
        return load_content(source, *rest, **options)

    items = paint_batch(CONTENTS, STYLES[:1], load=load)
    assert [item.status for item in items] == ["painted", "failed", "painted"]
    assert items[1].error == "out of memory"


def test_open_files_are_painted_in_every_style(files):
    with (
        open(files / "photo0.png", "rb") as content,
        open(files / "style0.png", "rb") as style,
        open(files / "photo2.png", "rb") as mask,
    ):
        part = tfnst.StyleImage(image=style, mask=mask)
        styles = [part, files / "style1.png", [part, files / "style1.png"]]
        items = tfnst.stylize_batch([content, CONTENTS[2]], styles, config=FEW)
    assert [item.status for item in items] == ["painted"] * 6
    part = tfnst.StyleImage(image=files / "style0.png", mask=files / "photo2.png")
    for item, wanted in (
        (items[0], part),
        (items[2], files / "style1.png"),
        (items[5], [part, files / "style1.png"]),
    ):
        content = CONTENTS[2] if item is items[5] else files / "photo0.png"
        alone = tfnst.stylize(content, wanted, config=FEW)
        np.testing.assert_array_equal(item.result.array, alone.array)


def test_a_picture_that_its_format_cannot_hold_stops_no_other(tmp_path):
    def write(result, path, *rest, **options):
        if path.name == "0002_0001.png":
            raise ValueError("`output` must be in a format that holds it")
        result.write(path, *rest, **options)

    items = paint_batch(CONTENTS, STYLES[:1], tmp_path, write=write)
    assert [item.status for item in items] == ["painted", "failed", "painted"]


def test_a_callback_sees_every_picture_and_can_stop(files):
    seen = []

    def watch(progress):
        seen.append((progress.done, progress.total, progress.run is not None))
        if progress.done == 1 and progress.run is not None:
            progress.stop()

    items = tfnst.stylize_batch(
        [CONTENTS[0]] * 3, STYLES[:1], files / "out", config=TINY, callback=watch
    )
    assert [item.status for item in items] == ["painted", "left", "left"]
    assert {total for _, total, _ in seen} == {3}
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    assert [path.name for path in (files / "out").iterdir()] == ["0001_0001.png"]


def test_a_painter_that_was_stopped_paints_the_rest():
    items = plan_items([CONTENTS[0]] * 2, STYLES[:1], None)
    stops = [True]

    def watch(progress):
        if stops and progress.done == 1:
            stops.pop()
            progress.stop()

    stopping = BatchPainter(TINY, batch_size=1, callback=watch)
    stopping.paint(items)
    assert [item.status for item in items] == ["painted", "left"]
    rest = plan_items([CONTENTS[0]] * 2, STYLES[:1], None)
    stopping.paint(rest)
    assert [item.status for item in rest] == ["painted", "painted"]


@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.parametrize("kind", [ValueError, OSError, MemoryError])
def test_an_error_of_a_callback_is_no_picture_s_fault(files, kind, batch_size):
    error = kind("`callback` has a bug")
    broken = []

    def paint(*arguments):
        if broken:
            raise ValueError("it can't be painted")
        return paint_contents(*arguments)

    def fail(progress):
        if progress.done == batch_size and progress.run is not None:
            raise error

    contents = [CONTENTS[0]] * 2 * batch_size
    items = plan_items(contents, STYLES[:1], files / "out")
    failing = BatchPainter(TINY, batch_size=batch_size, callback=fail, paint=paint)
    with pytest.raises(kind) as caught:
        failing.paint(items)
    assert caught.value is error
    assert [item.status for item in items] == (
        ["painted"] * batch_size + ["left"] * batch_size
    )
    # What was painted before is written.
    assert len(list((files / "out").iterdir())) == batch_size
    # Afterwards a picture's fault is one again.
    broken.append(True)
    items = plan_items([CONTENTS[0]], STYLES[:1], None)
    failing.paint(items)
    assert items[0].error == "it can't be painted"


class Watched:
    """Notes what a batch does: the names of pictures loaded, painted and written.

    Attributes:
        options: arguments of BatchPainter.
    """

    def __init__(self):
        self.events = []
        self.threads = set()
        self.options = {
            "load": self._noted("load", load_content, lambda content, *_: content.stem),
            "paint": self._noted("paint", paint_contents, self._painted),
            "write": self._noted(
                "write", TransferResult.write, lambda _, path, *__: path.stem
            ),
        }

    def _painted(self, config, contents, callback):
        return contents[0].source["name"].removesuffix(".png")

    def _noted(self, event, real, name_of):
        def noted(*args, **kwargs):
            self.events.append((f"{event} begins", name_of(*args)))
            self.threads.add((event, threading.current_thread().name))
            result = real(*args, **kwargs)
            self.events.append((f"{event} ends", name_of(*args)))
            return result

        return noted

    def happened(self, event, picture):
        return (event, picture) in self.events


def test_the_next_picture_is_loaded_and_the_last_one_written_meanwhile(files):
    tfnst.save_image(CONTENTS[1], files / "photo1.png")
    watched = Watched()

    def wait_for(event, picture):
        deadline = time.monotonic() + 300
        while not watched.happened(event, picture) and time.monotonic() < deadline:
            time.sleep(0.01)
        return watched.happened(event, picture)

    reports = []

    def watch(progress):
        reports.append((progress.done, progress.run is not None))
        if (
            progress.run is not None
            and progress.items[0].content_image.stem == "photo1"
        ):
            assert wait_for("load ends", "photo2")
            assert wait_for("write ends", "photo0_style0")
            # One batch ahead, and no more.
            assert not watched.happened("paint begins", "photo2")

    items = paint_batch(
        paths(files, "photo", range(3)), paths(files, "style", (0,)), files / "out",
        callback=watch, **watched.options,
    )  # fmt: skip
    assert [item.status for item in items] == ["painted"] * 3
    assert {event for event, thread in watched.threads if thread == "MainThread"} == {
        "load",  # the first one
        "paint",
    }
    assert reports[-1] == (3, False)
    assert [done for done, _ in reports] == sorted(done for done, _ in reports)
    # Between runs, and at the end.
    assert sum(not running for _, running in reports) == 4


def test_without_memory_for_it_nothing_is_done_meanwhile(files):
    watched = Watched()
    # Enough to paint, and too little to read a picture that may be large.
    config = TINY.replace(max_memory=resident_memory() / GIB + 1)
    paint_batch(
        paths(files, "photo", (0, 2)), paths(files, "style", (0, 1)), files / "out",
        config=config, **watched.options,
    )  # fmt: skip
    order = [event for event, _ in watched.events]
    once = [
        f"{what} {when}" for what in ("load", "paint") for when in ("begins", "ends")
    ]
    assert order[:4] == once
    for index in range(len(order)):
        if order[index] == "paint begins":
            assert order[index + 1] == "paint ends"
    names = [name for event, name in watched.events if event == "write ends"]
    assert names == [
        f"photo{content}_style{style}" for style in (0, 1) for content in (0, 2)
    ]


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_full_disk_ends_a_batch(files, batch_size):
    wanted = ["photo0_style0", "photo2_style0", "photo0_style1", "photo2_style1"]

    def write(result, path, *rest, **options):
        if path.stem == wanted[1]:
            raise OSError(errno.ENOSPC, "`output` must be on a disk with space")
        result.write(path, *rest, **options)

    items = plan_items(
        paths(files, "photo", (0, 2)), paths(files, "style", (0, 1)), files / "out"
    )
    with pytest.raises(OSError, match="a disk with space") as caught:
        BatchPainter(TINY, batch_size=batch_size, write=write).paint(items)
    assert caught.value.errno == errno.ENOSPC
    statuses = [item.status for item in items]
    assert statuses[:2] == ["painted", "left"]
    assert statuses[3] == "left"
    written = {path.stem for path in (files / "out").iterdir()}
    assert written == {item.output.stem for item in items if item.status == "painted"}


def test_an_error_that_ends_a_batch_leaves_no_picture_unwritten(files):
    painted = []

    def paint(*arguments):
        if painted:
            raise KeyboardInterrupt
        painted.append(True)
        return paint_contents(*arguments)

    def write(result, *arguments, **options):
        time.sleep(0.2)
        result.write(*arguments, **options)

    items = plan_items(
        paths(files, "photo", (0, 2)), paths(files, "style", (0,)), files / "out"
    )
    with pytest.raises(KeyboardInterrupt):
        BatchPainter(TINY, paint=paint, write=write).paint(items)
    assert [item.status for item in items] == ["painted", "left"]
    assert tfnst.load_image(items[0].output).shape == (1, 36, 48, 3)
    assert [path.name for path in (files / "out").iterdir()] == ["photo0_style0.png"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"contents": []}, "`contents` must hold one picture or more"),
        ({"styles": []}, "`styles` must hold one picture or more"),
        ({"suffix": ".gif"}, "`suffix` must be one of"),
        ({"pairs": True}, "`styles` must be as many as `contents` to be"),
        ({"batch_size": 0}, "`batch_size` must be an integer, 1 or more"),
        ({"init_image": "given"}, "`init_image` must be 'content', 'style' or"),
        ({"suffix": ".jpg", "bits": 16}, "`bits` must be 8 in a .jpg file"),
        ({"contents": ["a/x.png", "b/x.jpg"]}, "must have different names"),
        ({"contents": "a.png"}, "`contents` must be a list of pictures"),
        ({"styles": 5}, "`styles` must be a list of pictures"),
        ({"output": 5}, "`output` must be a path"),
        ({"callback": 5}, "`callback` must be a function of a BatchProgress"),
        ({"bits": "8"}, "`bits` must be 8 or 16"),
    ],
)
def test_bad_arguments(tmp_path, changes, expected):
    arguments = {"contents": CONTENTS, "styles": STYLES, "output": tmp_path}
    with pytest.raises(ValueError, match=expected):
        tfnst.stylize_batch(**arguments | changes, config=TINY)


def test_pairs_come_from_a_table(tmp_path):
    table = tmp_path / "pairs.csv"
    table.write_text("\ufeffstyle,content,note\ns.png,c.png,1\n/s2.png,d/c.png,2\n")
    contents, styles = read_pairs(table)
    assert contents == [tmp_path / "c.png", tmp_path / "d" / "c.png"]
    assert [str(style) for style in styles] == [str(tmp_path / "s.png"), "/s2.png"]


@pytest.mark.parametrize(
    "text",
    [
        "content;style\nc.png;s.png\nd/c.png;t.png\n;\n",
        "Content\tSTYLE\nc.png\ts.png\nd/c.png\tt.png\n",
        ' content , Style \r\nc.png, s.png\r\n\r\n"d/c.png",t.png\r\n , \r\n',
        "\n\ncontent,style,note\nc.png,s.png\nd/c.png,t.png,and,more\n,,\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_are_read_as_spreadsheets_write_them(tmp_path, text, encoding):
    table = tmp_path / "pairs.csv"
    table.write_bytes(text.encode(encoding))
    contents, styles = read_pairs(table)
    assert contents == [tmp_path / "c.png", tmp_path / "d" / "c.png"]
    assert styles == [tmp_path / "s.png", tmp_path / "t.png"]


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("", "column content"),
        ("content,style\n", "pairs"),
        ("a,b\n1,2\n", "column content"),
        ("content\nx\n", "column style"),
        ("content,style\nx,y\nx,\n", "style in line 3"),
        ("content,style\n\n\nx\n", "style in line 4"),
    ],
)
def test_a_table_without_pairs_is_refused(tmp_path, text, missing):
    table = tmp_path / "pairs.csv"
    table.write_text(text)
    with pytest.raises(ValueError, match="`pairs` must be a CSV file") as caught:
        read_pairs(table)
    assert str(caught.value).endswith(f"{str(table)!r}, which has no {missing}")
    with pytest.raises(FileNotFoundError, match="`pairs` must be a file"):
        read_pairs(tmp_path / "none.csv")
    table.write_bytes("content,style\nBär.png,s.png\n".encode("latin1"))
    with pytest.raises(ValueError, match="'utf-8' codec can't decode byte"):
        read_pairs(table)


def test_folders_stand_for_their_pictures(files):
    (files / "notes.txt").write_text("")
    (files / ".hidden.png").write_text("")
    (files / "IMG_0001.HEIC").write_text("")
    found = find_pictures([files, files / "x.png"])
    names = ["photo0", "photo1", "photo2", "style0", "style1", "x"]
    expected = ["IMG_0001.HEIC", *(f"{name}.png" for name in names)]
    assert [path.name for path in found] == expected
    (files / "empty").mkdir()
    with pytest.raises(ValueError, match="must be pictures or folders of"):
        find_pictures([files / "empty"])


@pytest.fixture
def command(files, monkeypatch, capsys):
    """`tfnst batch` in this process, as `run_here`."""

    def call(*arguments):
        return run_here(
            monkeypatch, capsys, files, "batch", *arguments, *TINY_OPTIONS
        )  # fmt: skip

    return call


def test_the_command_reports_and_says_by_its_code_what_failed(files, command):
    code, out, err = command(
        "photo0.png", "photo1.png", "-s", "style0.png", "-o", "out",
        "--report", "all.json",
    )  # fmt: skip
    assert (code, out) == (1, "out: 1 painted, 1 failed; all.json\n")
    assert "tfnst: failed: out/photo1_style0.png: `content_image` must" in err
    report = json.loads((files / "all.json").read_text())
    assert (report["painted"], report["failed"], report["left"]) == (1, 1, 0)
    assert report["items"][1]["error"].startswith("`content_image` must be")

    (files / "pairs.csv").write_text("content,style\nphoto0.png,style0.png\n")
    code, out, _ = command("--pairs", "pairs.csv", "-o", "out")
    assert (code, out) == (0, "out: 1 skipped; out/report.json\n")
    code, _, _ = command("photo0.png", "--pairs", "pairs.csv", "-o", "out")
    assert code == 2
    code, _, err = command("photo0.png", "-o", "out")
    assert code == 2
    assert "`styles` must hold one picture or more" in err


def test_nothing_that_is_read_is_written_over(files, command):
    (files / "photos").mkdir()
    (files / "photo0.png").rename(files / "photos" / "photo0.png")
    for arguments, expected in (
        (
            ("photos", "-o", "photos"),
            "`output` must be a folder other than those of the pictures. "
            "Received: 'photos'",
        ),
        (
            ("photo2.png", "-o", "out", "--report", "photo2.png"),
            "`report` must be a file other than `contents`. Received: 'photo2.png'",
        ),
        (
            ("photo2.png", "-o", "out", "--report", "out/photo2_style0.png"),
            "`report` must be a file other than `output`. "
            "Received: 'out/photo2_style0.png'",
        ),
        (
            ("photo2.png", "-o", "out", "--report", "photo1.png"),
            "`report` must be a new file or a report of tfnst. "
            "Received: 'photo1.png', which is something else",
        ),
    ):
        before = {p: p.read_bytes() for p in files.glob("**/*.*")}
        told = command(*arguments, "-s", "style0.png")
        assert told == (2, "", f"tfnst: error: {expected}\n")
        assert {p: p.read_bytes() for p in files.glob("**/*.*")} == before
    # Painted pictures among the contents, as a shell lists them.
    tfnst.stylize_batch(
        [files / "photo2.png"], [files / "style0.png"], files / "photos", config=TINY
    )
    painted = files / "photos" / "photo2_style0.png"
    painted.rename(files / "photos" / "a_style0.png")
    contents = [files / "photos" / name for name in ("a.png", "a_style0.png")]
    with pytest.raises(
        ValueError, match="`output` must be a file other than `contents"
    ):
        tfnst.stylize_batch(contents, [files / "style0.png"], files / "photos")


@pytest.mark.slow
def test_a_batch_that_was_killed_is_taken_up_where_it_was(tmp_path):
    for i in range(24):
        tfnst.save_image(picture(40, 52, seed=i), tmp_path / f"c{i:02}.png")
    for i in range(2):
        tfnst.save_image(picture(50, 40, seed=100 + i), tmp_path / f"s{i}.png")
    contents = [f"c{i:02}.png" for i in range(24)]
    arguments = [*contents, "-s", "s0.png", "-s", "s1.png", "-o", "out", *TINY_OPTIONS]
    out = tmp_path / "out"
    process = processes.start_tfnst("batch", *arguments, cwd=tmp_path)
    deadline = time.monotonic() + 300
    while len(list(out.glob("*.png"))) < 9 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.png")}
    assert 9 <= len(before) < 48
    for path in before:
        assert tfnst.load_image(path).shape == (1, 37, 48, 3)
        assert read_manifest(path)["content_image"]["name"] in contents

    done = processes.run_tfnst("batch", *arguments, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    report = json.loads((out / "report.json").read_text())
    assert report["skipped"] == len(before)
    assert report["painted"] == 48 - len(before)
    after = {path: path.stat().st_mtime_ns for path in out.glob("*.png")}
    assert len(after) == 48
    assert {path: after[path] for path in before} == before
    for path in after:
        assert tfnst.load_image(path).shape == (1, 37, 48, 3)


def test_an_interrupted_batch_leaves_the_rest(files, command, monkeypatch):
    real = run.Run.paint
    painted = []

    def paint(self):
        painted.append(self)
        if len(painted) == 2:
            signal.raise_signal(signal.SIGINT)
        return real(self)

    monkeypatch.setattr(run.Run, "paint", paint)
    arguments = ["photo0.png", "photo2.png", "-s", "style0.png", "-s", "style1.png"]
    code, out, _ = command(*arguments, "-o", "out", "--batch-size", "1")
    assert (code, len(painted)) == (130, 2)
    # The second one is broken off.
    assert "1 painted, 3 left" in out
    report = json.loads((files / "out" / "report.json").read_text())
    assert (report["painted"], report["left"]) == (1, 3)
    assert [path.name for path in files.glob("out/*.png")] == ["photo0_style0.png"]
    # Afterwards, only what is left is painted.
    code, out, _ = command(*arguments, "-o", "out")
    assert code == 0
    assert "3 painted, 1 skipped" in out
