"""Draws the README's pictures of the task and of the model.

    python img/draw_model.py

writes task.svg, multitask.svg, model.svg, highway.svg and family.svg beside this file.
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


def multitask():
    """The two language models, the tagger, what they share, and their losses."""
    picture = Picture(
        "Three tasks that are learned together",
        "Both language models read the letters of dunston checks in, with the same embeddings of "
        "letters. The forward one reads from left to right; after dunston it predicts checks, "
        "after checks it predicts in, after in the end. The backward one reads from right to "
        "left; before in it predicts checks, before checks dunston, before dunston the end. The "
        "tagger takes the states of both LSTMs at each word, beside the word's embedding, to a "
        "word LSTM and a CRF, which give B-PER O O. The loss is the sum of the three losses: "
        "forward language model, backward language model, and Viterbi. Highway layers and dropout "
        "are left out.",
        660,
    )
    rows = [112, 160, 208]
    read_letters(picture, rows)
    language_model(picture, rows, 16, "Backward", "before", ["<end>", "dunston", "checks"])
    language_model(picture, rows, 464, "Forward", "next", ["checks", "in", "<end>"])
    picture.text(240, 256, "states at word ends", "soft", 13)
    tagger(picture, 284)

    picture.arrow((50, 232), (50, 572), (227, 572), role="lm")
    picture.formula(138, 556, "L_{backward LM}", "lm", 16)
    picture.arrow((430, 232), (430, 572), (253, 572), role="lm")
    picture.formula(342, 556, "L_{forward LM}", "lm", 16)
    picture.arrow((240, 506), (240, 559), role="tags")
    picture.formula(252, 524, "L_{Viterbi}", "tags", 16, anchor="start")
    picture.circle(240, 572, 13, "plain", "+", 17)
    picture.arrow((240, 585), (240, 608))
    total = "L = L_{forward LM} + L_{backward LM} + L_{Viterbi}"
    picture.box(68, 608, 344, 36, "plain")
    picture.formula(240, 626, total, size=16)
    return picture


def read_letters(picture, rows):
    """The letters of each word, in the middle, with the space that ends it in each direction."""
    picture.text(240, 28, "Letters", "bold chars", 14)
    picture.text(240, 46, "shared embeddings", "chars", 13)
    for y, word in zip(rows, ["dunston", "checks", "in"], strict=True):
        left = 240 - 17 * (len(word) + 2) / 2
        space = {(0, 0): "plain", (0, len(word) + 1): "plain"}
        cells = [[*f"_{word}_"]]
        picture.cells(left, y - 14, cells, 17, 28, "chars", size=14, marked=space)
        picture.arrow((left, y), (146, y), role="chars")
        picture.arrow((480 - left, y), (334, y), role="chars")


def language_model(picture, rows, edge, name, which, predictions):
    """A character LSTM, its states at word ends, and the words predicted from them."""
    sign = 1 if edge < 240 else -1  # the forward one is the backward one's mirror image

    def box(first, width, *rest):
        picture.box(min(edge + sign * first, edge + sign * (first + width)), 60, width, 172, *rest)

    anchor = "start" if sign > 0 else "end"
    picture.text(edge, 28, name, "bold lm", 14, anchor)
    picture.text(edge, 46, "language model", "lm", 13, anchor)
    lstm = edge + sign * 108
    box(86, 44, "chars")
    picture.text(lstm, 80, "LSTM", "chars", 13)
    steps = rows[::-1] if sign > 0 else rows
    for before, after in zip(steps, steps[1:], strict=False):
        toward = 5 if after > before else -5
        picture.arrow((lstm, before + toward), (lstm, after - toward), role="chars")
    box(0, 68, "lm")
    picture.text(edge + sign * 34, 80, which, "lm", 13)
    for y, word in zip(rows, predictions, strict=True):
        picture.circle(lstm, y, 5, "head chars")
        picture.arrow((edge + sign * 86, y), (edge + sign * 68, y), role="lm")
        picture.text(edge + sign * 34, y, word, "", 14)


def tagger(picture, top):
    """For each word the two states beside its embedding, then word LSTM, CRF and tags."""
    picture.arrow((124, 232), (124, top), role="chars")
    picture.arrow((356, 232), (356, top), role="chars")
    picture.box(68, top, 344, 222, "line tags", radius=10)
    picture.text(240, top + 20, "Tagger", "bold tags", 14)
    words, tags = ["dunston", "checks", "in"], ["B-PER", "O", "O"]
    for x, word, tag in zip([130, 240, 350], words, tags, strict=True):
        for side in (x - 40, x + 40):
            picture.box(side - 10, top + 38, 20, 28, "chars", radius=0)
            picture.circle(side, top + 52, 5, "head chars")
        picture.box(x - 30, top + 38, 60, 28, "words", word, size=13, radius=0)
        for y, role in ((66, "words"), (114, "words"), (162, "tags")):
            picture.arrow((x, top + y), (x, top + y + 18), role=role)
        picture.box(x - 30, top + 180, 60, 28, "tags", tag, size=14)
    picture.box(80, top + 84, 320, 30, "words", "word LSTM, both directions", size=14)
    picture.box(80, top + 132, 320, 30, "tags", "CRF", size=14)


def model():
    """LM_LSTM_CRF.forward, step by step, with the shapes that pass between."""
    picture = Picture(
        "LM_LSTM_CRF with the shapes of its tensors",
        "backward_chars and forward_chars, (N, C) each, go through the same char_embeddings to "
        "(N, C, char_emb_dim); backward_char_lstm and forward_char_lstm make (N, C, H); of these, "
        "the states at backward_markers and forward_markers are taken, (N, L, H), with dropout. "
        "In training each direction goes on to its language model: a highway layer, dropout and a "
        "linear layer, (N, L, V), for LanguageModelLoss. For tagging both are concatenated, "
        "(N, L, 2H), and pass subword_highway and dropout. words, (N, L), become "
        "word_embeddings with dropout, (N, L, word_emb_dim). Both together, "
        "(N, L, word_emb_dim + 2H), go to word_lstm, (N, L, D), dropout and crf. Its scores, "
        "(N, L, m, m), go to ViterbiLoss for training and to ViterbiDecoder for tagging.",
        1072,
    )
    read_characters(picture)
    for x, name, predicted in ((124, "backward", "word before"), (356, "forward", "next word")):
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
    """read_characters for both directions, and what comes of it put together."""
    picture.box(36, 80, 408, 32, "chars")
    picture.text(240, 96, "char_embeddings", "mono", 13)
    shape(picture, 240, 64, "(N, C)", "middle")
    shape(picture, 240, 128, "(N, C, char_emb_dim)", "middle")
    shape(picture, 240, 192, "(N, C, H)", "middle")
    for x, name in ((124, "backward"), (356, "forward")):
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
    """What the characters tell, beside the words' embeddings."""
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
    for middle, inner, beside, factor in sides:
        picture.arrow((middle, 196), (middle, 227), role="chars")
        picture.arrow((240, 240), (inner, 240), role="gold")
        picture.text((middle + 240) / 2, 226, factor, "bold gold", 15)
        picture.circle(middle, 240, 13, "plain", "×", 17)
        picture.arrow((middle, 253), (middle, 296), (beside, 296), role="chars")
    picture.circle(240, 296, 13, "plain", "+", 17)
    picture.arrow((240, 309), (240, 334), role="chars")
    features(240, 334, y, "chars")
    picture.text(158, 349, "y", "bold", 16)
    picture.text(240, 390, "y = g × t + (1 − g) × x", "bold", 16)
    picture.text(240, 416, "g near 1 lets t through, g near 0 lets x through", "soft", 13)
    return picture


