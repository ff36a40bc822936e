"""Draw the README's pictures of the eight inputs and of padding.

    python img/draw_inputs.py

Every number in the pictures is computed by the project's own code, from example.py.
"""

import itertools

import torch
from canvas import LEFT, Picture, heading, save
from example import TAG_NAMES, TAGS, WORDS, maps

# example.py has put the project's own folder on the path.
from datasets import LengthBatchSampler
from machinery.errors import END, START
from utils import create_input_tensors

WORD_MAP, CHAR_MAP, TAG_MAP = maps()
M = len(TAG_MAP)
TOKENS = [*WORDS, END]
PATH = [TAG_MAP[tag] for tag in (START, *TAGS, END)]  # the gold one
STEPS = list(itertools.pairwise(PATH))  # (tag before, tag) of each token

CELL, END_CELL = 22, 44  # widths: a character; <end>
COLUMN, COLUMNS = 76, 156  # words: the width of each, where the first begins
INPUT = "bold mono"  # how the inputs' names are written


def inputs():
    """The eight inputs of "dunston checks in"."""
    encoded = create_input_tensors(WORDS, TAGS, WORD_MAP, CHAR_MAP, TAG_MAP)
    _, forward_chars, backward_chars, forward_markers, backward_markers, tags, *lengths = (
        tensor.tolist() for tensor in encoded
    )
    picture = Picture(
        'The eight inputs of "dunston checks in"',
        f"words: {', '.join(TOKENS)}. forward_chars: {lengths[1]} cells, the letters from the "
        "first, a space after every word, then <end>. backward_chars: the same, from the last "
        f"letter. Where each word ends: forward_markers {forward_markers}, backward_markers "
        f"{backward_markers}, in word order. tags, the tag before times {M} plus the tag: {tags}. "
        f"word_length {lengths[0]}, char_length {lengths[1]}.",
        height=644,
    )
    input_row(picture, 24, "words", TOKENS, "words")
    heading(picture, 90, "forward_chars", "from the first letter; _ is a space", INPUT, 13)
    characters(picture, 108, forward_chars, TOKENS, forward_markers)
    heading(picture, 228, "backward_chars", "from the last letter", INPUT, 13)
    tokens = [*WORDS[::-1], END]
    characters(picture, 246, backward_chars, tokens, sorted(backward_markers))

    picture.text(LEFT, 366, "where words end", "soft", size=13, anchor="start")
    for k, token in enumerate(TOKENS):
        picture.text(COLUMNS + (k + 0.5) * COLUMN, 366, token, "soft", size=13)
    input_row(picture, 380, "forward_markers", forward_markers, "gold")
    input_row(picture, 410, "backward_markers", backward_markers, "gold")

    numbered = ", ".join(f"{tag} {index}" for tag, index in TAG_MAP.items())
    picture.text(LEFT, 472, f"tag_map: {numbered}", "soft", size=13, anchor="start")
    names = [TAG_NAMES[j] for _, j in STEPS]
    input_row(picture, 488, "tag", names, "plain", kind="soft")
    sums = [f"{i} × {M} + {j}" for i, j in STEPS]
    input_row(picture, 518, "before × m + tag", sums, "plain", kind="soft", size=13)
    input_row(picture, 548, "tags", tags, "tags")

    input_row(picture, 598, "word_length", lengths[:1], "words")
    picture.text(374, 613, "char_length", INPUT, size=13, anchor="end")
    picture.cells(COLUMNS + 3 * COLUMN, 598, [lengths[1:]], COLUMN, 30, "chars")
    return picture


def input_row(picture, y, name, values, role, kind=INPUT, size=14):
    """An input with a value for each word: its name at the left, then the values."""
    picture.text(LEFT, y + 15, name, kind, size=13, anchor="start")
    picture.cells(COLUMNS, y, [values], COLUMN, 30, role, size=size)


