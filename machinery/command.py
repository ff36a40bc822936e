"""The command line of inference.py: tables and columns."""

import sys

from machinery.errors import InputError, visible
from machinery.spans import spans


def show(words, tags, tags_are_spans, probabilities=None):
    """Print a tagged sentence: word, tag, the tag's probability if given and, beside its first
    word, each entity."""
    words, tags = list(map(visible, words)), list(map(visible, tags))
    entities = {}
    if tags_are_spans:
        for kind, begin, end in spans(tags):
            entities[begin] = f"{kind}: {' '.join(words[begin:end])}"
    word_width = max(map(len, words), default=0)
    tag_width = max(map(len, tags), default=0)
    for i, (word, tag) in enumerate(zip(words, tags, strict=True)):
        sure = f"  {probabilities[i]:.3f}" if probabilities else ""
        print(f"{word:{word_width}}  {tag:{tag_width}}{sure}  {entities.get(i, '')}".rstrip())
    print(flush=True)


def show_nbest(words, paths):
    """Print a sentence with several tag sequences side by side, their probabilities above."""
    words = list(map(visible, words))
    word_width = max(map(len, words), default=0)
    columns = [[f"{probability:.3f}", *map(visible, tags)] for tags, probability in paths]
    widths = [max(map(len, column)) for column in columns]
    for row in zip(["", *words], *columns, strict=True):
        cells = (f"{cell:{width}}" for cell, width in zip(row, (word_width, *widths), strict=True))
        print("  ".join(cells).rstrip())
    print(flush=True)


def show_all(tagger, sentences, confidence=False, nbest=None):
    """Tag sentences and print them as tables."""
    if nbest is not None:
        for words, paths in zip(sentences, tagger.nbest(sentences, nbest), strict=True):
            show_nbest(words, paths)
    elif confidence:
        for words, pairs in zip(sentences, tagger.tag_with_confidence(sentences), strict=True):
            tags, probabilities = zip(*pairs, strict=True) if pairs else ((), ())
            show(words, tags, tagger.tags_are_spans, probabilities)
    else:
        for words, tags in zip(sentences, tagger.tag(sentences), strict=True):
            show(words, tags, tagger.tags_are_spans)


def new_columns(tagger, sentences, confidence=False, nbest=None):
    """Tag sentences; :return: list of lists of what each word gets, a tuple of strings"""
    if nbest is not None:
        return [
            list(zip(*_nbest_columns(words, paths, nbest), strict=True))
            for words, paths in zip(sentences, tagger.nbest(sentences, nbest), strict=True)
        ]
    if confidence:
        return [
            [(tag, f"{probability:.4f}") for tag, probability in pairs]
            for pairs in tagger.tag_with_confidence(sentences)
        ]
    return [[(tag,) for tag in tags] for tags in tagger.tag(sentences)]


def _nbest_columns(words, paths, nbest):
    """Two columns for every sequence of tags; `_` where a sentence has no more sequences."""
    for tags, probability in paths:
        yield tags
        yield [f"{probability:.4f}"] * len(words)
    for _ in range(nbest - len(paths)):
        yield ["_"] * len(words)
        yield [f"{0:.4f}"] * len(words)


def write_sentences(tagger, sentences, **options):
    """Tag sentences and print them in columns that read_words_tags reads."""
    separator = "\t" if any(" " in tag for tag in tagger.tag_names.values()) else " "
    for words, columns in zip(sentences, new_columns(tagger, sentences, **options), strict=True):
        rows = zip(words, columns, strict=True)
        print("".join(separator.join((word, *more)) + "\n" for word, more in rows))
    sys.stdout.flush()


def write_rows(tagger, sentences, word_column, **options):
    """Tag the sentences of a column file and print all their lines, words with columns more.

    :param sentences: list of sentences as column_sentences gives them
    """
    words = [[columns[word_column] for _, columns in rows if columns] for rows in sentences]
    count = 2 * options["nbest"] if options["nbest"] else 1 + options["confidence"]
    spaced = [tag for tag in tagger.tag_names.values() if " " in tag]
    for rows, found in zip(sentences, new_columns(tagger, words, **options), strict=True):
        found = iter(found)
        for line, columns in rows:
            separator = "\t" if "\t" in line else " "
            if columns and separator == " " and spaced:
                raise InputError(
                    f"--conll: expected columns separated by tabs, since tags such as "
                    f"{spaced[0]!r} hold spaces, found {line[:60]!r}"
                )
            more = next(found) if columns else [filler(line, separator)] * count
            print(separator.join((line, *more)) if more[0] else line)
    sys.stdout.flush()


def filler(line, separator):
    """What stands in the new columns of a line that is no word; "" if it shall have none.

    With as many columns in every line that has any, other programs can read the file: conlleval
    refuses it otherwise. It counts -DOCSTART- as a word, here with the right tag.
    """
    if not line.strip(" \t") or line.startswith("#"):
        return ""
    *first, last = line.split(separator)
    return "_" if not line.startswith("-DOCSTART-") else last if first else ""
