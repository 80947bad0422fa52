"""Batches on a Ray cluster, and files at URLs."""

import json
import subprocess
import time

import psutil
import pytest

import tfnst
from tests.cli.helpers import TFNST, TINY_OPTIONS
from tests.helpers import TINY, assert_alike, picture
from tfnst.batch import ray_workers, storage
from tfnst.batch.planning import plan_items
from tfnst.batch.sources import find_pictures
from tfnst.images.manifest import read_manifest

pytest.importorskip("ray")
fsspec = pytest.importorskip("fsspec")


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_nothing_and_nothing_is_painted_twice(tmp_path):
    contents = [f"c{i:02}.png" for i in range(24)]
    for i, name in enumerate(contents):
        tfnst.save_image(picture(40, 52, seed=i), tmp_path / name)
    (tmp_path / "c24.png").write_text("no picture")
    for i in range(2):
        tfnst.save_image(picture(50, 40, seed=100 + i), tmp_path / f"s{i}.png")
    process = subprocess.Popen(
        [
            *TFNST, "batch", *contents, "c24.png", "-s", "s0.png", "-s", "s1.png",
            "-o", "out", "--engine", "ray", "--workers", "2", *TINY_OPTIONS,
        ],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    written = {}
    killed = None
    out = tmp_path / "out"
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        for path in out.glob("*.png"):
            stamp = path.stat().st_mtime_ns
            assert written.setdefault(path.name, stamp) == stamp  # never twice
        if killed is None and len(written) >= 6:
            workers = [
                child
                for child in psutil.Process(process.pid).children(recursive=True)
                if "MapWorker" in " ".join(child.cmdline())
            ]
            killed = workers[0].pid
            workers[0].kill()
        time.sleep(0.005)
    _, stderr = process.communicate(timeout=300)
    assert killed is not None
    assert process.returncode == 1, stderr
    report = json.loads((out / "report.json").read_text())
    by_status = {item["output"]: item["status"] for item in report["items"]}
    assert len(by_status) == 50
    assert report["failed"] == 2
    # A picture that the worker had written but not reported is skipped next time.
    assert report["painted"] + report["skipped"] == 48
    assert report["skipped"] <= 1
    assert "c24.png" in stderr
    assert len(list(out.glob("*.png"))) == 48
    for path in out.glob("*.png"):
        assert tfnst.load_image(path).shape == (1, 37, 48, 3)
        assert path.stat().st_mtime_ns == written.get(
            path.name, path.stat().st_mtime_ns
        )
    alone = tfnst.stylize(tmp_path / contents[3], tmp_path / "s1.png", config=TINY)
    painted = tfnst.load_image(out / "c03_s1.png")[0]
    # A worker may share a sum among more threads, and so round otherwise.
    assert_alike(painted, alone.array, mean=0.01)


@pytest.fixture
def bucket():
    """A folder at a URL."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield "memory://bucket"
    system.store.clear()


def test_pictures_at_urls_are_read_and_written(bucket, tmp_path):
    for name, seed in (("photos/a", 1), ("photos/b", 2), ("style", 3)):
        tfnst.save_image(picture(40, 52, seed=seed), tmp_path / "x.png")
        storage.write_url(f"{bucket}/{name}.png", (tmp_path / "x.png").read_bytes())
    contents = find_pictures([f"{bucket}/photos"])
    assert [storage.file_name(url) for url in contents] == ["a.png", "b.png"]
    contents.append(f"{bucket}/missing.png")
    arguments = (contents, [f"{bucket}/style.png"], f"{bucket}/new/out")
    items = tfnst.stylize_batch(*arguments, config=TINY)
    assert [item.status for item in items] == ["painted", "painted", "failed"]
    assert "`content_image` must be a file that can be read" in items[2].error
    data = storage.read_file(items[1].output)
    manifest = read_manifest(data)
    assert manifest["content_image"]["name"] == "b.png"
    assert manifest["style_image"]["name"] == "style.png"
    assert tfnst.load_image(data).shape == (1, 37, 48, 3)
    items = tfnst.stylize_batch(*arguments, config=TINY)
    assert [item.status for item in items] == ["skipped", "skipped", "failed"]


def test_a_url_that_nothing_opens_fails_its_picture():
    items = tfnst.stylize_batch(
        ["nosuch://bucket/a.png"], [picture(40, 52)], config=TINY
    )
    assert items[0].status == "failed"
    assert "`content_image` must be a URL that can be opened" in items[0].error


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"workers": 0}, "`workers` must be an integer, 1 or more"),
        ({"cpus": -1}, "`cpus` must be a number, 0 or more"),
        ({"cpus": 0}, "not both be 0"),
        ({"items": plan_items(["a"], ["b"], None)}, "must be paths or"),
    ],
)
def test_bad_arguments(changes, expected):
    items = plan_items(["a.png"], ["b.png"], "out")
    arguments = {"items": items, "config": TINY} | changes
    with pytest.raises(ValueError, match=expected):
        ray_workers.paint_items(
            arguments.pop("items"), arguments.pop("config"), **arguments
        )


def test_workers_fill_the_cluster():
    resources = {"CPU": 8.0, "GPU": 2.0}
    assert ray_workers._room(resources, 2.0, 0.0) == 4
    assert ray_workers._room(resources, 1.0, 0.5) == 4
    assert ray_workers._room({"CPU": 1.0}, 4.0, 0.0) == 1
