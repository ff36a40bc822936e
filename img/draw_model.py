"""Draw the README's pictures of the task and of the model.

    python img/draw_model.py

writes map.svg, task.svg, model.svg and highway.svg into this folder.
"""

from canvas import Picture, save


def task():
    """A sentence and three kinds of tags for it."""
    picture = Picture(
        "What a sequence tagger does",
        "The sentence Dunston checks in at the Majestic Hotel, and three ways to tag its words. "
        "Entities: Dunston is B-PER, a person; Majestic is B-LOC and Hotel I-LOC, together a "
        "place; all other words are O. Parts of speech: NNP VBZ RP IN DT NNP NNP and a full stop. "
        "Chunks: Dunston is a noun phrase, checks a verb phrase, in a particle, at a preposition, "
        "the Majestic Hotel a noun phrase whose tags are B-NP I-NP I-NP.",
        388,
    )
    widths = [70, 60, 50, 44, 44, 70, 54, 28]
    lefts = [16 + sum(widths[:i]) + 4 * i for i in range(8)]

    def section(top, name, note):
        picture.text(16, top, name, "bold", 15, anchor="start")
        picture.text(464, top, note, "soft", 13, anchor="end")

    def spans(top, names):
        for name, first, last in names:
            width = lefts[last] + widths[last] - lefts[first]
            picture.box(lefts[first], top, width, 28, "tags", name, kind="bold tags")

    def tags(y, contents):
        for left, width, tag in zip(lefts, widths, contents.split(), strict=True):
            picture.text(left + width / 2, y, tag, "soft" if tag == "O" else "tags", 14)

    sentence = "Dunston checks in at the Majestic Hotel ."
    for left, width, word in zip(lefts, widths, sentence.split(), strict=True):
        picture.box(left, 16, width, 36, "words", word)

    section(84, "Entities", "PER: person, LOC: place")
    spans(100, [("PER", 0, 0), ("LOC", 5, 6)])
    tags(144, "B-PER O O O O B-LOC I-LOC O")

    picture.text(240, 176, "B- begins a span, I- continues it, O is in none", "soft", 14)

    section(224, "Chunks", "NP: noun phrase, VP: verb phrase, …")
    spans(240, [("NP", 0, 0), ("VP", 1, 1), ("PRT", 2, 2), ("PP", 3, 3), ("NP", 4, 6)])
    tags(284, "B-NP B-VP B-PRT B-PP B-NP I-NP I-NP O")

    section(332, "Parts of speech", "NNP: name, VBZ: verb, …")
    tags(360, "NNP VBZ RP IN DT NNP NNP .")
    return picture


def overview():
    """The model at a glance: what each part goes by."""
    picture = Picture(
        "The model at a glance",
        "Each of the words dunston, checks and in goes two ways. 1, the word itself: word "
        "embeddings. 2, its spelling: two character LSTMs, one from left to right, one from right "
        "to left. In training, language models on top of them predict the next word and the word "
        "before. Both ways meet in 3, the words around: a word LSTM in both directions; then 4, "
        "the tags around: a CRF. It gives the tags B-PER, O, O.",
        398,
    )
    columns = [166, 240, 314]
    for x, word, tag in zip(columns, ["dunston", "checks", "in"], ["B-PER", "O", "O"], strict=True):
        picture.box(x - 34, 16, 68, 30, "words", word, size=14)
        picture.box(x - 34, 352, 68, 30, "tags", tag, size=14)
        picture.arrow((x, 332), (x, 352), role="tags")
    picture.line((132, 50), (132, 57), (348, 57), (348, 50))  # a bracket: every word goes both ways
    picture.line((240, 57), (240, 70))
    for x in (94, 366):
        picture.arrow((240, 70), (x, 70), (x, 92))
    glance(picture, 16, 156, "words", "1  the word itself", "word embeddings")
    glance(picture, 196, 268, "chars", "2  its spelling", "two character LSTMs")
    picture.arrow((238, 128), (212, 128), role="chars")
    picture.arrow((422, 128), (448, 128), role="chars")
    picture.dashed_box(286, 178, 178, 56, "lm")
    picture.text(375, 196, "language models", "", 15)
    picture.text(375, 217, "in training only", "", 13)
    picture.arrow((375, 152), (375, 178), role="lm", dashed=True)
    picture.arrow((240, 152), (240, 250), role="chars")
    picture.arrow((94, 152), (94, 250), role="words")
    wide(picture, 250, "words", "3  the words around", "word LSTM")
    picture.arrow((290, 267), (264, 267), role="words")
    picture.arrow((392, 267), (418, 267), role="words")
    picture.arrow((240, 284), (240, 298), role="words")
    wide(picture, 298, "tags", "4  the tags around", "CRF")
    return picture