def family():
    """LM-LSTM-CRF, and the models that are left when parts of it are taken away."""
    picture = Picture(
        "LM-LSTM-CRF and simpler models",
        "Four diagrams in which parts disappear one by one. LM-LSTM-CRF has language models on "
        "its characters' LSTMs, characters, words, a word LSTM in both directions, a linear layer "
        "and transitions, which make the CRF. (a) With co_training = False it has no language "
        "models. (b) With use_characters = False as well it has no characters. (c) With use_crf = "
        "False as well it has no transitions. Two variants: with bidirectional = False the word "
        "LSTM reads from left to right only; with attention_heads = 6 self-attention stands "
        "between the word LSTM and the linear layer.",
        808,
    )
    small_model(picture, 16, 28, "LM-LSTM-CRF", "CRF: linear + transitions", 0)
    small_model(picture, 248, 28, "(a) no co-training", "co_training = False", 1)
    small_model(picture, 16, 304, "(b) no characters", "and use_characters = False", 2)
    small_model(picture, 248, 304, "(c) no CRF", "and use_crf = False", 3)
    picture.line((16, 564), (464, 564), role="card")
    picture.text(240, 588, "in any of them:", "soft", 14)
    small_heading(picture, 16, 620, "one direction", "bidirectional = False")
    word_lstm(picture, 16, 660, leftward=False)
    picture.arrow((74, 692), (74, 760), role="words")
    crf(picture, 16, 760)
    small_heading(picture, 248, 620, "self-attention", "attention_heads = 6")
    word_lstm(picture, 248, 660)
    picture.arrow((306, 692), (306, 710), role="words")
    part(picture, 248, 710, 216, "words", "self-attention")
    picture.arrow((306, 742), (306, 760), role="words")
    crf(picture, 248, 760)
    return picture


