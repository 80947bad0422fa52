"""The tabs that paint, with a stand-in for Gradio: no browser, no server."""

import asyncio
import sys
import types

import numpy as np
import pytest
from PIL import Image

from tests.studio.helpers import PretendPainter, make_pictures, wait_for
from tfnst.studio.limits import Limits
from tfnst.studio.masks import BRUSHES
from tfnst.studio.run_queue import RunQueue


class Component:
    """A component, whose events connect nothing; also what connecting returns."""

    def __init__(self, *values, **options):
        self.options, self.elem_id = options, options.get("elem_id")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __getattr__(self, event):
        return lambda *_, **__: Component()


class StandIn(types.ModuleType):
    """Gradio, of which each name is a component."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Component

    @staticmethod
    def update(**changes):
        return changes

    skip = update


def forget_the_page():
    """Has the modules that import Gradio imported again."""
    for name, module in list(sys.modules.items()):
        if name.startswith("tfnst.studio.") and hasattr(module, "gr"):
            del sys.modules[name]


@pytest.fixture
def painter():
    return PretendPainter()


@pytest.fixture
def studio(open_studio, painter, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", StandIn("gradio"))
    forget_the_page()
    studio = open_studio(limits=Limits(max_batch=2))
    studio.queue = RunQueue(painter, studio.limits)
    studio.queue.start()
    yield studio
    forget_the_page()


@pytest.fixture
def tab(studio):
    from tfnst.studio.paint_tab import PaintTab

    return PaintTab(studio, Component())


@pytest.fixture
def filled(studio, tab, tmp_path):
    """The values of a form with a photo and a style."""
    photo, style = make_pictures(tmp_path, "photo.png", "style.png")
    data = dict.fromkeys(tab.read)
    data |= {
        field: field.options.get("value") for field in tab.inputs.settings.values()
    }
    data |= {
        tab.inputs.content: {"path": str(photo)},
        tab.inputs.slots[0].image: {"path": str(style)},
        tab.inputs.slots[0].rotations: 1,
        tab.inputs.count: 1,
        tab.inputs.bits: "8",
        tab.suffix: ".png",
    }
    return data


def updates_of(tab, data):
    """What the page is told from the press of the button to the end of the run."""

    async def follow():
        request = types.SimpleNamespace(session_hash="a session")
        return [updates async for updates in tab.paint(data, request)]

    return asyncio.run(follow())


def test_what_is_missing_is_said_beside_it(tab, filled):
    (updates,) = updates_of(tab, filled | {tab.inputs.content: None})
    assert "Choose a photo first." in updates[tab.inputs.content_wrong]
    assert updates[tab.inputs.slots[0].wrong] == ""


def test_styles_have_their_options_and_painted_masks(tab, filled):
    inputs = tab.inputs
    slot = inputs.slots[0]
    layer = np.zeros((5, 5, 4), np.uint8)
    layer[0] = (*BRUSHES[0][1], 255)
    filled |= {slot.weight: 2.0, slot.scale: 0.5, slot.rotations: 4}
    filled |= {slot.layers: "block1_conv1, ", slot.mask.painted: [layer]}
    filled |= {inputs.regions.painted: [layer.swapaxes(0, 1)]}
    task, _ = inputs.read(filled)
    (style,) = task.styles
    assert (style.weight, style.scale, style.rotations) == (2.0, 0.5, 4)
    assert style.layers == ("block1_conv1",)
    for path, expected in (
        (style.mask, layer[..., 3]),
        (style.region, layer[..., 3].T),
    ):
        with Image.open(path) as kept:
            np.testing.assert_array_equal(kept, expected)
    assert task.files == {task.content, style.image, style.mask, style.region}
    (elsewhere,) = inputs.read(filled, photo=False)[0].styles
    assert (elsewhere.mask, elsewhere.region) == (style.mask, None)
    nothing, said = inputs.read(filled | {slot.layers: "block1_conv1, block1_conv1"})
    assert nothing is None
    assert "layers must be" in said[slot.wrong]
    assert said[inputs.style_wrong] == ""


def test_a_picture_is_painted(studio, painter, tab, filled):
    painter.go.release()
    first, begun, *_, ended = updates_of(tab, filled)
    assert begun[tab.start] == {"interactive": False}
    assert first[tab.comparison] == ""
    assert ended[tab.start] == {"interactive": True}
    assert "Painting" in ended[tab.comparison]
    (entry,) = studio.history("").entries()
    assert ended[tab.entry] == entry.name


def test_the_run_of_a_closed_page_ends_unless_it_goes_on(studio, tab, filled):
    async def begin(keep):
        request = types.SimpleNamespace(session_hash="a session")
        page = tab.paint(filled | {tab.keep: keep}, request)
        async for updates in page:
            if tab.panel in updates:
                break
        run = studio.queue.run_of("a session")
        # As Gradio does, some time after the page has been closed.
        await page.aclose()
        return run

    left = asyncio.run(begin(False))
    wait_for(lambda: left.ended)
    assert left.state == "left"
    kept = asyncio.run(begin(True))
    assert not kept.stopping

    async def come_back():
        request = types.SimpleNamespace(session_hash="a session")
        return [updates async for updates in tab.resume(filled, request)]

    wait_for(lambda: kept.progress.step)  # Earlier, there would be no picture.
    kept.stop()
    begun, *_, ended = asyncio.run(come_back())
    assert begun[tab.run] == kept.key
    assert "Painting" in ended[tab.comparison]
    (nothing,) = asyncio.run(come_back())
    assert list(nothing) == [tab.panel]


def test_a_refusal_stands_beside_its_setting(tab, filled):
    filled[tab.inputs.settings["size"]] = 16_000
    (updates,) = updates_of(tab, filled)
    assert "the host allows 16 megapixels" in updates[tab.inputs.wrong["size"]]


def test_many_photos_are_painted(studio, painter, tab, filled):
    from tfnst.studio.batch_tab import BatchTab

    batch = BatchTab(studio, tab.visitor, tab.inputs)
    data = dict.fromkeys(batch.read) | filled
    (updates,) = updates_of(batch, data)
    assert "Choose photos first." in updates[batch.said]
    photo = data[tab.inputs.content]
    (updates,) = updates_of(batch, data | {batch.photos: 3 * [photo]})
    assert "at most 2, as the host allows" in updates[batch.said]
    for _ in range(2):
        painter.go.release()
    *_, ended = updates_of(batch, data | {batch.photos: 2 * [photo]})
    assert "2 of 2 pictures are painted" in ended[batch.said]
    assert len(ended[batch.gallery]["value"]) == 2
    assert ended[batch.download]["visible"]
