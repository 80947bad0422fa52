"""The tables, the plot and the contact sheet of a comparison."""

from __future__ import annotations

import csv
import json
import pathlib
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.quality import fronts
from benchmarks.quality.judge import STYLE_MEASURES, point
from tfnst.evaluation.evaluation import Evaluation

Front = tuple[list[fronts.Point], list[fronts.Point]]  # all points, the front

MEASURES = tuple(Evaluation.measures())
REFERENCES = ("photo", "style")
COLUMN = {
    "style_gram": "gram",
    "style_swd": "swd",
    "content_cosine": "cosine",
    "content_self_similarity": "selfsim",
    "color_swd": "colour",
    "high_frequency": "highfreq",
}
_BACKGROUND, _INK = (250, 248, 244), (30, 30, 30)
_CELL, _MARGIN, _LINE = 256, 8, 16


def write(rows: list[dict[str, Any]], folder: pathlib.Path, *, title: str) -> None:
    """Prints the tables and writes everything to a folder.

    Args:
        rows: one for each pair, recipe, content factor and judge.
        folder: folder for measures.csv, report.json, sheet.png and, if matplotlib is
            installed, fronts.png.
        title: title of the plot and the sheet.
    """
    with open(folder / "measures.csv", "w", newline="") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    comparisons = compare(rows)
    document = {"title": title, "comparisons": comparisons, "rows": rows}
    (folder / "report.json").write_text(json.dumps(document, indent=1))
    print_measures(rows)
    print_comparisons(comparisons)
    contact_sheet(rows, folder, title).save(folder / "sheet.png")
    written = ["measures.csv", "report.json", "sheet.png"]
    if plot(rows, folder / "fronts.png", title):
        written.append("fronts.png")
    print(f"\n{folder}: {', '.join(written)}")


def print_measures(rows: list[dict[str, Any]]) -> None:
    """Prints the measures at each recipe's own content weight, and their means."""
    judge = rows[0]["judge"]
    chosen = [r for r in rows if r["judge"] == judge and r["content_factor"] == 1]
    print(f"\nMeasures, {judge}, own content weights")
    heads = "".join(f"{COLUMN.get(name, name):>10}" for name in MEASURES)
    print(f"{'':24}{'':16}{heads}{'spent':>8}{'s':>7}")
    for row in chosen:
        print(f"{row['pair']:24}{row['recipe']:16}{_numbers(row)}")
    for recipe in _recipes(chosen, with_references=True):
        group = [row for row in chosen if row["recipe"] == recipe]
        means = {n: np.mean([r[n] for r in group]) for n in (*MEASURES, "seconds")}
        means |= {n: np.sum([r[n] for r in group]) for n in ("spent", "budget")}
        print(f"{'mean':24}{recipe:16}{_numbers(means)}")


def compare(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Compares tfnst's fronts with each peer's, for each judge and style measure.

    Returns:
        A dict for each judge, style measure, recipe of tfnst and peer: the number of
        `pairs` on which both have a front; on how many of them tfnst's is `ahead`, and
        by how much on average, its `lead`; how many of the peer's points lie behind
        tfnst's front (`theirs_behind` of `theirs`), and vice versa (`ours_behind` of
        `ours`); and `lost`, the pairs on which tfnst isn't ahead.
    """
    lines = {}
    for judge in dict.fromkeys(row["judge"] for row in rows):
        for pair in dict.fromkeys(row["pair"] for row in rows):
            for measure in STYLE_MEASURES:
                for recipe, found in _points(rows, judge, pair, measure).items():
                    lines[judge, measure, recipe, pair] = found
    recipes = _recipes(rows)
    ours = [recipe for recipe in recipes if recipe.startswith("tfnst")]
    comparisons = []
    for judge, measure in dict.fromkeys((key[0], key[1]) for key in lines):
        for own in ours:
            for peer in (recipe for recipe in recipes if recipe not in ours):
                pairs = [
                    (pair, lines[judge, measure, own, pair], found)
                    for (j, m, recipe, pair), found in lines.items()
                    if (j, m, recipe) == (judge, measure, peer)
                    and (judge, measure, own, pair) in lines
                ]
                comparisons.append(
                    {"judge": judge, "measure": measure, "recipe": own, "peer": peer}
                    | _count(pairs)
                )
    return comparisons


def _count(pairs: list[tuple[str, Front, Front]]) -> dict[str, Any]:
    """Counts for (pair, tfnst's front, the peer's front)."""
    counts = {"pairs": len(pairs), "ahead": 0, "theirs": 0, "theirs_behind": 0}
    counts |= {"ours": 0, "ours_behind": 0, "lost": []}
    leads = []
    for pair, (our_points, our_line), (their_points, their_line) in pairs:
        lead = fronts.lead(our_line, their_line)
        leads.append(lead)
        if lead > 0:
            counts["ahead"] += 1
        else:
            counts["lost"].append(pair)
        counts["theirs"] += len(their_points)
        counts["theirs_behind"] += fronts.behind(their_points, our_line)
        counts["ours"] += len(our_points)
        counts["ours_behind"] += fronts.behind(our_points, their_line)
    counts["lead"] = float(np.mean(leads)) if leads else 0.0
    return counts


def print_comparisons(comparisons: list[dict[str, Any]]) -> None:
    """Prints on how many pairs tfnst's front is ahead."""
    print("\nFronts of style against content: on how many pairs tfnst's is ahead")
    print("(by how much, in units of the photo's style distance), and points behind")
    for c in comparisons:
        lost = f"  not on {', '.join(c['lost'])}" if c["lost"] else ""
        print(
            f"{c['judge']:22}{COLUMN[c['measure']]:6}{c['recipe']:14} / "
            f"{c['peer']:12}{c['ahead']:3} of {c['pairs']:2} ({c['lead']:+.3f})   "
            f"theirs behind {c['theirs_behind']:3} of {c['theirs']:3}   "
            f"ours behind {c['ours_behind']:3} of {c['ours']:3}{lost}"
        )


