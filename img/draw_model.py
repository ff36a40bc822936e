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


def main():
    save({"task": task(), "multitask": multitask()})


if __name__ == "__main__":
    main()