def characters(picture, y, indices, tokens, ends):
    """Characters in their cells; under them which word each is of, and the positions of `ends`."""
    shown = {index: char for char, index in CHAR_MAP.items()} | {CHAR_MAP[" "]: "_"}
    x = [LEFT + CELL * position for position in range(len(indices))]
    width = [CELL] * (len(indices) - 1) + [END_CELL]
    for position in sorted(range(len(indices)), key=ends.__contains__):
        picture.text(x[position] + width[position] / 2, y + 8, position, "soft", size=12)
        char, role = shown[indices[position]], "gold" if position in ends else "chars"
        where = x[position], y + 18, width[position], 28
        picture.box(*where, role, char, kind="mono", size=13, radius=0)
    for token, begin, end in zip(tokens, [0, *(end + 1 for end in ends[:-1])], ends, strict=True):
        if token != END:
            where = x[begin], y + 66, x[end] - x[begin], 28
            picture.box(*where, "words", token, size=14, radius=0)
    for end in ends:
        picture.box(x[end], y + 66, width[end], 28, "gold", end, kind="bold", size=12, radius=0)
        middle = x[end] + width[end] / 2
        picture.arrow((middle, y + 66), (middle, y + 46), role="gold")


# 24 sentences' characters, most short and a few long, as in any corpus
LENGTHS = [31, 88, 12, 54, 143, 25, 67, 40, 19, 110, 36, 78, 47, 15, 95, 61, 28, 126, 22, 71]
LENGTHS += [50, 34, 84, 43]
BATCH_SIZE, POOL_BATCHES = 4, 6


def padding():
    """Pads in batches of random sentences, and of sentences of similar length."""
    unsorted, alike = (
        [
            [LENGTHS[i] for i in batch]
            for batch in LengthBatchSampler(
                torch.tensor(LENGTHS), BATCH_SIZE, shuffle=True, pool_batches=pool_batches
            )
        ]
        for pool_batches in (1, POOL_BATCHES)  # a pool of one batch: random order
    )
    pool = POOL_BATCHES * BATCH_SIZE
    picture = Picture(
        "Pads in batches of random sentences, and of sentences of similar length",
        f"{len(LENGTHS)} sentences of {min(LENGTHS)} to {max(LENGTHS)} characters in batches of "
        f"{BATCH_SIZE}, each padded to the longest of its batch. In random order, pads are "
        f"{pad_share(unsorted):.0%} of all that is computed; where a pool of {pool} is sorted by "
        f"length before it is cut into batches, {pad_share(alike):.0%}.",
        height=520,
    )
    for x, title, batches, kind in (
        (LEFT, "random order", unsorted, "bold"),
        (250, f"sorted in a pool of {pool}", alike, "bold chars"),
    ):
        picture.text(x, 30, title, "bold", size=14, anchor="start")
        batch_bars(picture, x, 50, batches)
        picture.text(x, 446, f"{pad_share(batches):.0%} pads", kind, size=15, anchor="start")
    for x, role, text in ((LEFT, "chars", "characters of a sentence"), (250, "plain", "pads")):
        picture.box(x, 482, 24, 12, role, radius=0)
        picture.text(x + 32, 488, text, size=13, anchor="start")
    return picture


def pad_share(batches):
    """Which share of the padded batches' characters are pads."""
    padded = sum(max(batch) * len(batch) for batch in batches)
    return 1 - sum(map(sum, batches)) / padded


def batch_bars(picture, x, y, batches):
    """A bar for each sentence, then its pads; the batches apart."""
    unit = 210 / max(LENGTHS)
    for batch in batches:
        for length in batch:
            longest = max(batch)
            picture.box(x, y, unit * longest, 11, "plain", radius=0)
            picture.box(x, y, unit * length, 11, "chars", radius=0)
            y += 13
        y += 10


def pictures():
    """{name: Picture}"""
    return {"inputs": inputs(), "padding": padding()}


if __name__ == "__main__":
    save(pictures())
