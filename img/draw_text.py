"""Draw what text without tags saves: scores over the number of tagged sentences.

python img/draw_text.py                 of what the README shows, text.csv
python img/draw_text.py RESULTS.csv     of what tests/measure/text.py has measured; text.csv becomes
                                        a copy of it
"""

import csv
import itertools
import pathlib
import statistics
import sys

from canvas import LEFT, RIGHT, Picture, heading, number, save
from draw_curve import ticks

MEASURED = pathlib.Path(__file__).with_name("text.csv")
PLOT = 64, 362, 58, 240  # where the axis of sentences begins and ends; top and height of the plot
# (text, vectors): label, role, dashed
LINES = {
    ("yes", "yes"): ("with text", "lm", False),
    ("no", "yes"): ("without", "words", False),
    ("yes", "no"): ("text, no vectors", "lm", True),
    ("no", "no"): ("neither", "words", True),
}


def text(rows):
    """Entity F1 on the test data, with and without text, for each number of tagged sentences.

    :param rows: a list of dicts, one for each run, with text, vectors, sentences, seed and test
    """
    scores = {}
    for row in rows:
        of_kind = scores.setdefault((row["text"], row["vectors"]), {})
        of_kind.setdefault(int(row["sentences"]), []).append(100 * float(row["test"]))
    # What was measured with one number of sentences alone makes no line.
    scores = {kind: of_kind for kind, of_kind in scores.items() if len(of_kind) > 1}
    sizes = sorted(set(itertools.chain.from_iterable(scores.values())))
    said = "; ".join(
        f"{LINES[kind][0]}: "
        + ", ".join(f"{statistics.mean(of_kind[n]):.1f}% at {n:,}" for n in sorted(of_kind))
        for kind, of_kind in scores.items()
    )
    picture = Picture(
        "What text without tags saves: entity F1 by the number of tagged sentences",
        f"Entity F1 on the test data, the mean over the seeds. {said}.",
        height=372,
    )
    heading(picture, 30, "entity F1, %", "on the test data, mean ± deviation")
    values = [value for of_kind in scores.values() for each in of_kind.values() for value in each]
    place = axes(picture, sizes, ticks(min(values), max(values), 6))
    last = []
    for kind, (label, role, dashed) in LINES.items():
        if kind in scores:
            x, y = line(picture, scores[kind], role, dashed, place)
            last.append((y, x, label, role))
    above = 0  # labels at their lines' ends, but not in each other's way
    for y, x, label, role in sorted(last):
        above = max(y, above + 18)
        picture.text(x + 12, above, label, f"bold {role}", size=13, anchor="start")
    return picture


def axes(picture, sizes, levels):
    """Both axes, with ticks and labels. The sizes are at equal distances: each doubles the last.

    :return: function from (sentences, score) to the point (x, y) where it is drawn
    """
    left, right, top, height = PLOT

    def place(size, value):
        across = sizes.index(size) / max(len(sizes) - 1, 1)
        share = (levels[-1] - value) / (levels[-1] - levels[0])
        return left + 16 + across * (right - left - 32), top + share * height

    picture.line((left, top), (left, top + height), (right, top + height))
    for level in levels:
        _, y = place(sizes[0], level)
        picture.line((left - 5, y), (left, y))
        picture.text(left - 10, y, number(level, 0), "soft", size=13, anchor="end")
    for size in sizes:
        x, _ = place(size, levels[0])
        picture.line((x, top + height), (x, top + height + 5))
        picture.text(x, top + height + 18, f"{size:,}", "soft", size=13)
    picture.text(RIGHT, top + height + 18, "sentences", "soft", size=13, anchor="end")
    note = "tagged for training; the text has no tags"
    picture.text(LEFT, top + height + 46, note, "soft", size=13, anchor="start")
    return place


def line(picture, of_kind, role, dashed, place):
    """A line through the means, with a bar of one standard deviation each way; return its end."""
    points = []
    for size in sorted(of_kind):
        values = of_kind[size]
        mean = statistics.mean(values)
        points.append(place(size, mean))
        if len(values) > 1:
            spread = statistics.stdev(values)
            picture.line(place(size, mean - spread), place(size, mean + spread), role=role)
    if len(points) > 1:
        picture.line(*points, role=role, dashed=dashed)
    for x, y in points:
        picture.circle(x, y, 4, role)
    return points[-1]


def pictures():
    """{name: Picture}; none before anything is measured"""
    if not MEASURED.exists():
        return {}
    with open(MEASURED, encoding="utf-8", newline="") as table:
        return {"text": text(list(csv.DictReader(table)))}


if __name__ == "__main__":
    if sys.argv[1:]:
        MEASURED.write_bytes(pathlib.Path(sys.argv[1]).read_bytes())
    save(pictures())
