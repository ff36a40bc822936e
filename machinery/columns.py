"""Column files: a word in every line with its tag, read and extended."""

import itertools
import re

from machinery.errors import InputError
from machinery.text import without_end

# A line that begins a document in CoNLL-2003. With a blank before it, it is a word.
DOCUMENT_START = re.compile(r"-DOCSTART-(?![^ \t])")
# A line of CoNLL-U for several words (3-4), or for one that was left out (5.1).
RANGE = re.compile(r"\d+[-.]\d+\t")


def _detect_conllu(lines):
    """Whether lines are CoNLL-U: ten tab-separated columns, the first of them a token number, a
    range or an empty node; or more, where `inference.py --conll` has added its own.

    :param lines: iterator over (number, line)
    :return: bool, and an iterator over the same lines, those looked at included
    """
    head, conllu = [], False
    for number, line in lines:
        head.append((number, line))
        line = without_end(number, line)
        if line.strip(" \t") and not line.startswith("#"):
            conllu = re.match(r"\d+([-.]\d+)?(\t[^\t]*){9,}$", line) is not None
            break
    return conllu, itertools.chain(head, lines)


def column_sentences(lines, name, word_column, tag_column=None):
    """Yield sentence after sentence as a list of (line, columns), one for every line.

    Lines that are not words have no columns: the one that ends the sentence, blank or -DOCSTART-,
    and, in CoNLL-U, comments, multiword ranges (3-4) and empty nodes (5.1). A sentence may have no
    words. No line is left out.

    :param lines: iterator over (number, line), as decoded_lines gives them, whole or not
    :param name: what errors call the file
    :param word_column, tag_column: columns that must exist
    :raises InputError: a line lacks these columns, or has more or fewer than the lines before, or
        is separated by tabs where they are separated by spaces
    """
    conllu, lines = _detect_conllu(lines)
    if conllu and word_column == 0:
        tag_columns = " (and tag_column = 3 for UPOS or 4 for XPOS)" * (tag_column is not None)
        raise InputError(
            f"{name}: is CoNLL-U, whose column 0 numbers the tokens: expected word_column = 1"
            f"{tag_columns}, found word_column = 0"
        )
    rows, width, separator = [], None, None
    for number, line in lines:
        text, where = without_end(number, line), f"{name}, line {number}"
        if not text.strip(" \t") or DOCUMENT_START.match(text):
            rows.append((line, ()))
            yield rows
            rows = []
            continue
        if conllu:
            skipped = text.startswith("#") or RANGE.match(text)
            columns = () if skipped else text.split("\t")
        else:
            # Tabs if the first word's line has any, so that words may hold spaces; else spaces.
            separator = separator or ("\t" if "\t" in text.strip(" \t") else " ")
            columns = _split(text, separator, where)
        if columns and width is None:
            _check_columns(where, columns, word_column, tag_column)
            width = len(columns)
        elif columns and len(columns) != width:
            tabs = " separated by tabs" * (separator == "\t")
            raise InputError(
                f"{where}: expected {width} columns{tabs} as in the lines before, "
                f"found {len(columns)}: {' '.join(columns)[:60]!r}"
            )
        rows.append((line, columns))
    if rows:
        yield rows


def _split(text, separator, where):
    """The columns of a line; runs of separators, and blanks around the line, do not count."""
    text = text.strip(" \t")
    if separator == " " and "\t" in text:
        raise InputError(
            f"{where}: expected columns separated by spaces as in the lines before, "
            f"found a tab: {text[:60]!r}"
        )
    columns = text.split(separator)
    return [column for column in columns if column] if "" in columns else columns


def _check_columns(where, columns, word_column, tag_column):
    """:raises InputError: there is no such column, or both are the same"""
    width, wanted = len(columns), [c for c in (word_column, tag_column) if c is not None]
    if len({c % width for c in wanted if -width <= c < width}) < len(wanted):
        tag = f" and its tag in column {tag_column}" * (tag_column is not None)
        raise InputError(
            f"{where}: expected a word in column {word_column}{tag}, found {width} columns: "
            f"{' '.join(columns)[:60]!r}"
        )


def filler(line, count):
    """The cells that a line without a word gets: none, or `count`.

    With as many columns in every line that has any, other programs can read the file: conlleval
    refuses it otherwise. It counts -DOCSTART- as a word, which here gets the right tag.
    """
    line = line.removeprefix("\ufeff").rstrip()
    if DOCUMENT_START.match(line):
        return re.split(r"[ \t]+", line)[1:][-1:] * count
    return [] if not line or line.startswith("#") else ["_"] * count


def extended(line, fields, cells, spaced):
    """A line of a column file with more columns, before the blanks and the line's end.

    :param fields: the columns that it has, if it is a word
    :param cells: the columns that it gets
    :param spaced: as tag_with_space gives it
    """
    # In CoNLL-U a column may be empty: there, tabs at the end are no blanks around a word.
    text = line.rstrip("\r\n")
    is_whole = text.endswith(fields[-1]) if fields else RANGE.match(text)
    text = text if is_whole else text.rstrip(" \t")
    separator = "\t" if "\t" in text.strip(" \t") else " "
    if fields and separator == " " and spaced:
        raise InputError(
            f"--conll: expected columns separated by tabs, since tags such as {spaced!r} hold "
            f"spaces, found {text[:60]!r}"
        )
    return separator.join((text, *cells)) + line[len(text) :]