def _points(
    rows: list[dict[str, Any]], judge: str, pair: str, measure: str
) -> dict[str, Front]:
    """Each recipe's points and the front through them."""
    here = [row for row in rows if (row["judge"], row["pair"]) == (judge, pair)]
    photo, painting = (
        next(row for row in here if row["recipe"] == name) for name in REFERENCES
    )
    found = {}
    for recipe in _recipes(here):
        points = [
            point(row, photo, painting, measure)
            for row in here
            if row["recipe"] == recipe
        ]
        found[recipe] = points, fronts.front(points)
    return found


def _recipes(rows: list[dict[str, Any]], *, with_references: bool = False) -> list[str]:
    names = dict.fromkeys(row["recipe"] for row in rows)
    return [name for name in names if with_references or name not in REFERENCES]


def _numbers(row: dict[str, Any]) -> str:
    spent = f"{row['spent'] / row['budget']:8.0%}" if row["budget"] else " " * 8
    values = "".join(f"{row[name]:10.3f}" for name in MEASURES)
    return f"{values}{spent}{row['seconds']:7.0f}"


def plot(rows: list[dict[str, Any]], path: pathlib.Path, title: str) -> bool:
    """Plots style against content by the first judge, in a panel for each pair.

    Returns:
        Whether matplotlib is installed.
    """
    try:
        import matplotlib
    except ImportError:
        print("\nno fronts.png: matplotlib is missing (pip install 'tfnst[bench]')")
        return False
    matplotlib.use("agg")
    from matplotlib import pyplot

    judge = rows[0]["judge"]
    pairs = list(dict.fromkeys(row["pair"] for row in rows))
    figure, panels = pyplot.subplots(
        len(STYLE_MEASURES),
        len(pairs),
        figsize=(3.6 * len(pairs), 3.4 * len(STYLE_MEASURES)),
        squeeze=False,
        layout="constrained",
    )
    for measure, line_of_panels in zip(STYLE_MEASURES, panels, strict=True):
        for pair, panel in zip(pairs, line_of_panels, strict=True):
            for recipe, (points, _) in _points(rows, judge, pair, measure).items():
                panel.plot(*zip(*sorted(points), strict=True), "o-", label=recipe)
            panel.set(title=pair, xlabel="content distance", ylabel=measure)
            panel.grid(alpha=0.3)
    panels[0, 0].legend(fontsize="small")
    figure.suptitle(f"{title}; down and left is better")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return True


def contact_sheet(
    rows: list[dict[str, Any]], folder: pathlib.Path, title: str
) -> Image.Image:
    """All pictures at their recipes' own content weights, one row for each pair."""
    judge = rows[0]["judge"]
    chosen = {
        (row["pair"], row["recipe"]): row
        for row in rows
        if row["judge"] == judge and row["content_factor"] == 1
    }
    pairs = list(dict.fromkeys(pair for pair, _ in chosen))
    columns = [*REFERENCES, *_recipes(list(chosen.values()))]
    row_height = _CELL + 2 * _LINE + _MARGIN
    sheet = Image.new(
        "RGB",
        (
            len(columns) * (_CELL + _MARGIN) + _MARGIN,
            2 * _LINE + len(pairs) * row_height,
        ),
        _BACKGROUND,
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    draw.text((_MARGIN, _MARGIN), title, _INK, font)
    for i, pair in enumerate(pairs):
        for j, name in enumerate(columns):
            if (pair, name) not in chosen:
                continue
            file = name if name in REFERENCES else f"{name}_x1"
            with Image.open(folder / pair / f"{file}.png") as picture:
                picture = picture.convert("RGB")
            ratio = _CELL / max(picture.size)
            sides = [round(side * ratio) for side in picture.size]
            picture = picture.resize(sides, Image.Resampling.LANCZOS)
            left = _MARGIN + j * (_CELL + _MARGIN)
            top = 2 * _LINE + i * row_height
            row = chosen[pair, name]
            caption = name if j else f"{name} ({pair})"
            draw.text((left, top), caption, _INK, font)
            swd, cosine = row["style_swd"], row["content_cosine"]
            numbers = f"style swd {swd:.2f}  content cosine {cosine:.2f}"
            draw.text((left, top + _LINE), numbers, _INK, font)
            sheet.paste(picture, (left, top + 2 * _LINE))
    return sheet
