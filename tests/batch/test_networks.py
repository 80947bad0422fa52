"""Batches in styles that networks have learned."""

import json

import numpy as np
import pytest

import tfnst
from tests.cli.helpers import run_here
from tests.helpers import TINY, message, picture
from tests.training.helpers import untrained
from tfnst.batch import ray_workers, storage
from tfnst.batch.planning import plan_items
from tfnst.batch.sources import read_pairs
from tfnst.images.manifest import read_manifest

FEW = TINY.replace(steps=2, initial_steps=2)


@pytest.fixture
def files(tmp_path):
    """Two photos and a file that is none; a picture and a network as styles."""
    for name, seed in (("photo0", 1), ("photo2", 2), ("style", 3)):
        tfnst.save_image(picture(60, 80, seed=seed), tmp_path / f"{name}.png")
    (tmp_path / "photo1.png").write_text("a diary")
    (tmp_path / "styles").mkdir()
    (tmp_path / "style.png").rename(tmp_path / "styles" / "style.png")
    untrained().save(tmp_path / "styles" / "waves.keras")
    return tmp_path


def test_pictures_and_networks_stand_side_by_side(files):
    photos = [files / f"photo{i}.png" for i in range(3)]
    styles = [files / "styles" / "style.png", files / "styles" / "waves.keras"]

    def paint(**settings):
        return tfnst.stylize_batch(
            photos, styles, files / "out", config=FEW, **settings
        )

    items = paint()
    assert [each.status for each in items] == ["painted", "failed", "painted"] * 2
    assert "`content_image` must be an image file" in items[4].error
    painted = tfnst.load_image(items[3].output)[0]
    alone = tfnst.stylize(photos[0], styles[1], size=48)
    np.testing.assert_allclose(painted, alone.array, atol=0.51 / 255)
    # The settings of runs had no effect on it.
    assert read_manifest(items[3].output) == alone.manifest
    assert [each.status for each in paint()] == ["skipped", "failed", "skipped"] * 2
    again = ["painted", "failed", "painted", "skipped", "failed", "skipped"]
    assert [each.status for each in paint(steps=3)] == again
    untrained(seed=2).save(styles[1])
    assert [each.status for each in paint(steps=3)] == again[3:] + again[:3]


def test_pictures_stay_in_memory_without_a_folder():
    network, contents = untrained(), [picture(60, 80), picture(64, 64)]
    items = tfnst.stylize_batch(contents, [network], size=48)
    for item, content in zip(items, contents, strict=True):
        assert item.status == "painted"
        assert item.seconds > 0
        expected = network.stylize(content, size=48).array
        np.testing.assert_array_equal(item.result.array, expected)


def test_a_batch_can_be_stopped_between_pictures():
    def stop(progress):
        if progress.done == 1:
            progress.stop()

    items = tfnst.stylize_batch(
        [picture(60, 80, seed=i) for i in range(3)],
        [untrained()],
        callback=stop,
        size=48,
    )
    assert [item.status for item in items] == ["painted", "left", "left"]


def test_settings_without_any_effect_are_refused_before_anything_is_painted(files):
    text = message(
        ValueError,
        tfnst.stylize_batch,
        [files / "photo0.png"],
        [files / "styles" / "waves.keras"],
        files / "out",
        steps=3,
    )
    assert text == (
        "`steps` has no effect on a style that a network has learned; leave it out. "
        "Received: 3"
    )
    assert not (files / "out").exists()


def test_a_file_that_is_no_network_fails_its_pictures(files):
    broken = files / "styles" / "waves.keras"
    broken.write_text("a diary")
    items = tfnst.stylize_batch([files / "photo0.png"], [broken], size=48)
    assert items[0].status == "failed"
    assert "`style_image` must be a network that `tfnst train`" in items[0].error


def test_the_command_finds_networks_in_folders(files, monkeypatch, capsys):
    (files / "styles" / "style.png").unlink()
    code, out, err = run_here(
        monkeypatch, capsys, files,
        *("batch", "photo0.png", "-s", "styles", "-o", "out", "--size", "48"),
        *("--contact-sheet", "sheet.png", "--json"),
    )  # fmt: skip
    assert (code, err) == (0, "")
    (item,) = json.loads(out)["items"]
    assert item["output"] == "out/photo0_waves.png"
    assert item["status"] == "painted"
    assert tfnst.load_image(files / "sheet.png").shape[2] > 2 * 48


def test_a_network_at_a_url(files):
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").store.clear()
    url = "memory://bucket/waves.keras"
    storage.write_url(url, (files / "styles" / "waves.keras").read_bytes())
    items = tfnst.stylize_batch([files / "photo0.png"], [url], files / "out", size=48)
    assert items[0].status == "painted"
    style = read_manifest(items[0].output)["style_image"]
    assert style == tfnst.load_network(files / "styles" / "waves.keras").source
    fsspec.filesystem("memory").store.clear()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.use_:DeprecationWarning")  # Ray's own.
def test_workers_paint_by_networks(files, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.chdir(files)
    items = plan_items(["photo0.png", "photo1.png"], ["styles/waves.keras"], "out")
    ray_workers.paint_items(items, TINY, workers=1)
    assert [item.status for item in items] == ["painted", "failed"]


def test_a_table_may_name_built_in_styles(files, monkeypatch):
    monkeypatch.setattr("tfnst.batch.sources.built_in_styles", lambda: ["waves", "sea"])
    (files / "sea").write_text("a picture")
    (files / "pairs.csv").write_text("content,style\nwaves,waves\nphoto0.png,sea\n")
    contents, styles = read_pairs(files / "pairs.csv")
    assert contents == [files / "waves", files / "photo0.png"]
    assert styles == ["waves", files / "sea"]
