"""The command line of inference.py: its arguments, tables and columns.

Sentences on the command line, and those typed at a terminal, are printed as tables, for reading:
a word in every line, its tag and, at its first word, each entity.

    Dunston  B-PER  PER: Dunston
    checks   O
    in       O

Sentences from stdin, one in every line, that go to a file or another program are written as
columns, which read_words_tags reads:

    word tag                                        a blank line after each sentence
    word tag probability                            --confidence
    word tag probability tag probability ...        --nbest: two columns for every sequence of tags,
                                                    its probability on each of its words

--json writes an object for every sentence, on a line of its own: its text and entities, as
Tagger.entities gives them. --html writes a page. For columns, the text is the words with spaces
between them.

--conll reads such columns, from a file or, if it is called -, from stdin. It writes all its lines
again as they were, but that words get what follows `word` above as additional columns.
"""

import argparse
import functools
import os
import sys
import time

from machinery.columns import column_sentences, extended, filler
from machinery.entities import (
    mark_spans,
    print_object,
    show_entities,
    show_entities_of_rows,
)
from machinery.errors import InputError, visible
from machinery.files import check_can_save, is_stdout, same_file
from machinery.pages import tagged_page
from machinery.spans import spans
from machinery.text import (
    ArrivingLines,
    aligned,
    decoded_lines,
    open_with_bar,
    places_between_blanks,
    split_at_blanks,
    split_words,
    windows,
    word_places,
)


def read_arguments(checkpoint):
    """What the command line says.

    :param checkpoint: path of the one that is used if no other is named
    :raises InputError: options contradict each other, or there is no checkpoint
    """
    parser = argparse.ArgumentParser(description="Tag sentences with a trained model.")
    add = parser.add_argument
    add("sentence", nargs="*", help="sentences; without any, stdin, one in every line")
    add("--checkpoint", default=checkpoint, metavar="PATH", help="%(default)s")
    form, output = parser.add_mutually_exclusive_group(), parser.add_mutually_exclusive_group()
    file = dict(metavar="FILE")
    form.add_argument("--tokenized", action="store_true", help="spaces separate the words already")
    form.add_argument("--conll", **file, help="add columns to a file of words; -: stdin")
    form.add_argument("--evaluate", **file, help="score the model on a file of words and tags")
    output.add_argument("--confidence", action="store_true", help="how probable each tag is")
    output.add_argument("--nbest", type=int, metavar="K", help="the K best sequences of tags")
    output.add_argument("--html", action="store_true", help="a page: the text, entities coloured")
    output.add_argument(
        "--json", action="store_true", help="entities, an object for every sentence"
    )
    add("--errors", **file, help="with --evaluate: where to write the sentences with mistakes")
    for name in ("--word-column", "--tag-column"):
        add(name, type=int, metavar="C", help="of such a file; without it, as in training")
    arguments = parser.parse_args()
    check_arguments(arguments)
    return arguments


def check_arguments(given):
    """:raises InputError: options contradict each other, or there is no checkpoint"""
    if given.word_column is not None and given.conll is None and given.evaluate is None:
        raise InputError("--word-column: expected --conll or --evaluate with it, found neither")
    if given.evaluate is None and (given.tag_column is not None or given.errors is not None):
        raise InputError("--tag-column, --errors: expected --evaluate with them, found none")
    if given.evaluate is not None and given.nbest is not None:
        raise InputError("--evaluate: expected no --nbest with it, found one")
    for name in ("confidence", "html", "json"):
        if given.evaluate is not None and getattr(given, name):
            raise InputError(f"--evaluate: expected no --{name} with it, found one")
    if given.sentence and (given.conll is not None or given.evaluate is not None):
        file = "--conll" if given.evaluate is None else "--evaluate"
        raise InputError(f"{file}: expected no sentences, found {given.sentence[0][:60]!r}")
    if not os.path.exists(given.checkpoint):
        raise InputError(
            f"{given.checkpoint}: expected a trained model, found no such file; "
            "train one with `python train.py`, or name another with --checkpoint"
        )
    check_outputs(given)


def check_outputs(given):
    """:raises InputError: what is written would go into a file that is read, by whatever name"""
    for path in filter(None, (given.evaluate, given.conll, given.checkpoint)):
        if given.errors is not None and same_file(path, given.errors):
            raise InputError(
                f"--errors: expected a file to write, found one to read: {given.errors}"
            )
        if is_stdout(path):
            raise InputError(f"stdout: expected a file to write, found one to read: {path}")
    reads_stdin = not given.sentence and given.evaluate is None and given.conll in (None, "-")
    if reads_stdin and is_stdout(sys.stdin):
        raise InputError("stdout: expected a file to write, found that of stdin")
    if given.errors is not None:
        check_can_save(given.errors)


def new_columns(tagger, sentences, arguments, digits):
    """Tag sentences.

    :param digits: of a probability
    :return: for each sentence a list of columns (head, cells) with a cell for each word. The head
        is the probability of the column's tags with --nbest, else ""
    """
    if arguments.nbest is not None:
        for paths in tagger.nbest(sentences, arguments.nbest):
            yield [(f"{probability:.{digits}f}", tags) for tags, probability in paths]
    elif arguments.confidence:
        for pairs in tagger.tag_with_confidence(sentences):
            probabilities = [f"{probability:.{digits}f}" for _, probability in pairs]
            yield [("", [tag for tag, _ in pairs]), ("", probabilities)]
    else:
        for tags in tagger.tag(sentences):
            yield [("", tags)]