def glance(picture, x, width, role, what, name):
    """A part of the model, shown small: what it goes by, and its name."""
    picture.box(x, 92, width, 60, role)
    picture.text(x + width / 2, 109, what, f"bold {role}", 14)
    picture.text(x + width / 2, 129, name, "", 15)


def wide(picture, y, role, what, name):
    """The same for a part as wide as the picture."""
    picture.box(16, y, 448, 34, role)
    picture.text(30, y + 17, what, f"bold {role}", 14, "start")
    picture.text(341, y + 17, name, "", 15)


def model():
    """LM_LSTM_CRF.forward, step by step, with the shapes that pass between."""
    picture = Picture(
        "LM_LSTM_CRF with the shapes of its tensors",
        "forward_chars and backward_chars, (N, C) each, go through the same char_embeddings to "
        "(N, C, char_emb_dim); forward_char_lstm and backward_char_lstm make (N, C, H); of these, "
        "the states at forward_markers and backward_markers are taken, (N, L, H), with dropout. "
        "In training each direction goes on to its language model: a highway layer, dropout and a "
        "linear layer, (N, L, V), for LanguageModelLoss. For tagging both are concatenated, "
        "(N, L, 2H), and pass subword_highway and dropout. words, (N, L), become "
        "word_embeddings with dropout, (N, L, word_emb_dim). Both together, "
        "(N, L, word_emb_dim + 2H), go to word_lstm, (N, L, D), dropout and crf. Its scores, "
        "(N, L, m, m), go to ViterbiLoss for training and to ViterbiDecoder for tagging.",
        1072,
    )
    read_characters(picture)
    for x, name, predicted in ((124, "forward", "next word"), (356, "backward", "word before")):
        language_model_head(picture, x, name, predicted)
    join_words(picture)
    score_tags(picture)
    return picture


def layer(picture, x, y, role, name, note="", dashed=False):
    """A layer of the model, 32 units high, or 44 with a note below its name; x is its middle."""
    box = picture.dashed_box if dashed else picture.box
    box(x - 88, y, 176, 44 if note else 32, role)
    picture.text(x, y + (14 if note else 16), name, "mono", 13)
    if note:
        picture.text(x, y + 31, note, "", 13)


def dropout(picture, x, y):
    picture.box(x - 44, y, 88, 24, "plain", "dropout", size=13, radius=12)


def shape(picture, x, y, content, anchor="start"):
    picture.text(x, y, content, "mono soft", 13, anchor)


def read_characters(picture):
    """read_characters for both directions, and both concatenated."""
    picture.box(36, 80, 408, 32, "chars")
    picture.text(240, 96, "char_embeddings", "mono", 13)
    shape(picture, 240, 64, "(N, C)", "middle")
    shape(picture, 240, 128, "(N, C, char_emb_dim)", "middle")
    shape(picture, 240, 192, "(N, C, H)", "middle")
    for x, name in ((124, "forward"), (356, "backward")):
        picture.box(x - 88, 16, 176, 32, "chars", f"{name}_chars", size=13, kind="mono", radius=16)
        layer(picture, x, 144, "chars", f"{name}_char_lstm")
        picture.box(x - 88, 208, 176, 44, "chars")
        picture.text(x, 221, "take states at", "", 13)
        picture.text(x, 239, f"{name}_markers", "mono", 13)
        dropout(picture, x, 268)
        for top, bottom in ((48, 80), (112, 144), (176, 208), (252, 268)):
            picture.arrow((x, top), (x, bottom), role="chars")
        picture.arrow((x, 292), (x, 324), (208 if x < 240 else 272, 324), role="chars")
    shape(picture, 240, 292, "(N, L, H)", "middle")
    picture.box(208, 312, 64, 24, "plain", "concat", size=13)


def language_model_head(picture, x, name, predicted):
    """One of the two language models, from the states to its loss."""
    layer(picture, x, 348, "lm", f"{name}_lm_highway", dashed=True)
    dropout(picture, x, 396)
    layer(picture, x, 436, "lm", f"{name}_lm_out", dashed=True)
    layer(picture, x, 500, "lm", "LanguageModelLoss", predicted, dashed=True)
    for top, bottom in ((324, 348), (380, 396), (420, 436), (468, 500)):
        picture.arrow((x, top), (x, bottom), role="lm", dashed=True)
    shape(picture, x + 8, 484, "(N, L, V)")


