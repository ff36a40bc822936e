"""Draw the README's pictures of the ladder: what each of the five steps adds.

    python img/draw_steps.py

writes family.svg, lstm.svg, blstm.svg, characters.svg and multitask.svg into this folder.
"""

from canvas import LEFT, RIGHT, Picture, heading, number, save
from example import EMISSION, TAG_NAMES, TAGS, WORDS

WORD_TAGS = TAG_NAMES[1:-1]  # without <start> and <end>


# ------------------------------------------------------------------------------------------------
# All five steps
# ------------------------------------------------------------------------------------------------


def family():
    """From an LSTM tagger to LM-LSTM-CRF, one part a step."""
    picture = Picture(
        "Five taggers, from an LSTM to LM-LSTM-CRF",
        "Each diagram has one part more than the one before. Step 1: words, a word LSTM that reads "
        "from left to right, and a linear layer. Step 2: the word LSTM also reads from right to "
        "left. Step 3: transitions beside the linear layer, which together make the CRF. Step 4: "
        "characters beside the words. Step 5: language models on the characters, and highway "
        "layers.",
        height=736,
    )
    small_model(picture, 16, 28, "1: LSTM tagger", "1_lstm.py", 1)
    small_model(picture, 248, 28, "2: both directions", "2_blstm.py", 2)
    small_model(picture, 16, 234, "3: CRF", "3_crf.py", 3)
    small_model(picture, 248, 234, "4: characters", "4_characters.py", 4)
    small_model(picture, 16, 440, "5: LM-LSTM-CRF", "5_language_models.py", 5)
    new(picture, 310, 560, 16, 14)
    picture.text(338, 567, "new in this step", "soft", 13, "start")
    return picture


def small_model(picture, x, y, name, script, step):
    """What a step's model is made of; what is new in it has a frame."""
    picture.text(x, y, name, "bold", 15, "start")
    picture.text(x, y + 21, script, "mono soft", 13, "start")
    if step == 5:
        part(picture, x, y + 40, 116, "lm", "language models")
        picture.arrow((x + 58, y + 98), (x + 58, y + 84), role="lm")
        new(picture, x, y + 40, 116, 40)
        y += 58
    if step >= 4:
        part(picture, x, y + 40, 116, "chars", "characters")
        picture.arrow((x + 58, y + 72), (x + 58, y + (86 if step == 5 else 90)), role="chars")
    part(picture, x + 136, y + 40, 80, "words", "words")
    below = y + 90
    if step == 5:
        part(picture, x, y + 90, 116, "chars", "highway layer")
        picture.arrow((x + 58, y + 122), (x + 58, y + 140), role="chars")
        new(picture, x, y + 90, 116)
        below = y + 140
    picture.arrow((x + 176, y + 72), (x + 176, below), role="words")
    y = below - 90
    word_lstm(picture, x, y + 90, leftward=step > 1)
    picture.arrow((x + 58, y + 122), (x + 58, y + 140), role="words")
    crf(picture, x, y + 140, transitions=step > 2)
    if step == 2:
        new(picture, x, y + 90, 64)
    if step == 3:
        new(picture, x + 136, y + 140, 80)
    if step == 4:
        new(picture, x, y + 40, 116)


def part(picture, x, y, width, role, name):
    """A part of a small model."""
    lines = name.split() if role == "lm" else [name]
    picture.box(x, y, width, 40 if role == "lm" else 32, role, *lines, size=13)


def new(picture, x, y, width, height=32):
    """A frame around what is new."""
    picture.box(x - 3, y - 3, width + 6, height + 6, "line gold", radius=8)


def word_lstm(picture, x, y, leftward=True):
    part(picture, x, y, 216, "words", "word LSTM")
    picture.arrow((x + 162, y + 16), (x + 194, y + 16), role="words")
    if leftward:
        picture.arrow((x + 54, y + 16), (x + 22, y + 16), role="words")


