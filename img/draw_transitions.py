"""Draw the README's heat map of learned transitions.

python img/draw_transitions.py                  of the model that the README shows
python img/draw_transitions.py CHECKPOINT.pt    of any checkpoint of a model with a CRF

The first reads transitions.csv; the second writes that table first.
"""

import csv
import pathlib
import sys

from canvas import LEFT, RIGHT, Picture, heading, number, save

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

from machinery.checkpoints import load_checkpoint  # noqa: E402  (found after the line above)
from machinery.errors import END, START  # noqa: E402
from machinery.spans import are_spans, may_follow  # noqa: E402

LEARNED = FOLDER / "transitions.csv"
# From the lowest score to the highest; the same in light and dark mode, with its own text.
DARK, MIDDLE, BRIGHT = (27, 16, 51), (124, 84, 196), (240, 232, 255)
NAMES = 74  # width of the rows' names
CORNER = 9  # side of the corner that marks a forbidden transition
MOST_NUMBERS = 12  # columns: with more, cells are too narrow for numbers


def read_transitions(path):
    """The transitions between tags; tags of spans in the order O, B-..., I-....

    :param path: a checkpoint of a model with a CRF
    :return: list of (tag before, tag, score, "forbidden" by the tag scheme or "")
    """
    state = load_checkpoint(path)
    tag_map, transition = state["tag_map"], state["model"]["crf.transition"]
    words = sorted(set(tag_map) - {START, END})
    if are_spans(words):
        words.sort(key=lambda tag: "OBISE".index(tag[0]))
    outside = {START: "O", END: "O"}

    def forbidden(before, tag):
        tags = outside.get(before, before), outside.get(tag, tag)
        return "forbidden" if state["scheme"] and not may_follow(*tags, state["scheme"]) else ""

    return [
        (i, j, f"{transition[tag_map[i], tag_map[j]].item():.4f}", forbidden(i, j))
        for i in (START, *words)
        for j in (*words, END)
        if (i, j) != (START, END)
    ]


def transitions(rows):
    """A heat map with a row for each tag before, a column for each tag.

    :param rows: as read_transitions gives them
    """
    befores = list(dict.fromkeys(before for before, *_ in rows))
    tags = list(dict.fromkeys(tag for _, tag, *_ in rows))
    scores = {(before, tag): float(score) for before, tag, score, _ in rows}
    forbidden = [(before, tag) for before, tag, _, mark in rows if mark]
    cell = (RIGHT - LEFT - NAMES) / len(tags)
    height = min(cell, 34)
    top = max(96, 60 + 6 * max(map(len, tags)))  # of the cells; above are the columns' names
    picture = Picture(
        "Learned transitions",
        f"A table of {len(befores)} tags before x {len(tags)} tags. " + summary(scores, forbidden),
        height=top + 56 + height * len(befores),
    )
    heading(picture, 30, "transition", "row = tag before, column = tag")
    for column, tag in enumerate(tags):
        x = LEFT + NAMES + (column + 0.5) * cell
        picture.text(x, top - 12, tag, "soft", size=13, anchor="start", turned=-45)
    low, high = min(scores.values()), max(scores.values())
    for row, before in enumerate(befores):
        y = top + row * height
        picture.text(LEFT + NAMES - 8, y + height / 2, before, "soft", size=13, anchor="end")
        for column, tag in enumerate(tags):
            if (before, tag) in scores:
                place = LEFT + NAMES + column * cell, y, cell, height
                share = (scores[before, tag] - low) / max(high - low, 1e-9)
                shown = number(scores[before, tag]) if len(tags) <= MOST_NUMBERS else ""
                heat(picture, *place, share, shown, (before, tag) in forbidden)
    legend(picture, top + 18 + height * len(befores), bool(forbidden))
    return picture


def summary(scores, forbidden):
    """The second part of the description: which scores are high and low."""
    best = max(scores, key=scores.get)
    text = f"The highest is from {best[0]} to {best[1]}, {scores[best]:.1f}."
    if forbidden:
        of_forbidden = [scores[pair] for pair in forbidden]
        text += (
            f" The {len(forbidden)} that the tag scheme forbids are from {min(of_forbidden):.1f} "
            f"to {max(of_forbidden):.1f}."
        )
    return text


def heat(picture, x, y, width, height, share, shown, forbidden):
    """A cell whose colour is darkest at share 0, brightest at share 1; a corner if forbidden."""
    colours = (DARK, MIDDLE) if share < 0.5 else (MIDDLE, BRIGHT)
    within = 2 * share - (share >= 0.5)
    colour = [round(a + within * (b - a)) for a, b in zip(*colours, strict=True)]
    fill, ink = "rgb({}, {}, {})".format(*colour), "#ffffff" if share < 0.6 else "#1b1f24"
    place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
    picture.parts.append(f'<rect {place} style="fill: {fill}" class="card"/>')
    if forbidden:
        corner = f"M {x:g} {y:g} h {CORNER} l -{CORNER} {CORNER} z"
        picture.parts.append(f'<path d="{corner}" style="fill: #ff6b5a"/>')
    if shown:
        size = 13
        picture.parts.append(
            f'<text x="{x + width / 2:g}" y="{y + height / 2 + 0.36 * size:g}" '
            f'text-anchor="middle" style="font-size: {size}px; fill: {ink}">{shown}</text>'
        )


def legend(picture, y, forbidden):
    """What the colours mean."""
    for i in range(5):
        heat(picture, LEFT + NAMES + 24 * i, y, 24, 14, i / 4, "", False)
    picture.text(LEFT + NAMES - 8, y + 7, "low", "soft", size=13, anchor="end")
    picture.text(LEFT + NAMES + 128, y + 7, "high", "soft", size=13, anchor="start")
    if forbidden:
        heat(picture, 300, y, 24, 14, 0, "", True)
        picture.text(332, y + 7, "forbidden", "soft", size=13, anchor="start")


def pictures():
    """{name: Picture}"""
    with open(LEARNED, encoding="utf-8", newline="") as table:
        return {"transitions": transitions(list(csv.reader(table)))}


if __name__ == "__main__":
    if sys.argv[1:]:
        with open(LEARNED, "w", encoding="utf-8", newline="") as table:
            csv.writer(table, lineterminator="\n").writerows(read_transitions(sys.argv[1]))
    save(pictures())
