"""Pieces of the page in HTML: progress with curves, comparisons, errors, facts."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Sequence

from tfnst.config import StyleTransferConfig, setting_names
from tfnst.studio import run_queue
from tfnst.studio.form import in_words
from tfnst.studio.history import Entry
from tfnst.studio.run_queue import Progress, QueuedRun
from tfnst.video.frames import FilmInfo

# Reasons for an early stop, as manifests name them, in words.
_STOPPED = {"callback": "by hand", "max_time": "at the time limit"}
_WIDTH, _HEIGHT = 320, 90
# What the slider and the buttons of a comparison do.
_MOVE = "this.closest('.comparison').style.setProperty('--at', this.value + '%')"
_ZOOM = "this.ariaPressed = this.closest('.comparison').classList.toggle('actual') + ''"
_ENLARGE = (
    "document.fullscreenElement ? document.exitFullscreen() "
    ": this.closest('.comparison').requestFullscreen()"
)
_CURVES = (("total", 3), ("content", 1), ("style", 2))


def error(text: str | None) -> str:
    """An error message, shown beside its cause; nothing for None."""
    if not text:
        return ""
    return f'<p class="wrong" role="alert">{html.escape(text)}</p>'


def all_errors(run: QueuedRun) -> str:
    """The error messages of a run of several pictures, each with its label."""
    return "".join(
        error(f"{task.label or task.content.name}: {text}") for task, text in run.errors
    )


def notice(text: str) -> str:
    """A sentence that isn't an error."""
    return f'<p class="notice" role="status">{html.escape(text)}</p>'


def progress(run: QueuedRun, before: int = 0) -> str:
    """The progress of a run, with the picture as it is now.

    Args:
        run: the run.
        before: number of runs that are painted before it.
    """
    now, said = run.progress, html.escape(status(run, before))
    return (
        '<div class="watch">'
        f"{_picture(now, 'The picture as it is now')}"
        f'<p class="status" role="status">{said}</p>'
        f"{_bar(run)}{curves(now.losses)}</div>"
    )


def status(run: QueuedRun, before: int = 0) -> str:
    """The progress of a run in words; `before` as for `progress`."""
    if run.state == run_queue.WAITING:
        if not before:
            return "Getting ready to paint ..."
        return f"In the queue, {before} {'run' if before == 1 else 'runs'} ahead of it."
    return _outcome(run) if run.ended else _work(run)


def _work(run: QueuedRun) -> str:
    """The present state of a run, in words."""
    now, several = run.progress, ""
    if len(run.tasks) > 1:
        number = min(len(run.outcomes) + 1, len(run.tasks))
        several = f"Picture {number} of {len(run.tasks)}. "
    if now.frames_done is not None:
        several = f"{_frames(now)}. "
    if run.stopping:
        return f"{several}Stopping after this step ..."
    if not now.steps:
        if now.seconds:
            return f"{several}The server has been painting for {now.seconds:.0f} s."
        return f"{several}Looking at the pictures ..."
    left = now.seconds_left
    time_left = "" if left is None else f", about {duration(left)} left"
    return f"{several}Step {now.step} of {now.steps}, at {now.size} pixels{time_left}."


def _outcome(run: QueuedRun) -> str:
    """The outcome of a run, in words."""
    now = run.progress
    if run.state == run_queue.FAILED:
        return f"It failed: {run.errors[-1][1]}"
    if run.video is not None:
        painted = f"{_frames(now)} in {duration(now.seconds)}."
        if run.stopping:
            return f"Stopped. {painted} They can be played."
        whole = now.frames is None or now.frames == now.frames_done
        return f"{'Done' if whole else 'Its time is over'}. {painted}"
    if run.stopping and run.task.video is not None:
        return "Stopped before the first frame was painted."
    if run.stopping:
        kept = "the picture so far is kept" if run.results else "there is no picture"
        return f"Stopped after {now.step} steps; {kept}."
    if len(run.tasks) > 1:
        return f"Done: {len(run.results)} of {len(run.tasks)} pictures are painted."
    if not now.steps:
        return f"Done in {now.seconds:.1f} s."
    return f"Done: {now.steps} steps in {duration(now.seconds)}."


def _frames(now: Progress) -> str:
    """The painted frames of a video in words."""
    whole = "" if now.frames is None else f" of {now.frames}"
    return f"{now.frames_done}{whole} frames are painted"


