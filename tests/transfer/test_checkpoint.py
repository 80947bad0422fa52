"""A run that was killed goes on as if nothing had happened."""

import functools
import io
import json
import random
import shutil
import signal
import time
import zipfile

import numpy as np
import pytest

import tfnst
from tests import processes
from tests.cli.helpers import TINY_OPTIONS
from tests.helpers import TINY, assert_alike, paint_in_tiles, picture
from tfnst.files import UnwrittenWarning
from tfnst.transfer.checkpoint import load_checkpoint

CONTENT, STYLE = picture(60, 80, seed=1), picture(50, 40, seed=2)


def stopped_at(step, path, **settings):
    def stop(progress):
        if progress.step >= step:
            progress.stop()

    return tfnst.stylize(
        CONTENT, STYLE, callback=stop, callback_steps=1, checkpoint=path, **settings
    )


@functools.cache
def unbroken(**settings):
    """A run without a break."""
    return tfnst.stylize(CONTENT, STYLE, config=TINY.replace(**settings))


@pytest.fixture(scope="module")
def third_step(tmp_path_factory):
    """The bytes of a checkpoint after three steps."""
    path = tmp_path_factory.mktemp("third_step") / "x"
    stopped_at(3, path, config=TINY)
    return path.read_bytes()


NOISE = {"init_image": "noise", "style_loss": "gram"}


@pytest.mark.parametrize(
    ("step", "settings"),
    [
        *((step, {}) for step in (1, 5, 7, 12)),
        (8, {"optimizer": "lbfgs"}),
        (5, {"init_image": "noise"}),
        *(
            pytest.param(step, settings, marks=pytest.mark.slow)
            for settings in ({"optimizer": "lbfgs"}, NOISE)
            for step in (1, 5, 7, 12)
        ),
    ],
)
def test_a_resumed_run_equals_one_without_a_break(tmp_path, step, settings):
    config = TINY.replace(**settings)
    path = tmp_path / "run.checkpoint"
    whole = unbroken(**settings)
    first = stopped_at(step, path, config=config)
    assert first.stopped == (step < 12)
    result = tfnst.stylize(CONTENT, STYLE, resume=path)
    np.testing.assert_array_equal(result.array, whole.array)
    assert result.config == config
    assert not result.stopped
    for name in ("step", "size", "content", "style", "total_variation", "total"):
        np.testing.assert_array_equal(result.losses[name], whole.losses[name])
    assert (np.diff(result.losses["seconds"]) > 0).all()