def print_tables(tagger, sentences, arguments):
    """Tag sentences and print each as a table, a blank line after it."""
    tags_are_spans = mark_spans(tagger)
    found = new_columns(tagger, sentences, arguments, digits=3)
    for words, columns in zip(sentences, found, strict=True):
        if tags_are_spans and arguments.nbest is None:
            columns.append(("", entities(words, columns[0][1])))
        heads, columns = zip(*columns, strict=True)
        rows = [["", *heads]] * any(heads) + list(zip(words, *columns, strict=True))
        lines = aligned([list(map(visible, row)) for row in rows])
        print("\n".join([*lines, ""]))


def entities(words, tags):
    """A cell for each word: the entity that it begins, if it begins one."""
    cells = [""] * len(words)
    for kind, begin, end in spans(tags):
        cells[begin] = f"{kind}: {' '.join(words[begin:end])}"
    return cells


def new_cells(tagger, sentences, arguments):
    """Tag sentences; yield for each a list of what every word gets, a tuple of strings."""
    found = new_columns(tagger, sentences, arguments, digits=4)
    for words, columns in zip(sentences, found, strict=True):
        cells = [cells for _, cells in columns]
        if arguments.nbest is not None:  # `_` where a sentence has no more sequences
            columns += [("0.0000", ["_"] * len(words))] * (arguments.nbest - len(columns))
            cells = [each for head, tags in columns for each in (tags, [head] * len(words))]
        yield list(zip(*cells, strict=True))


def write_sentences(tagger, sentences, arguments):
    """Tag sentences and print them in columns."""
    separator = "\t" if tag_with_space(tagger) else " "
    for words, cells in zip(sentences, new_cells(tagger, sentences, arguments), strict=True):
        for word, more in zip(words, cells, strict=True):
            # After a blank, these are read as words: not as a document's beginning, nor as a BOM.
            blank = " " * word.upper().startswith(("-DOCSTART-", "\ufeff"))
            sys.stdout.write(f"{blank}{separator.join((word, *more))}\n")
        sys.stdout.write("\n")


def write_rows(tagger, sentences, arguments, word_column):
    """Tag the sentences of a column file and print all their lines, with more columns.

    :param sentences: list of sentences as column_sentences gives them, of whole lines
    """
    words = [[fields[word_column] for _, fields in rows if fields] for rows in sentences]
    spaced = tag_with_space(tagger)
    count = 2 * arguments.nbest if arguments.nbest else 1 + arguments.confidence
    for rows, cells in zip(sentences, new_cells(tagger, words, arguments), strict=True):
        cells = iter(cells)
        for line, fields in rows:
            added = next(cells) if fields else filler(line, count)
            sys.stdout.write(extended(line, fields, added, spaced) if added else line)


def tag_with_space(tagger):
    """A tag that holds a space, so that only tabs can separate columns; None if there is none."""
    return next((tag for tag in tagger.tag_names.values() if " " in tag), None)


def tag_input(tagger, arguments, window):
    """Tag what the command line, a file or stdin gives.

    Files and stdin are read and tagged a window of sentences after the other; a bar shows how far.

    :param window: how many sentences
    """
    shown = []  # on a page, all of it at the end
    show = print_object if arguments.json else lambda *text: shown.append(text)
    places = places_between_blanks if arguments.tokenized else word_places
    of_texts = functools.partial(show_entities, places=places, show=show)
    as_entities = arguments.json or arguments.html
    split = split_at_blanks if arguments.tokenized else split_words
    if as_entities:
        split = str
    if arguments.sentence:
        write = of_texts if as_entities else print_tables
        write(tagger, list(map(split, arguments.sentence)), arguments)
    else:
        to_terminal = sys.stdout.isatty()
        write = of_texts if as_entities else print_tables if to_terminal else write_sentences
        if arguments.conll is not None:
            column = arguments.word_column
            column = tagger.word_column if column is None else column
            write = functools.partial(write_rows, word_column=column)
            if as_entities:
                write = functools.partial(show_entities_of_rows, word_column=column, show=show)
        tag_stream(tagger, arguments, window, split, write)
    if arguments.html:
        name = "the command line" if arguments.sentence else arguments.conll or "stdin"
        print(tagged_page(name, shown))


def tag_stream(tagger, arguments, window, split, write):
    """Tag a file or stdin.

    :param split: a function from a line to a sentence
    :param write: a function of tagger, sentences and arguments
    """
    from_stdin = arguments.conll in (None, "-")
    if from_stdin and sys.stdin is None:
        raise InputError("stdin: expected sentences, found it closed")
    name, source = ("stdin", sys.stdin.fileno()) if from_stdin else [arguments.conll] * 2
    to_terminal = sys.stdout.isatty()
    sys.stdout.reconfigure(newline="\n")
    with open_with_bar(source, name, hidden=to_terminal) as (file, bar):
        # A pipe or a keyboard: who is there waits for each answer.
        arriving = ArrivingLines(file)
        lines = decoded_lines(arriving, name, bar, whole=arguments.conll is not None)
        if arguments.conll is not None:
            column = arguments.word_column
            column = tagger.word_column if column is None else column
            sentences = column_sentences(lines, name, column, waits=arriving.waits)
        else:
            sentences = (split(line) for _, line in lines)
        begin, done = time.perf_counter(), 0
        for some in windows(sentences, window, waits=arriving.waits):
            write(tagger, some, arguments)
            done += len(some)
            bar.set_postfix_str(f"{done / (time.perf_counter() - begin):,.0f} sentences/s")
