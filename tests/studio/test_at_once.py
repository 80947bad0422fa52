"""Sample styles that networks have learned, painted at once."""

import dataclasses
from functools import partial

import numpy as np
import pytest

import tfnst
from tests.helpers import TINY, message, picture
from tests.studio.helpers import make_pictures, make_run, make_task
from tests.training.helpers import untrained
from tfnst.config import settings_within
from tfnst.images.manifest import read_manifest
from tfnst.images.reading import load_image
from tfnst.images.writing import to_pil
from tfnst.studio import panels, run_queue
from tfnst.studio.limits import Limits
from tfnst.studio.painters import LocalPainter
from tfnst.studio.tasks import VideoOptions
from tfnst.video.reading import open_film


@pytest.fixture
def open_studio(open_studio, samples):
    """Opens a studio with the samples and their networks."""
    return partial(open_studio, samples=samples, networks=samples)


def task_at_once(samples, content=None, **options):
    """A task for the network of a sample; by default with a sample photo."""
    content, style = content or samples / "photo_lake.png", samples / "style_waves.png"
    return make_task(content, style, network=samples / "waves.keras", **options)


def paint(studio, samples, **settings):
    """A picture painted at once, with the form's settings changed by some."""
    values = {field.name: getattr(TINY, field.name) for field in studio.fields}
    config, wrong = studio.read_settings(values | settings, at_once=True)
    assert wrong == {}
    task = task_at_once(samples, config=config)
    run = make_run(studio.history("me"), task)
    entry = LocalPainter(TINY).paint(run, task, studio.limits)
    run.outcomes, run.state = [entry], run_queue.DONE
    return run, entry


def test_a_sample_is_known_by_its_picture(open_studio, samples, tmp_path):
    studio = open_studio()
    copy = tmp_path / "my upload.png"
    copy.write_bytes((samples / "style_waves.png").read_bytes())
    assert studio.network_of(copy) == samples / "waves.keras"
    # Another picture with the name of the sample.
    (impostor,) = make_pictures(tmp_path, "style_waves.png")
    assert studio.network_of(impostor) is None
    assert studio.network_of(samples / "style_other.png") is None
    assert studio.network_of(tmp_path / "gone.png") is None
    assert studio.network_of(None) is None
    on_server = open_studio(server="localhost:8500")
    assert on_server.network_of(copy) is None


def test_the_picture_is_that_of_the_network(open_studio, samples):
    studio = open_studio()
    run, entry = paint(studio, samples, size=64, preserve_color="luminance")
    expected = tfnst.stylize(
        samples / "photo_lake.png",
        samples / "waves.keras",
        size=64,
        preserve_color="luminance",
    )
    painted = load_image(entry.path)[0]
    np.testing.assert_allclose(painted, expected.array, atol=0.51 / 255)
    kept = read_manifest(entry.path)
    assert kept["settings"] == expected.config.to_dict()
    assert kept["style_image"]["name"] == "waves.keras"
    assert kept["network"]["picture"]["name"] == "style_waves.png"
    assert panels.status(run) == f"Done in {run.progress.seconds:.1f} s."
    facts = panels.facts(entry)
    assert "at once, by a network" in facts
    assert "Steps" not in facts


def test_other_settings_of_the_form_have_no_effect(open_studio, samples):
    values = {"steps": 0, "max_time": "soon", "style_strength": 7}
    studio = open_studio(limits=Limits(max_steps=1))
    _, entry = paint(studio, samples, **values)
    assert entry.settings["size"] == TINY.size
    assert entry.config(TINY).size == TINY.size
    _, wrong = studio.read_settings({"size": 1, "preserve_color": "none"}, at_once=True)
    assert list(wrong) == ["size"]


def test_the_hosts_limit_of_size_holds(open_studio, samples):
    studio = open_studio(limits=Limits(max_megapixels=0.001))
    text = message(ValueError, studio.check_limits, task_at_once(samples))
    assert "the host allows 0.001 megapixels" in text


def test_it_can_be_painted_again_while_its_network_is_here(open_studio, samples):
    studio = open_studio()
    _, entry = paint(studio, samples)
    history = studio.history("me")
    content, (style,) = studio.sources(history, entry)
    assert content.read_bytes() == (samples / "photo_lake.png").read_bytes()
    assert studio.network_of(style.image) == samples / "waves.keras"
    untrained(seed=2).save(samples / "waves.keras")
    gone = "The network that painted this picture isn't here."
    assert message(LookupError, studio.sources, history, entry) == gone
    (samples / "waves.keras").unlink()
    assert message(LookupError, studio.sources, history, entry) == gone


def test_strange_manifests_do_no_harm(open_studio, samples):
    studio = open_studio()
    _, entry = paint(studio, samples)
    for network in ({}, {"picture": 3}, {"picture": 5 * [{}]}):
        odd = dataclasses.replace(entry, manifest=entry.manifest | {"network": network})
        with pytest.raises(LookupError):
            studio.sources(studio.history("me"), odd)


def test_the_time_follows_from_the_size(samples):
    painter, task = LocalPainter(TINY), task_at_once(samples)
    assert painter.expected_seconds(task, (60, 80)) is None
    painter.prepare()
    painter.rehearse()
    small = painter.expected_seconds(task, (60, 80))
    step_by_step = dataclasses.replace(task, network=None)
    assert 0 < small < painter.expected_seconds(step_by_step, (60, 80))
    larger = task_at_once(samples, config=TINY.replace(size=96))
    large = painter.expected_seconds(larger, (60, 80))
    assert large == pytest.approx(4 * small)


@pytest.fixture
def film(tmp_path):
    """A video of two frames."""
    pytest.importorskip("av")
    path = tmp_path / "film.gif"
    frames = [to_pil(picture(40, 50, seed=seed)) for seed in range(2)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    return path


def test_a_video_is_painted_at_once(open_studio, samples, film):
    studio = open_studio()
    info, first = studio.look_at_video(str(film))
    assert "2 frames" in panels.video(info, first)
    task = task_at_once(
        samples,
        film,
        config=settings_within("at_once", TINY),
        video=VideoOptions(),
        suffix=".mp4",
    )
    studio.check_limits(task)
    run = make_run(studio.history("me"), task)
    video = LocalPainter(TINY).paint(run, task, studio.limits)
    assert studio.history("me").videos() == [video]
    assert run.progress.frames_done == 2
    with open_film(video) as reader:
        assert len(list(reader.frames())) == 2