@pytest.mark.parametrize(
    ("plan", "others"),
    [
        ((None, 30, None), [(None, None, None)]),
        pytest.param(
            ("block1_pool", 24, 9),
            [(None, 30, None), ("block1_pool", 24, None), (None, None, None)],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_tiles_are_resumed_too(tmp_path, monkeypatch, plan, others):
    paint_in_tiles(monkeypatch, *plan, sample_side=8)
    config = TINY.replace(min_size=48, initial_steps=4)
    whole = tfnst.stylize(CONTENT, STYLE, config=config)
    stopped_at(3, tmp_path / "x", config=config)
    kept = (tmp_path / "x").read_bytes()
    result = tfnst.stylize(CONTENT, STYLE, resume=tmp_path / "x")
    np.testing.assert_array_equal(result.array, whole.array)
    # Where there is other memory by then, there may be other tiles, or none. What a
    # step knows of the one before isn't carried over, so its gradient is exact.
    for other in others:
        paint_in_tiles(monkeypatch, *other, sample_side=8)
        (tmp_path / "x").write_bytes(kept)
        result = tfnst.stylize(CONTENT, STYLE, resume=tmp_path / "x")
        assert_alike(result.array, whole.array, mean=2e-3)


@pytest.mark.slow
def test_a_whole_picture_goes_on_in_tiles(tmp_path, monkeypatch):
    stopped_at(11, tmp_path / "x", config=TINY)
    paint_in_tiles(monkeypatch, None, 30, None)
    result = tfnst.stylize(CONTENT, STYLE, resume=tmp_path / "x")
    assert_alike(result.array, unbroken().array)


def test_a_picture_to_start_from_is_not_needed_again(tmp_path):
    given = picture(30, 30, seed=4)
    whole = tfnst.stylize(CONTENT, STYLE, init_image=given, config=TINY)
    stopped_at(3, tmp_path / "x", config=TINY, init_image=given)
    kept = (tmp_path / "x").read_bytes()
    result = tfnst.stylize(CONTENT, STYLE, resume=tmp_path / "x")
    np.testing.assert_array_equal(result.array, whole.array)
    (tmp_path / "x").write_bytes(kept)
    again = tfnst.stylize(CONTENT, STYLE, resume=tmp_path / "x", init_image=given)
    np.testing.assert_array_equal(again.array, whole.array)
    for other in (given[:, ::-1], STYLE):
        with pytest.raises(ValueError, match="other pictures, init_image"):
            tfnst.stylize(CONTENT, STYLE, resume=tmp_path / "x", init_image=other)
    stopped_at(3, tmp_path / "y", config=TINY)
    with pytest.raises(ValueError, match="other settings, init_image content and not"):
        tfnst.stylize(CONTENT, STYLE, resume=tmp_path / "y", init_image=given)


def test_a_resumed_run_keeps_its_state_where_it_was(tmp_path, third_step):
    path, other = tmp_path / "x", tmp_path / "y"
    path.write_bytes(third_step)
    tfnst.stylize(CONTENT, STYLE, resume=path, checkpoint=other)
    assert path.read_bytes() == third_step
    assert load_checkpoint(other).losses.shape == (1, 12)
    tfnst.stylize(CONTENT, STYLE, resume=path)
    assert load_checkpoint(path).losses.shape == (1, 12)


def test_checkpoints_are_kept_now_and_then_and_at_the_end(tmp_path):
    kept = []

    def watch(_):
        if path.exists():
            kept.append(load_checkpoint(path).losses.shape[1])

    path = tmp_path / "x"
    tfnst.stylize(
        CONTENT, STYLE, config=TINY, callback=watch, callback_steps=1,
        checkpoint=path, checkpoint_seconds=0,
    )  # fmt: skip
    assert kept == list(range(1, 12))
    assert load_checkpoint(path).losses.shape == (1, 12)
    kept.clear()
    path = tmp_path / "y"
    tfnst.stylize(CONTENT, STYLE, config=TINY, callback=watch, checkpoint=path)
    assert kept == []
    assert load_checkpoint(path).losses.shape == (1, 12)


def test_a_checkpoint_of_another_run_is_refused(tmp_path, third_step):
    path = tmp_path / "x"
    path.write_bytes(third_step)
    with pytest.raises(ValueError, match=r"other settings, learning_rate .* not 0.5"):
        tfnst.stylize(CONTENT, STYLE, resume=path, learning_rate=0.5)
    with pytest.raises(ValueError, match="other pictures, content_image"):
        tfnst.stylize(STYLE, STYLE, resume=path)
    with pytest.raises(ValueError, match=r"`checkpoint_seconds` must be a finite"):
        tfnst.stylize(
            CONTENT, STYLE, config=TINY, checkpoint=path, checkpoint_seconds=-1
        )


def test_a_checkpoint_that_cannot_be_written_does_not_cost_the_picture(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()

    def take_away(progress):
        if progress.step == 3:
            shutil.rmtree(folder)

    with pytest.warns(UnwrittenWarning, match="the checkpoint was not written: `check"):
        result = tfnst.stylize(
            CONTENT, STYLE, config=TINY, callback=take_away, callback_steps=1,
            checkpoint=folder / "x", checkpoint_seconds=0,
        )  # fmt: skip
    assert not result.stopped
    assert result.losses["step"].tolist() == list(range(1, 13))
    assert_alike(result.array, unbroken().array)


def test_a_checkpoint_replaces_nothing_else(tmp_path):
    photo, other = tmp_path / "photo.png", tmp_path / "diary"
    tfnst.save_image(CONTENT, photo)
    other.write_text("dear diary")
    before = photo.read_bytes()
    for settings in ({}, {"init_image": photo}):
        content = STYLE if settings else photo
        with pytest.raises(ValueError, match="`checkpoint` must be a file other than"):
            tfnst.stylize(content, STYLE, config=TINY, checkpoint=photo, **settings)
    with pytest.raises(ValueError, match="`checkpoint` must be a new file or a check"):
        tfnst.stylize(CONTENT, STYLE, config=TINY, checkpoint=other)
    assert (photo.read_bytes(), other.read_text()) == (before, "dear diary")
    other.write_text("")
    tfnst.stylize(CONTENT, STYLE, config=TINY, checkpoint=other)
    tfnst.stylize(CONTENT, STYLE, config=TINY, checkpoint=other)
    assert load_checkpoint(other).losses.shape == (1, 12)


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\5\6" + bytes(18)])
def test_what_is_no_checkpoint_is_refused(tmp_path, data):
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="`resume` must be a checkpoint of tfnst"):
        tfnst.stylize(CONTENT, STYLE, resume=path)
    with pytest.raises(FileNotFoundError, match="`resume` must be a file"):
        tfnst.stylize(CONTENT, STYLE, resume=tmp_path / "missing")


def rewrite(path, **changes):
    """Changes fields in the header of a checkpoint, and arrays."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(files["header.json"])
    for name, value in changes.items():
        if isinstance(value, np.ndarray):
            data = io.BytesIO()
            np.save(data, value)
            files[f"{name}.npy"] = data.getvalue()
        else:
            header[name] = value
    files["header.json"] = json.dumps(header).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"settings": TINY.to_dict() | {"brush": 3}},
            rf"a checkpoint of tfnst {tfnst.__version__}\. Received: .*/x', whose "
            r"settings are others: `brush` is not a setting",
        ),
        ({"settings": TINY.to_dict() | {"size": 3}}, "others: `size` must be an"),
        ({"settings": [1]}, "a checkpoint of tfnst. Received"),
        ({"scale": "0"}, "a checkpoint of tfnst. Received"),
        ({"scale": -1}, "a checkpoint of tfnst. Received"),
        ({"brush": 3}, "a checkpoint of tfnst. Received"),
        ({"scale_steps": ["x"]}, "a checkpoint of tfnst. Received"),
        ({"losses": np.zeros([1, 3])}, "a checkpoint of tfnst. Received"),
        ({"image": np.zeros([1, 8, 8, 3], np.float32)}, "same run. .* other shapes"),
        ({"scale": 7}, "same run. .* other shapes"),
        ({"scale_step": 5}, "same run. .* other shapes"),
        ({"scale_steps": [1, 2, 3]}, "same run. .* other shapes"),
    ],
)
def test_a_strange_checkpoint_is_refused(tmp_path, third_step, changes, message):
    path = tmp_path / "x"
    path.write_bytes(third_step)
    rewrite(path, **changes)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"`resume` must be .*{message}"):
        tfnst.stylize(CONTENT, STYLE, resume=path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["checkpoint", "resume"])
@pytest.mark.parametrize("value", [5, b"", b"x", "", True])
def test_what_is_no_path_is_refused(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be a path. Received: "):
        tfnst.stylize(CONTENT, STYLE, **{name: value})


@pytest.mark.parametrize("seconds", ["x", None, -1, True, float("nan"), 10**400])
def test_seconds_are_a_number(tmp_path, seconds):
    with pytest.raises(ValueError, match="`checkpoint_seconds` must be a finite numb"):
        tfnst.stylize(
            CONTENT, STYLE, config=TINY, checkpoint=tmp_path / "x",
            checkpoint_seconds=seconds,
        )  # fmt: skip


def test_a_cut_off_checkpoint_is_refused(tmp_path, third_step):
    path = tmp_path / "x"
    path.write_bytes(third_step[:-2000])
    with pytest.raises(ValueError, match="`resume` must be a checkpoint of tfnst"):
        tfnst.stylize(CONTENT, STYLE, resume=path)


@pytest.mark.slow
def test_a_command_killed_ten_times_gives_the_picture_of_one_that_was_not(tmp_path):
    tfnst.save_image(CONTENT, tmp_path / "c.png")
    tfnst.save_image(STYLE, tmp_path / "s.png")
    options = ["c.png", "s.png", *TINY_OPTIONS, "--steps", "400"]
    done = processes.run_tfnst(
        "stylize", *options, "-o", "whole.png", cwd=tmp_path, timeout=300
    )
    assert done.returncode == 0, done.stderr
    rng = random.Random(0)
    checkpoint = tmp_path / "run.checkpoint"
    kept = []
    for _ in range(10):
        with open(tmp_path / "printed.txt", "wb") as printed:
            process = processes.start_tfnst(
                "stylize", *options, "-o", "killed.png",
                "--checkpoint", checkpoint, "--checkpoint-seconds", "0",
                *(["--resume", checkpoint] if checkpoint.exists() else []),
                cwd=tmp_path, stderr=printed,
            )  # fmt: skip
        stamp = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        deadline = time.monotonic() + 300
        while process.poll() is None and time.monotonic() < deadline:
            now = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
            if now != stamp:
                break
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.2))
        process.kill()
        stderr = (tmp_path / "printed.txt").read_text()
        assert process.wait() in (-signal.SIGKILL, 0), stderr
        kept.append(load_checkpoint(checkpoint).losses.shape[1])
    assert kept == sorted(kept)
    assert kept[0] < 406
    options += ["--resume", "run.checkpoint", "-o", "resumed.png"]
    done = processes.run_tfnst("stylize", *options, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(
        tfnst.load_image(tmp_path / "resumed.png"),
        tfnst.load_image(tmp_path / "whole.png"),
    )
