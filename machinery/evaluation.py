"""Where a tagger goes wrong: its mistakes, counted and listed."""

import collections

from machinery.errors import visible
from machinery.files import replace
from machinery.pages import mistakes_page
from machinery.spans import are_spans, count_tags, spans
from machinery.text import aligned

MOST = 12  # kinds in a table, so that it fits a screen


def aligned_spans(gold, predicted):
    """Pair the spans of a sentence, each with the one that was found in its place.

    Spans with the same boundaries are paired first, then those of one type that overlap, then any
    that overlap. So gold = pairs + missed, and found = pairs + invented.

    :param gold, predicted: lists of (type, begin, end), as `spans` gives them
    :return: list of (gold span or None, predicted span or None)
    """

    def overlap(a, b):
        """Whether two spans have a word in common."""
        return a[1] < b[2] and b[1] < a[2]

    pairs, gold, predicted = [], list(gold), list(predicted)
    for fit in (
        lambda a, b: a[1:] == b[1:],
        lambda a, b: a[0] == b[0] and overlap(a, b),
        overlap,
    ):
        for span in list(gold):
            found = next((other for other in predicted if fit(span, other)), None)
            if found is not None:
                pairs.append((span, found))
                gold.remove(span)
                predicted.remove(found)
    return pairs + [(span, None) for span in gold] + [(None, span) for span in predicted]


def compare(gold, predicted, tags_are_spans):
    """What was found in a sentence, piece by piece.

    :param gold, predicted: the tags of a sentence
    :param tags_are_spans: the pieces are spans; else they are words
    :return: list of (mistake in words, "" for none; (type or tag, begin, end) of gold, or None; of
        the predicted, or None)
    """
    if not tags_are_spans:
        return [
            ("wrong tag" if a != b else "", (a, i, i + 1), (b, i, i + 1))
            for i, (a, b) in enumerate(zip(gold, predicted, strict=True))
        ]
    pairs = aligned_spans(spans(gold), spans(predicted))
    return [(mistake(*pair), *pair) for pair in pairs]


def mistake(gold, predicted):
    """What is wrong with a predicted span, in words; "" if nothing is."""
    if predicted is None:
        return "missed"
    if gold is None:
        return "invented"
    wrong = ["type"] * (gold[0] != predicted[0]) + ["boundaries"] * (gold[1:] != predicted[1:])
    return f"wrong {' and '.join(wrong)}" if wrong else ""


def compare_all(gold, predicted):
    """`compare` for every sentence of a file."""
    tags_are_spans = are_spans(count_tags(gold, predicted))
    return [compare(*tags, tags_are_spans) for tags in zip(gold, predicted, strict=True)]


def print_mistakes(compared):
    """Count what went wrong, and which types (or tags) were taken for which.

    :param compared: as compare_all gives it
    """
    counts = [f"{count:,} {what}" for what, count in counted(compared)]
    print(f"Mistakes: {', '.join(counts) or 'none'}")
    if counts:
        caption, table = confusion(compared)
        print(f"{caption}:")
        width = max(len(cell) for row in table for cell in row[1:])
        for line in aligned([[row[0], *(cell.rjust(width) for cell in row[1:])] for row in table]):
            print(f"    {line}")


def counted(compared):
    """List of (kind of mistake, how often), the most frequent first."""
    mistakes = collections.Counter(piece[0] for pieces in compared for piece in pieces)
    del mistakes[""]
    return mistakes.most_common()


def confusion(compared):
    """A table of the types or tags that were most often confused.

    :return: its caption; list of rows of strings, the first of them the header
    """
    confused = collections.Counter(
        (gold and gold[0], predicted and predicted[0])
        for pieces in compared
        for _, gold, predicted in pieces
    )
    errors = collections.Counter()
    for (gold, predicted), count in confused.items():
        for kind in {gold, predicted} - {None}:
            errors[kind] += count * (gold != predicted)
    kinds = sorted(kind for kind, _ in errors.most_common(MOST))
    cut = f", the {MOST} most confused of {len(errors)}" if len(errors) > MOST else ""
    rows, columns = kinds, kinds
    if any(None in pair for pair in confused):
        rows, columns = [*kinds, None], [*kinds, None]
    names = ["missed" if kind is None else visible(kind) for kind in columns]
    table = [["", *names]]
    for gold in rows:
        cells = [f"{confused[gold, predicted]:,}" for predicted in columns]
        table.append(["invented" if gold is None else visible(gold), *cells])
    return f"Gold by row, found by column{cut}", table


def write_errors(path, name, tagger, words, gold, compared):
    """Write the sentences with mistakes, each as a table: word, gold tag, found tag, how probable
    the found tag is, and the mistakes that begin at the word.

    Those whose least probable tag is least probable come first: there, the model may know that it
    does not know. A confident mistake, at the end, may be one of the gold tags. A path that ends in
    .html gets a page, with the same sentences.

    :param path: of the file to write
    :param name: what was scored
    :param tagger: Tagger
    :param words, gold: lists of sentences
    :param compared: as compare_all gives it
    """
    wrong = [i for i, pieces in enumerate(compared) if any(what for what, *_ in pieces)]
    found = tagger.tag_with_confidence([words[i] for i in wrong])
    least = [min(probability for _, probability in pairs) for pairs in found]
    if str(path).lower().endswith((".html", ".htm")):
        write_page(path, name, tagger, words, compared, list(zip(least, wrong, strict=True)))
    else:
        write_tables(path, name, words, gold, compared, zip(least, wrong, found, strict=True))
    print(f"{visible(str(path))}: {len(wrong):,} of {len(words):,} sentences, those with mistakes")


def write_page(path, name, tagger, words, compared, wrong):
    """Write the page of mistakes; `wrong` is a list of (probability, number of the sentence)."""
    found = tagger.entities([words[i] for _, i in wrong])
    sentences = [
        (
            i + 1,
            words[i],
            least,
            compared[i],
            {(piece["start"], piece["end"]): piece["probability"] for piece in pieces},
        )
        for (least, i), pieces in zip(wrong, found, strict=True)
    ]
    text = mistakes_page(name, len(words), sentences, counted(compared), *confusion(compared))
    write(path, [text])


def write_tables(path, name, words, gold, compared, wrong):
    """Write the tables; `wrong` has (probability, number of the sentence, its tags and theirs)."""
    parts = []
    for probability, i, pairs in sorted(wrong):
        marks = [[] for _ in pairs]
        for what, of_gold, of_found in compared[i]:
            if what:
                kinds = dict.fromkeys(piece[0] for piece in (of_found, of_gold) if piece)
                marks[(of_gold or of_found)[1]].append(f"{what} {' for '.join(kinds)}")
        rows = [
            [word, tag, found_tag, f"{probability:.4f}", "; ".join(mark)]
            for word, tag, (found_tag, probability), mark in zip(
                words[i], gold[i], pairs, marks, strict=True
            )
        ]
        lines = aligned([list(map(visible, row)) for row in rows])
        parts.append(f"# {name}, sentence {i + 1}, least probable tag {probability:.4f}\n")
        parts.append("\n".join([*lines, "", ""]))
    write(path, parts)


def write(path, parts):
    """Write strings to a file; what it may be another name of, as a link, keeps its content."""
    data = "".join(parts).encode(errors="backslashreplace")
    replace(path, data)