def crf(picture, x, y, transitions=True):
    part(picture, x, y, 116, "tags", "linear layer")
    if transitions:
        part(picture, x + 136, y, 80, "tags", "transitions")
        picture.text(x + 124, y + 16, "+", "tags", 15)


# ------------------------------------------------------------------------------------------------
# Steps 1 and 2: words
# ------------------------------------------------------------------------------------------------

MIDDLES, SIDE = (94, 240, 386), 22  # of the words' columns; from there to an LSTM's state


def lstm():
    """Step 1: an LSTM from left to right."""
    scores = [row[1:-1] for row in EMISSION.tolist()]
    of_dunston = zip(WORD_TAGS, scores[0], strict=True)
    said = ", ".join(f"{tag} {number(score)}" for tag, score in of_dunston)
    picture = Picture(
        "Step 1: a word LSTM",
        "An LSTM reads the embeddings of dunston, checks and in from left to right. A linear layer "
        "turns its state at each word into a score for each of the tags B-LOC, B-PER and O. The "
        "state at dunston has read dunston alone; at checks, dunston and checks; at in, all three. "
        f"The scores at dunston: {said}.",
        height=414,
    )
    words(picture)
    reading_lstm(picture, 74, MIDDLES, 1)
    for x in MIDDLES:
        picture.arrow((x, 50), (x, 74), role="words")
        picture.arrow((x, 98), (x, 134), role="words")
    linear_layer(picture, 134, scores)
    what_is_read(picture, 290, lambda read, at: read <= at)
    return picture


def blstm():
    """Step 2: a second LSTM, from right to left."""
    picture = Picture(
        "Step 2: a second word LSTM, which reads from right to left",
        "Two LSTMs read the embeddings of dunston, checks and in, one from left to right, one from "
        "right to left. At each word, the states of both are concatenated, and a linear layer "
        "turns them into a score for each tag. Together, both states have read all three words at "
        "each of them.",
        height=486,
    )
    words(picture)
    for x in MIDDLES:  # drawn first, to pass under the LSTMs
        picture.arrow((x + SIDE, 50), (x + SIDE, 126), role="words")
        picture.arrow((x - SIDE, 50), (x - SIDE, 74), role="words")
        for side in (-SIDE, SIDE):
            picture.arrow((x + side, 92 if side < 0 else 144), (x + side, 184), role="words")
        picture.box(x - 2 * SIDE, 184, 2 * SIDE, 26, "words", "→", radius=0)
        picture.box(x, 184, 2 * SIDE, 26, "words", "←", radius=0)
        picture.arrow((x, 210), (x, 232), role="words")
    reading_lstm(picture, 74, [x - SIDE for x in MIDDLES], 1)
    reading_lstm(picture, 126, [x + SIDE for x in MIDDLES], -1)
    linear_layer(picture, 232)
    what_is_read(picture, 362, lambda read, at: True)
    return picture


def words(picture):
    """The words, each at the top of its column."""
    for x, word in zip(MIDDLES, WORDS, strict=True):
        picture.box(x - 44, 20, 88, 30, "words", word)


def reading_lstm(picture, y, states, toward):
    """An LSTM along the words; toward: 1 from left to right, -1 from right to left."""
    picture.box(LEFT, y, RIGHT - LEFT, 36, "words")
    states = states[::toward]
    for begin, end in zip([LEFT + 8 if toward > 0 else RIGHT - 8, *states], states, strict=False):
        picture.arrow((begin, y + 18), (end - 7 * toward, y + 18), role="words")
    for x in states:
        picture.circle(x, y + 18, 6, "head words")
    picture.box((states[0] + states[1]) / 2 - 25, y + 7, 50, 22, "card", "LSTM", size=13)