def small_heading(picture, x, y, name, constant):
    picture.text(x, y, name, "bold", 15, "start")
    picture.text(x, y + 21, constant, "mono soft" if "=" in constant else "soft", 13, "start")


def small_model(picture, x, y, name, constant, missing):
    """A model of the family without the first `missing` parts."""
    small_heading(picture, x, y, name, constant)
    part(picture, x, y + 40, 116, "lm", "language models", missing < 1)
    part(picture, x, y + 98, 116, "chars", "characters", missing < 2)
    part(picture, x + 136, y + 98, 80, "words", "words")
    word_lstm(picture, x, y + 148)
    crf(picture, x, y + 198, missing < 3)
    if missing < 1:
        picture.arrow((x + 58, y + 98), (x + 58, y + 80), role="lm")
    if missing < 2:
        picture.arrow((x + 58, y + 130), (x + 58, y + 148), role="chars")
    picture.arrow((x + 176, y + 130), (x + 176, y + 148), role="words")
    picture.arrow((x + 58, y + 180), (x + 58, y + 198), role="words")


def part(picture, x, y, width, role, name, there=True):
    """A part of a small model, or where it would be."""
    lines = name.split() if role == "lm" else [name]
    height = 40 if role == "lm" else 32
    if there:
        picture.box(x, y, width, height, role, *lines, size=13)
    else:
        picture.dashed_box(x, y, width, height, "line plain", *lines, size=13, kind="soft")


def word_lstm(picture, x, y, leftward=True):
    part(picture, x, y, 216, "words", "word LSTM")
    picture.arrow((x + 162, y + 16), (x + 194, y + 16), role="words")
    if leftward:
        picture.arrow((x + 54, y + 16), (x + 22, y + 16), role="words")


def crf(picture, x, y, transitions=True):
    part(picture, x, y, 116, "tags", "linear layer")
    part(picture, x + 136, y, 80, "tags", "transitions", transitions)
    if transitions:
        picture.text(x + 126, y + 16, "+", "tags", 15)


def pictures():
    """{name: Picture}"""
    return {draw.__name__: draw() for draw in (task, multitask, model, highway, family)}


if __name__ == "__main__":
    save(pictures())
