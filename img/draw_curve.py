"""Draw the README's learning curve.

python img/draw_curve.py                 of the run that the README shows, curve.csv
python img/draw_curve.py HISTORY.csv     of any run: the table that it writes with its checkpoint;
                                         curve.csv becomes a copy of it
"""

import csv
import math
import pathlib
import sys

from canvas import LEFT, RIGHT, Picture, heading, number, save

MEASURED = pathlib.Path(__file__).with_name("curve.csv")
PLOT = 64, 362, 160  # where the axis of epochs begins and ends; the height of a plot


def curve(history):
    """Scores and losses after each epoch.

    :param history: a list of dicts, one for each epoch in order, whose values may be text. Of
        their keys, this takes epoch, tag_loss, val_loss, and entity_f1 or else accuracy
    """
    key = "accuracy" if history[0].get("entity_f1") in (None, "") else "entity_f1"
    names = "epoch", key, "tag_loss", "val_loss"
    epochs, results, training, validation = ([float(row[n]) for row in history] for n in names)
    results = [100 * result for result in results]
    name = {"entity_f1": "entity F1", "accuracy": "accuracy"}[key]
    best = max(range(len(results)), key=results.__getitem__)
    picture = Picture(
        f"Learning curve: {name} and loss after each epoch",
        f"Epochs {epochs[0]:g} to {epochs[-1]:g}. The {name} on the validation data begins at "
        f"{results[0]:.1f}% and is best in epoch {epochs[best]:g}, {results[best]:.1f}%. The "
        f"loss of the tags goes from {training[0]:.2f} to {training[-1]:.2f} in training, from "
        f"{validation[0]:.2f} to {validation[-1]:.2f} on the validation data.",
        height=566,
    )
    heading(picture, 30, f"{name}, %", "on the validation data")
    note = f"best: {results[best]:.1f}% in epoch {epochs[best]:g}"
    picture.text(PLOT[0], 260, note, "gold", size=13, anchor="start")
    place = plot(picture, 58, epochs, {"validation": ("tags", results)}, "{:.1f}%", min(results))
    x, y = place(epochs[best], results[best])
    picture.box(x - 5, y - 5, 10, 10, "gold", radius=5)
    heading(picture, 302, "loss of the tags", "mean over the sentences")
    losses = {"training": ("plain", training), "validation": ("tags", validation)}
    plot(picture, 330, epochs, losses, "{:.2f}", 0)
    once = "test data: scored once, with the model of the best epoch"
    picture.text(LEFT, 542, once, "soft", size=13, anchor="start")
    return picture


def plot(picture, y, epochs, lines, shown, lowest):
    """Lines over epochs, with axes, and labels at the ends of the lines.

    :param lines: {label: (role, values)}
    :param shown: how the last values are written
    :param lowest: what the axis of values has to include
    :return: function from (epoch, value) to the point (x, y) where it is drawn
    """
    left, right, height = PLOT
    values = [value for _, of_line in lines.values() for value in of_line]
    levels = ticks(min(lowest, *values), max(values), 5)
    low, high = levels[0], levels[-1]

    def place(epoch, value):
        across = (epoch - epochs[0]) / max(epochs[-1] - epochs[0], 1)
        return left + across * (right - left), y + (high - value) / (high - low) * height

    axes(picture, y, epochs, levels, place)
    ends = []
    for label, (role, of_line) in lines.items():
        points = [place(*point) for point in zip(epochs, of_line, strict=True)]
        picture.line(*points, role=role)
        ends.append((points[-1][1], label, shown.format(of_line[-1]), role))
    # Labels at their lines' height, but not in each other's way.
    above = -math.inf
    spare = len(ends)
    for end, label, value, role in sorted(ends):
        spare -= 1
        middle = min(max(end, above + 42, y + 16), y + height - 16 - 42 * spare)
        picture.text(right + 12, middle - 9, label, role, size=13, anchor="start")
        picture.text(right + 12, middle + 9, value, f"bold {role}", size=13, anchor="start")
        above = middle
    return place


def axes(picture, y, epochs, levels, place):
    """The axis of epochs and that of values, with ticks and their labels."""
    left, right, height = PLOT
    picture.line((left, y), (left, y + height), (right, y + height))
    digits = max(0, -math.floor(math.log10(levels[1] - levels[0]) + 1e-9))
    for level in levels:
        _, at = place(epochs[0], level)
        picture.line((left - 5, at), (left, at))
        picture.text(left - 10, at, number(level, digits), "soft", size=13, anchor="end")
    for epoch in ticks(epochs[0], epochs[-1], 8, whole=True):
        if epochs[0] <= epoch <= epochs[-1]:
            at, _ = place(epoch, levels[0])
            picture.line((at, y + height), (at, y + height + 5))
            picture.text(at, y + height + 18, f"{epoch:g}", "soft", size=13)
    picture.text(RIGHT, y + height + 18, "epoch", "soft", size=13, anchor="end")


def ticks(low, high, count, whole=False):
    """Round numbers from `low` or below it to `high` or above it, about `count` of them at most."""
    steps = [base * 10.0**power for power in range(0 if whole else -6, 7) for base in (1, 2, 5)]
    step = next(step for step in steps if (high - low) / step <= count)
    first, last = math.floor(low / step), max(math.ceil(high / step), math.floor(low / step) + 1)
    return [step * i for i in range(first, last + 1)]


def pictures():
    """{name: Picture}"""
    with open(MEASURED, encoding="utf-8", newline="") as history:
        return {"curve": curve(list(csv.DictReader(history)))}


if __name__ == "__main__":
    if sys.argv[1:]:
        MEASURED.write_bytes(pathlib.Path(sys.argv[1]).read_bytes())
    save(pictures())