def duration(seconds: float) -> str:
    """A duration in a suitable unit."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def curves(losses: Sequence[tuple[float, float, float, float]]) -> str:
    """The losses over the steps, as curves on a logarithmic scale."""
    if len(losses) < 2:
        return ""
    first, last = losses[0][0], losses[-1][0]
    drawn = []
    for name, column in _CURVES:
        values = [math.log(max(row[column], 1e-12)) for row in losses]
        low, high = min(values), max(values)
        spread = (high - low) or 1.0
        points = " ".join(
            f"{(row[0] - first) / (last - first) * _WIDTH:.1f},"
            f"{4 + (high - value) / spread * (_HEIGHT - 8):.1f}"
            for row, value in zip(losses, values, strict=True)
        )
        drawn.append(f'<polyline class="{name}" points="{points}"/>')
    row = losses[-1]
    legend = "".join(
        f'<span class="{name}">{name} {row[column]:.3g}</span>'
        for name, column in _CURVES
    )
    return (
        f'<figure class="curves"><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        'preserveAspectRatio="none" aria-label="The losses over the steps, each on '
        f'its own logarithmic scale">{"".join(drawn)}</svg>'
        f"<figcaption>Losses: {legend}</figcaption></figure>"
    )


def video(info: FilmInfo, first: bytes) -> str:
    """Facts about a video, with its first frame, a JPEG file."""
    facts = [f"{info.width} by {info.height} pixels"]
    facts += [f"{float(info.rate):.3g} frames a second"]
    if info.duration is not None:
        seconds = float(info.duration)
        facts.append(f"{seconds:.1f} s" if seconds < 10 else duration(seconds))
    elif info.frames is not None:
        facts.append(f"{info.frames} frames")
    return side_by_side([(first, ", ".join(facts))])


def comparison(before: bytes, after: bytes, names: tuple[str, str]) -> str:
    """Two pictures over each other, with a slider between them.

    Args:
        before: a JPEG file.
        after: a JPEG file, which determines the shape of both.
        names: names of the two.
    """
    first, second = (html.escape(name, quote=True) for name in names)
    return (
        '<div class="comparison" style="--at: 50%"><div class="view"><div>'
        f'<img class="after" src="{data_uri(after)}" alt="{second}">'
        f'<img class="before" src="{data_uri(before)}" alt="{first}"></div></div>'
        f'<span class="name left" aria-hidden="true">{first}</span>'
        f'<span class="name right" aria-hidden="true">{second}</span>'
        '<div class="tools"><input type="range" min="0" max="100" value="50" '
        f'aria-label="How much of {first} to show over {second}" oninput="{_MOVE}">'
        f'<button type="button" title="Pixel by pixel" aria-pressed="false" '
        f'onclick="{_ZOOM}">1:1</button>'
        f'<button type="button" onclick="{_ENLARGE}">Full screen</button></div></div>'
    )


def side_by_side(pictures: Sequence[tuple[bytes, str]]) -> str:
    """Pictures in a row, each with its name."""
    shown = "".join(
        f'<figure><img src="{data_uri(picture)}" alt="{html.escape(name, quote=True)}">'
        f"<figcaption>{html.escape(name)}</figcaption></figure>"
        for picture, name in pictures
    )
    return f'<div class="pair">{shown}</div>'


def choices(pictures: Sequence[tuple[bytes, str]], label: str) -> str:
    """Pictures as buttons with names, whose values are their numbers from 0."""
    buttons = "".join(
        f'<button type="button" value="{number}">'
        f'<img src="{data_uri(picture)}" alt="">{html.escape(name)}</button>'
        for number, (picture, name) in enumerate(pictures)
    )
    return (
        f'<div class="choices" role="group" aria-label="{html.escape(label)}">'
        f"<p>{html.escape(label)}</p>{buttons}</div>"
    )


def legend(brushes: Sequence[tuple[str, tuple[int, int, int]]]) -> str:
    """The colours of the brushes, each with its style."""
    colors = "".join(
        '<li><span style="background: rgb({}, {}, {})"></span>'.format(*color)
        + f"Style {number}: {name}</li>"
        for number, (name, color) in enumerate(brushes, start=1)
    )
    return f'<ul class="legend">{colors}</ul>'


def facts(entry: Entry) -> str:
    """The sources of a picture, and its settings other than the defaults."""
    manifest, default = entry.manifest, StyleTransferConfig().to_dict()
    effective = setting_names("at_once" if entry.at_once else None)
    rows = [("Photo", _names(manifest.get("content_image")))]
    rows.append(("Style", _names(manifest.get("style_image"))))
    rows += [
        (in_words(name), _show_value(value))
        for name, value in entry.settings.items()
        if (name in effective and name in ("size", "style_strength", "steps"))
        or (value != default.get(name) and name not in ("max_time", "max_memory"))
    ]
    if entry.bits != 8:
        rows.append(("Bits per channel", str(entry.bits)))
    reason = manifest.get("stop_reason")
    for label, value in (
        ("Painted", "at once, by a network" if entry.at_once else None),
        ("Steps taken", None if entry.at_once else manifest.get("steps")),
        ("Stopped early", _STOPPED.get(str(reason), reason)),
        ("Server", manifest.get("server")),
    ):
        if value is not None:
            rows.append((label, str(value)))
    body = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th>'
        f"<td>{html.escape(value)}</td></tr>"
        for name, value in rows
    )
    return (
        f'<table class="facts"><caption>{html.escape(entry.name)}</caption>'
        f"<tbody>{body}</tbody></table>"
    )


def data_uri(picture: bytes) -> str:
    """A JPEG file as a data URI."""
    return f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"


def _picture(now: Progress, name: str) -> str:
    if now.preview is None:
        return '<div class="blank" aria-hidden="true"></div>'
    # Decoded at once, so that nothing flickers between two pictures.
    return (
        f'<img class="preview" decoding="sync" alt="{name}" '
        f'src="{data_uri(now.preview)}">'
    )


def _bar(run: QueuedRun) -> str:
    now = 0.0 if run.ended else run.progress.fraction
    share = min((len(run.outcomes) + now) / len(run.tasks), 1.0)
    return (
        f'<progress max="1" value="{share:.4f}" '
        f'aria-label="Share of the work that is done">{share:.0%}</progress>'
    )


def _show_value(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _names(described: object) -> str:
    each = described if isinstance(described, list) else [described]
    return ", ".join(
        str(one.get("name") or "a picture") for one in each if isinstance(one, dict)
    )