def linear_layer(picture, y, scores=None):
    """A linear layer, and what it gives for each word; the best of each word's scores is marked."""
    picture.box(LEFT, y, RIGHT - LEFT, 32, "tags", "linear layer: a score for each tag")
    for k, x in enumerate(MIDDLES):
        picture.arrow((x, y + 32), (x, y + 54), role="tags")
        rows, marked = [WORD_TAGS], []
        if scores is not None:
            rows.append([number(score) for score in scores[k]])
            marked = [(1, scores[k].index(max(scores[k])))]
        picture.cells(x - 69, y + 54, rows, 46, 26, "tags", size=13, marked=marked)


def what_is_read(picture, y, is_read):
    """Which words the states at each word have read; is_read(number of a word, of the state's)."""
    heading(picture, y, "What the states at each word have read")
    for at, x in enumerate(MIDDLES):
        for read, word in enumerate(WORDS):
            box = picture.box if is_read(read, at) else picture.dashed_box
            role = "words" if is_read(read, at) else "line plain"
            kind = "" if is_read(read, at) else "soft"
            box(x - 69, y + 16 + 30 * read, 138, 26, role, word, size=14, kind=kind)


# ------------------------------------------------------------------------------------------------
# Steps 4 and 5: characters
# ------------------------------------------------------------------------------------------------

LETTERS = "_dunston_checks_in_"
LETTER, LETTERS_AT = 23, 21.5  # width of a letter's cell, where the first begins
SPACES = [LETTERS_AT + LETTER * (i + 0.5) for i, letter in enumerate(LETTERS) if letter == "_"]


def characters():
    """Step 4: two character LSTMs, whose states join the words' embeddings."""
    picture = Picture(
        "Step 4: two character LSTMs",
        "The letters of dunston checks in, with spaces between the words and around them. One LSTM "
        "reads them from left to right; its states at the space after each word are kept. The "
        "other reads from right to left; its states at the space before each word are kept. At "
        "each word, both states and the word's embedding are concatenated, for the two word LSTMs.",
        height=470,
    )
    heading(picture, 30, "State at the space after each word", kind="bold chars", size=14)
    at_spaces(picture, 50, SPACES[1:], WORDS, "chars", above=True)
    letters(picture, 102)
    at_spaces(picture, 246, SPACES[:3], WORDS, "chars", above=False)
    heading(picture, 296, "State at the space before each word", kind="bold chars", size=14)
    heading(picture, 344, "Both states and the embedding, for each word", size=14)
    word_features(picture, 366)
    for x in MIDDLES:
        picture.arrow((x, 396), (x, 418), role="words")
    picture.box(LEFT, 418, RIGHT - LEFT, 32, "words", "word LSTMs and CRF, as before")
    return picture


def multitask():
    """Step 5: the two language models, the tagger, what they share, and their losses."""
    picture = Picture(
        "Step 5: three tasks that are learned together",
        "The letters of dunston checks in, with spaces between the words and around them. Above "
        "them, an LSTM reads from left to right, beginning with the first letter; from its state "
        "at the space after each word, the forward language model predicts the next: after dunston "
        "checks, after checks in, after in the end. Below them, an LSTM reads from right to left, "
        "beginning with the last letter; from its state at the space before each word, the "
        "backward language model predicts the word before: before in checks, before checks "
        "dunston, before dunston the end. The tagger takes both states at each word and the word's "
        "embedding to a word LSTM and a CRF, which give B-PER O O. The loss is the sum of the "
        "three losses. Highway layers and dropout are left out.",
        height=654,
    )
    task_heading(picture, 30, "Forward language model", "the next word?", "loss_{forward LM}", "lm")
    at_spaces(picture, 48, SPACES[1:], ["checks", "in", "<end>"], "lm", above=True)
    letters(picture, 100)
    at_spaces(picture, 244, SPACES[:3], ["<end>", "dunston", "checks"], "lm", above=False)
    task_heading(
        picture, 300, "Backward language model", "the word before?", "loss_{backward LM}", "lm"
    )
    tagger(picture, 372)
    picture.box(54, 604, 372, 34, "plain")
    total = "loss = loss_{Viterbi} + loss_{forward LM} + loss_{backward LM}"
    picture.formula(240, 621, total, size=14)
    return picture


