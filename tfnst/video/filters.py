"""Filters of FFmpeg (libavfilter), for single frames and for streams of them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

# Name and options of a filter, as in FFmpeg's command line.
Filter: TypeAlias = tuple[str, str]


def run_filters(frame: Any, filters: Sequence[Filter]) -> Any:
    """Applies filters to a frame, each of which gives one for one.

    Args:
        frame: a frame of PyAV.
        filters: the filters, the first one first.

    Raises:
        FFmpegError: when the frame can't be converted.
    """
    if not filters:
        return frame
    graph = _build_graph(frame, filters)
    graph.push(frame)
    return graph.pull()


def deinterlace(frames: Iterable[Any]) -> Iterator[Any]:
    """Yields frames without the combs of interlaced ones; others stay as they are.

    Reference:
        BBC's "Weston 3 Field Deinterlacing Filter", with motion compensation.
    """
    graph, kind = None, None
    for frame in itertools.chain(frames, [None]):
        if graph is not None and (frame is None or kind != _kind(frame)):
            yield from _pass(None, graph)
            graph = None
        if frame is None:
            return
        if graph is None and frame.interlaced_frame:
            options = "mode=send_frame:deint=interlaced"
            graph, kind = _build_graph(frame, [("bwdif", options)]), _kind(frame)
        if graph is None:
            yield frame
        else:
            yield from _pass(frame, graph)


def _build_graph(frame: Any, filters: Sequence[Filter]) -> Any:
    """Makes a graph for frames like one."""
    from av.filter import Graph

    graph = Graph()
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format.name,
        time_base=frame.time_base or Fraction(1, 25),
    )
    nodes = [graph.add(*each) for each in filters]
    graph.link_nodes(source, *nodes, graph.add("buffersink")).configure()
    return graph


def _pass(frame: Any, graph: Any) -> Iterator[Any]:
    """Puts a frame, or None at the end, into a graph; yields those that come out."""
    import av

    graph.push(frame)
    with contextlib.suppress(av.error.BlockingIOError, EOFError):
        while True:
            yield graph.pull()


def _kind(frame: Any) -> tuple[Any, ...]:
    """Returns the properties of frames that a graph depends on."""
    return frame.width, frame.height, frame.format.name
