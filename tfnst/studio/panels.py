"""Pieces of the page in HTML: progress with curves, comparisons, errors, facts."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Sequence

from tfnst.config import StyleTransferConfig
from tfnst.studio import jobs
from tfnst.studio.history import Entry
from tfnst.studio.jobs import Job, Progress
from tfnst.video.frames import FilmInfo

_WIDTH, _HEIGHT = 320, 90
_CURVES = (("total", 3), ("content", 1), ("style", 2))


def error(text: str | None) -> str:
    """An error in words, to stand beside what it is about; nothing for None."""
    if not text:
        return ""
    return f'<p class="wrong" role="alert">{html.escape(text)}</p>'


def all_errors(job: Job) -> str:
    """What went wrong in a job of several pictures, each beside its name."""
    return "".join(
        error(f"{order.label or order.content.name}: {text}")
        for order, text in job.errors
    )


def notice(text: str) -> str:
    """A sentence that isn't an error."""
    return f'<p class="notice" role="status">{html.escape(text)}</p>'


def progress(job: Job, place: int, *, loading: bool) -> str:
    """How far a job is, with the picture as it is now.

    Args:
        job: the job.
        place: turns until it is painted.
        loading: whether the painter isn't ready yet.
    """
    now, said = job.progress, html.escape(status(job, place, loading))
    return (
        '<div class="watch">'
        f"{_picture(now, 'The picture as it is now')}"
        f'<p class="status" role="status">{said}</p>'
        f"{_bar(job)}{curves(now.losses)}</div>"
    )


def status(job: Job, place: int, loading: bool) -> str:
    """How far a job is, in words."""
    now, several = job.progress, ""
    if len(job.orders) > 1:
        number = min(len(job.outcomes) + 1, len(job.orders))
        several = f"Picture {number} of {len(job.orders)}. "
    if job.order.film is not None and now.frames_done is not None:
        several = _frames(job)
    if job.state == jobs.WAITING:
        if loading and place <= 1:
            return f"{several}Getting ready to paint ..."
        turns = "It is next." if place <= 1 else f"{place - 1} before it."
        return f"{several}Waiting for its turn. {turns}"
    if job.state == jobs.FAILED:
        return f"It failed: {job.errors[-1][1]}"
    if job.state == jobs.DONE and len(job.orders) > 1:
        return f"Done: {len(job.results)} of {len(job.orders)} pictures are painted."
    if job.ended and job.order.film is not None:
        return _ended_film(job)
    if job.state == jobs.DONE:
        return f"Done: {now.steps or 'all'} steps in {duration(now.seconds)}."
    if job.state in (jobs.STOPPED, jobs.LEFT):
        kept = "the picture so far is kept" if job.results else "there is no picture"
        return f"Stopped after {now.step} steps; {kept}."
    if job.stopping:
        return f"{several}Stopping after this step ..."
    if not now.steps:
        if now.seconds:
            return f"{several}The server has been painting for {now.seconds:.0f} s."
        return f"{several}Looking at the pictures ..."
    left = now.seconds_left
    time_left = "" if left is None else f", about {duration(left)} left"
    return f"{several}Step {now.step} of {now.steps}, at {now.size} pixels{time_left}."


def _frames(job: Job) -> str:
    """How much of a film is painted."""
    now = job.progress
    whole = "" if now.frames is None else f" of {now.frames}"
    took = f" in {duration(now.seconds)}" if job.ended else ""
    return f"{now.frames_done}{whole} frames are painted{took}. "


def _ended_film(job: Job) -> str:
    now = job.progress
    if job.film is None:
        return "Stopped before the first frame was painted."
    if job.state != jobs.DONE:
        return f"Stopped. {_frames(job)}They can be played."
    whole = now.frames is None or now.frames == now.frames_done
    return f"{'Done' if whole else 'Its time is over'}. {_frames(job)}".strip()


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
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


def film(info: FilmInfo, first: bytes) -> str:
    """What is known of a film, with its first frame, a JPEG file."""
    facts = [f"{info.width} by {info.height} pixels"]
    facts += [f"{float(info.rate):.3g} frames a second"]
    if info.duration is not None:
        seconds = float(info.duration)
        facts.append(f"{seconds:.1f} s" if seconds < 10 else duration(seconds))
    return side_by_side([(first, ", ".join(facts))])


def comparison(before: bytes, after: bytes, names: tuple[str, str]) -> str:
    """Two pictures over each other, with a slider between them.

    Args:
        before: a JPEG file.
        after: a JPEG file, whose shape both are shown in.
        names: what they are.
    """
    first, second = (html.escape(name, quote=True) for name in names)
    move = "this.parentNode.style.setProperty('--at', this.value + '%')"
    return (
        '<div class="comparison" style="--at: 50%">'
        f'<img class="after" src="{data_uri(after)}" alt="{second}">'
        f'<img class="before" src="{data_uri(before)}" alt="{first}">'
        f'<span class="name left" aria-hidden="true">{first}</span>'
        f'<span class="name right" aria-hidden="true">{second}</span>'
        '<input type="range" min="0" max="100" value="50" '
        f'aria-label="How much of {first} to show over {second}" oninput="{move}">'
        "</div>"
    )


def side_by_side(pictures: Sequence[tuple[bytes, str]]) -> str:
    """Pictures in a row, each with its name."""
    shown = "".join(
        f'<figure><img src="{data_uri(picture)}" alt="{html.escape(name, quote=True)}">'
        f"<figcaption>{html.escape(name)}</figcaption></figure>"
        for picture, name in pictures
    )
    return f'<div class="pair">{shown}</div>'


def facts(entry: Entry) -> str:
    """How a picture was painted: what differs from the defaults."""
    manifest, default = entry.manifest, StyleTransferConfig().to_dict()
    rows = [("Photo", _names(manifest.get("content_image")))]
    rows.append(("Style", _names(manifest.get("style_image"))))
    rows += [
        (name.replace("_", " ").capitalize(), _in_words(value))
        for name, value in entry.settings.items()
        if name in ("size", "style_strength", "steps")
        or (value != default.get(name) and name not in ("max_time", "max_memory"))
    ]
    if entry.bits != 8:
        rows.append(("Bits per channel", str(entry.bits)))
    for name, label in (
        ("steps", "Steps taken"),
        ("stop_reason", "Stopped by"),
        ("server", "Server"),
    ):
        if manifest.get(name) is not None:
            rows.append((label, str(manifest[name])))
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
    """A JPEG file as the address of itself."""
    return f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"


def _picture(now: Progress, name: str) -> str:
    if now.preview is None:
        return '<div class="blank" aria-hidden="true"></div>'
    # Decoded at once, so that nothing flickers between two pictures.
    return (
        f'<img class="preview" decoding="sync" alt="{name}" '
        f'data-number="{now.previews}" src="{data_uri(now.preview)}">'
    )


def _bar(job: Job) -> str:
    now = 0.0 if job.ended else job.progress.fraction
    share = min((len(job.outcomes) + now) / len(job.orders), 1.0)
    return (
        f'<progress max="1" value="{share:.4f}" '
        f'aria-label="Share of the work that is done">{share:.0%}</progress>'
    )


def _in_words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _names(described: object) -> str:
    each = described if isinstance(described, list) else [described]
    return ", ".join(
        str(one.get("name") or "a picture") for one in each if isinstance(one, dict)
    )