def task_heading(picture, y, name, question, loss, role):
    """A task's name, what it asks, and its loss."""
    picture.text(20, y, name, f"bold {role}", 13, "start")
    picture.text(282, y, question, "soft", 13)
    picture.formula(460, y, loss, f"bold {role}", 13, "end")


def letters(picture, y):
    """The letters, with an LSTM above them and one below them."""
    character_lstm(picture, y, SPACES[1:], rightward=True)
    plain = {(0, i): "plain" for i, letter in enumerate(LETTERS) if letter == "_"}
    picture.cells(LETTERS_AT, y + 50, [[*LETTERS]], LETTER, 28, "chars", size=14, marked=plain)
    character_lstm(picture, y + 94, SPACES[:3], rightward=False)


def character_lstm(picture, y, marked, rightward):
    """A character LSTM along the letters that it reads, its states at some of them marked.

    What it reads begins with a letter and ends with a space.
    """
    first = 1 if rightward else 0
    left, right = (LETTERS_AT + LETTER * (first + n) for n in (0, len(LETTERS) - 1))
    picture.box(left, y, right - left, 34, "chars")
    stops = [left + 6, *marked] if rightward else [right - 6, *marked[::-1]]
    for begin, end in zip(stops, stops[1:], strict=False):
        toward = 7 if rightward else -7
        picture.arrow((begin, y + 17), (end - toward, y + 17), role="chars")
    for x in marked:
        picture.circle(x, y + 17, 6, "head chars")
    picture.box(275, y + 6, 50, 22, "card", "LSTM", size=13)
    between = (y + 34, y + 50) if rightward else (y - 16, y)
    for i in range(len(LETTERS) - 1):
        x = left + LETTER * (i + 0.5)
        picture.line((x, between[0]), (x, between[1]), role="chars")


def at_spaces(picture, y, middles, names, role, above):
    """What the states at `middles` are of, or what is predicted from them."""
    for x, name in zip(middles, names, strict=True):
        width = max(44, 8 * len(name) + 14)
        left = min(max(x - width / 2, 16), 464 - width)
        picture.box(left, y, width, 28, role, name, size=14)
        at = (y + 63, y + 28) if above else (y - 27, y)
        picture.arrow((x, at[0]), (x, at[1]), role=role)


def word_features(picture, y):
    """For each word both states and its embedding."""
    for x, word in zip(MIDDLES, WORDS, strict=True):
        for side in (x - 46, x + 46):
            picture.box(side - 12, y, 24, 30, "chars", radius=0)
            picture.circle(side, y + 15, 6, "head chars")
        picture.box(x - 34, y, 68, 30, "words", word, size=14, radius=0)


def tagger(picture, y):
    """Word LSTM, CRF and tags."""
    task_heading(picture, y - 22, "Tagger", "the tag?", "loss_{Viterbi}", "tags")
    word_features(picture, y)
    for x, tag in zip(MIDDLES, TAGS, strict=True):
        for below, role in ((30, "words"), (80, "words"), (130, "tags")):
            picture.arrow((x, y + below), (x, y + below + 18), role=role)
        picture.box(x - 34, y + 148, 68, 30, "tags", tag, size=14)
    picture.box(32, y + 48, 416, 32, "words", "word LSTM, both directions", size=15)
    picture.box(32, y + 98, 416, 32, "tags", "CRF", size=15)
    picture.circle(132, y + 206, 6, "head chars")
    picture.text(146, y + 206, "a character LSTM’s state at a word", "soft", 13, "start")


def pictures():
    """{name: Picture}"""
    return {draw.__name__: draw() for draw in (family, lstm, blstm, characters, multitask)}


if __name__ == "__main__":
    save(pictures())
