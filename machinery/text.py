"""Files of text, line by line: with a bar, as columns, as raw sentences."""

import contextlib
import itertools
import os
import re
import stat

from tqdm import tqdm

from machinery.errors import InputError, visible


@contextlib.contextmanager
def open_with_bar(file, name, hidden=False):
    """Open a file in binary mode, with a progress bar in bytes that decoded_lines moves.

    There is no bar where stderr is no terminal.

    :param file: path, or the number of an open file, which then stays open
    :param name: shown before the bar
    :param hidden: show no bar at all
    :return: context manager of (file, bar)
    :raises OSError: the file cannot be opened
    """
    with open(file, "rb", closefd=not isinstance(file, int)) as opened:
        status = os.fstat(opened.fileno())
        size = status.st_size if stat.S_ISREG(status.st_mode) else None
        look = dict(unit="B", unit_scale=True, leave=False, mininterval=0.5)
        with tqdm(desc=visible(str(name)), total=size, disable=hidden or None, **look) as bar:
            yield opened, bar


def decoded_lines(file, name, bar=None):
    """Yield (line number, line without its end) of UTF-8 text, without its byte order mark.

    :param file: opened in binary mode
    :param name: what errors call the file
    :param bar: a progress bar in bytes, moved every thousand lines
    :raises InputError: a line is not UTF-8
    """
    read = 0  # bytes
    # Binary lines end at \n alone. Text mode would also end them at \r, which does occur inside
    # tokens, and could not say which line is not UTF-8.
    for number, raw in enumerate(file, 1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{name}, line {number}: expected UTF-8 text, found the byte "
                f"0x{raw[error.start]:02x} at position {error.start + 1}"
            ) from None
        yield number, line.rstrip("\r\n")
        read += len(raw)
        if bar is not None and number % 1000 == 0:
            bar.update(read - bar.n)


def _detect_conllu(lines):
    """Whether lines are CoNLL-U: ten tab-separated columns, the first of them a token number, a
    range or an empty node; or more, where `inference.py --conll` has added its own.

    :param lines: iterator over (number, line)
    :return: bool, and an iterator over the same lines, those looked at included
    """
    head, conllu = [], False
    for number, line in lines:
        head.append((number, line))
        if line.strip(" \t") and not line.startswith("#"):
            conllu = re.match(r"\d+([-.]\d+)?(\t[^\t]*){9,}$", line) is not None
            break
    return conllu, itertools.chain(head, lines)


def column_sentences(lines, name, word_column, tag_column=None):
    """Yield sentence after sentence as a list of (line, columns), one for every line.

    Lines that are no words have no columns: the one that ends the sentence, blank or -DOCSTART-,
    and, in CoNLL-U, comments, multiword ranges (3-4) and empty nodes (5.1). A sentence may be
    without words. No line is left out.

    :param lines: iterator over (number, line)
    :param name: what errors call the file
    :param word_column, tag_column: columns that there must be
    :raises InputError: a line has not these columns, or more or fewer than the lines before
    """
    conllu, lines = _detect_conllu(lines)
    if conllu and word_column == 0:
        tag_columns = " (and tag_column = 3 for UPOS or 4 for XPOS)" * (tag_column is not None)
        raise InputError(
            f"{name}: is CoNLL-U, whose column 0 numbers the tokens: expected word_column = 1"
            f"{tag_columns}, found word_column = 0"
        )
    rows, width = [], None
    for number, line in lines:
        if not line.strip(" \t") or line.startswith("-DOCSTART-"):
            rows.append((line, ()))
            yield rows
            rows = []
            continue
        line, columns = _split_columns(line, conllu)
        if columns and len(columns) != width:
            if width is None:
                _check_columns(f"{name}, line {number}", columns, word_column, tag_column)
            else:
                raise InputError(
                    f"{name}, line {number}: expected {width} columns as in the lines before, "
                    f"found {len(columns)}: {' '.join(columns)[:60]!r}"
                )
            width = len(columns)
        rows.append((line, columns))
    if rows:
        yield rows


def _split_columns(line, conllu):
    """A line without the blanks around it, unless they are CoNLL-U's; its columns, if it is a
    word."""
    if not conllu:
        # Tabs if there are any, so that words may hold spaces; else runs of spaces.
        line = line.strip(" \t")
        columns = line.split("\t" if "\t" in line else " ")
        return line, [column for column in columns if column] if "" in columns else columns
    if line.startswith("#") or re.match(r"\d+[-.]\d+\t", line):
        return line, ()
    return line, line.split("\t")


def _check_columns(where, columns, word_column, tag_column):
    """:raises InputError: there is no such column, or both are one"""
    width, wanted = len(columns), [c for c in (word_column, tag_column) if c is not None]
    if len({c % width for c in wanted if -width <= c < width}) < len(wanted):
        tag = f" and its tag in column {tag_column}" * (tag_column is not None)
        raise InputError(
            f"{where}: expected a word in column {word_column}{tag}, found {width} columns: "
            f"{' '.join(columns)[:60]!r}"
        )


# Anything but space and punctuation: signs that combine with a letter belong to it, in whatever
# alphabet; \w would split the word at them.
LETTER = r"[^\s!-/:-@\[-^`{-~‘’“”«»„…–—¡¿।。、€£¥]"

CONTRACTION = rf"['’](?i:s|re|ve|ll|d|m)(?!{LETTER})"

NOT = rf"(?i:n['’]t)(?!{LETTER})"

WORD = re.compile(
    rf"""
      \w+://\S*[^\s.,;:!?)\]"'’”]                     # web address
    | [\w.+-]{{1,64}}@\w[\w-]*(?:\.[\w-]+)+           # mail address, its name 64 at most
    | (?:[^\W\d_]\.){{2,}}                            # U.S.  p.m.
    | [A-Z]\.(?=\s+[A-Z])                            # initial
    | (?:Mr|Mrs|Ms|Dr|Prof|Rev|Gen|Sen|Gov|St|Jr|Sr|Inc|Co|Corp|Ltd|vs|etc
      |Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|No(?=\.\s*\d))\.
    | {NOT} | {CONTRACTION}                          # did n't   it 's
    | [#@]?{LETTER}(?:(?!{NOT}){LETTER})*            # word, number, @name
      (?:(?:[-/&.]|(?!{CONTRACTION})['’]|(?<=\d)[,:](?=\d))(?:(?!{NOT}){LETTER})+)*
    | \.{{2,}} | --+                                  # ellipsis, dash
    | \S                                             # any other mark
    """,
    re.VERBOSE,
)


def split_words(sentence):
    """Split a raw sentence into words and punctuation, in the manner of the Penn Treebank.

    >>> split_words("Dr. Li's guests didn't check in (at 3:30).")
    ['Dr.', 'Li', "'s", 'guests', 'did', "n't", 'check', 'in', '(', 'at', '3:30', ')', '.']
    """
    return WORD.findall(sentence)