def join_words(picture):
    """Join what the characters give with the words' embeddings."""
    picture.arrow((240, 336), (240, 604), (356, 604), (356, 640), role="chars")
    shape(picture, 252, 590, "(N, L, 2H)")
    layer(picture, 356, 640, "chars", "subword_highway")
    picture.box(36, 576, 176, 32, "words", "words", size=13, kind="mono", radius=16)
    layer(picture, 124, 640, "words", "word_embeddings")
    picture.arrow((124, 608), (124, 640), role="words")
    shape(picture, 132, 624, "(N, L)")
    for x, inner, role in ((124, 208, "words"), (356, 272, "chars")):
        picture.arrow((x, 672), (x, 688), role=role)
        dropout(picture, x, 688)
        picture.arrow((x, 712), (x, 756), (inner, 756), role=role)
    shape(picture, 132, 728, "(N, L, word_emb_dim)")
    shape(picture, 364, 728, "(N, L, 2H)")
    picture.box(208, 744, 64, 24, "plain", "concat", size=13)


def score_tags(picture):
    """Word LSTM, CRF, and what takes its scores."""
    for top, bottom, role in ((768, 800, "words"), (832, 864, "words"), (888, 904, "words")):
        picture.arrow((240, top), (240, bottom), role=role)
    shape(picture, 248, 784, "(N, L, word_emb_dim + 2H)")
    layer(picture, 240, 800, "words", "word_lstm")
    shape(picture, 248, 848, "(N, L, D)")
    dropout(picture, 240, 864)
    layer(picture, 240, 904, "tags", "crf")
    picture.line((240, 936), (240, 968), role="tags")
    picture.arrow((240, 968), (124, 968), (124, 984), role="tags")
    picture.arrow((240, 968), (356, 968), (356, 984), role="tags")
    shape(picture, 248, 952, "(N, L, m, m)")
    layer(picture, 124, 984, "tags", "ViterbiLoss", "for training")
    layer(picture, 356, 984, "tags", "ViterbiDecoder", "for tagging")
    picture.text(240, 1048, "dashed: in training only; dropout likewise", "soft", 13)


def highway():
    """A highway layer, and what it makes of three features."""
    picture = Picture(
        "A highway layer",
        "The input x goes three ways: through the transform t = relu(W_t x + b_t), through the "
        "gate g = sigmoid(W_g x + b_g), and untouched. The output is y = g * t + (1 - g) * x, "
        "feature by feature. An example with three features: x = 0.5, -2.0, 1.0, t = 1.5, 0.8, "
        "0.0 and g = 0.9, 0.5, 0.1 give y = 1.4, -0.6, 0.9. Where g is near 1, y is near t; where "
        "g is near 0, y is near x.",
        444,
    )
    x, t, g = [0.5, -2.0, 1.0], [1.5, 0.8, 0.0], [0.9, 0.5, 0.1]
    y = [gate * new + (1 - gate) * old for old, new, gate in zip(x, t, g, strict=True)]

    def features(middle, top, values, role):
        shown = [f"{value:.1f}".replace("-", "−") for value in values]
        picture.cells(middle - 66, top, [shown], 44, 30, role)

    columns = [
        (88, "transform t", "relu(W_t x + b_t)", "chars", t),
        (240, "gate g", "sigmoid(W_g x + b_g)", "gold", g),
        (392, "untouched", "x", "chars", x),
    ]
    for middle, name, formula, role, values in columns:
        picture.arrow((240, 66), (middle, 66), (middle, 88), role="chars")
        picture.box(middle - 72, 88, 144, 52, f"line {role}" if formula == "x" else role)
        picture.text(middle, 104, name, "bold", 14)
        picture.formula(middle, 124, formula, size=13)
        picture.arrow((middle, 140), (middle, 166), role=role)
        features(middle, 166, values, role)
    features(240, 16, x, "chars")
    picture.line((240, 46), (240, 66), role="chars")
    picture.text(158, 31, "x", "bold", 16)

    picture.line((240, 196), (240, 240), role="gold")
    sides = [(88, 101, 227, "g"), (392, 379, 253, "1 − g")]
    for middle, inner, edge, factor in sides:
        picture.arrow((middle, 196), (middle, 227), role="chars")
        picture.arrow((240, 240), (inner, 240), role="gold")
        picture.text((middle + 240) / 2, 226, factor, "bold gold", 15)
        picture.circle(middle, 240, 13, "plain", "×", 17)
        picture.arrow((middle, 253), (middle, 296), (edge, 296), role="chars")
    picture.circle(240, 296, 13, "plain", "+", 17)
    picture.arrow((240, 309), (240, 334), role="chars")
    features(240, 334, y, "chars")
    picture.text(158, 349, "y", "bold", 16)
    picture.text(240, 390, "y = g × t + (1 − g) × x", "bold", 16)
    picture.text(240, 416, "g near 1 lets t through, g near 0 lets x through", "soft", 13)
    return picture


def pictures():
    """{name: Picture}"""
    return {"map": overview()} | {draw.__name__: draw() for draw in (task, model, highway)}


if __name__ == "__main__":
    save(pictures())
