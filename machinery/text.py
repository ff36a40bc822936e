"""Text: lines with a bar, streams cut into windows, sentences split into words."""

import contextlib
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


def decoded_lines(file, name, bar=None, whole=False):
    """Yield (line number, line) of UTF-8 text, without a byte order mark and the ends of lines.

    :param file: opened in binary mode
    :param name: what errors call the file
    :param bar: a progress bar in bytes, moved every thousand lines
    :param whole: keep the byte order mark and the ends of lines
    :raises InputError: a line is not UTF-8
    """
    read = 0  # bytes
    # Binary lines end at \n alone. Text mode would also end them at \r, which does occur inside
    # tokens, and could not say which line is not UTF-8.
    for number, raw in enumerate(file, 1):
        try:
            line = raw.decode()
        except UnicodeDecodeError as error:
            raise InputError(
                f"{name}, line {number}: expected UTF-8 text, found the byte "
                f"0x{raw[error.start]:02x} at position {error.start + 1}"
            ) from None
        yield number, line if whole else without_end(number, line)
        read += len(raw)
        if bar is not None and number % 1000 == 0:
            bar.update(read - bar.n)


def without_end(number, line):
    """A line without its end and, if it is the first, without a BOM."""
    line = line.rstrip("\r\n")
    return line.removeprefix("\ufeff") if number == 1 else line


def windows(sentences, size, words=100_000):
    """Cut a stream of sentences into lists of up to `size`; a list ends early once it has as many
    words as `words`, since sentences may be very long."""
    some, count = [], 0
    for sentence in sentences:
        some.append(sentence)
        count += len(sentence)
        if len(some) == size or count >= words:
            yield some
            some, count = [], 0
    if some:
        yield some


# ------------------------------------------------------------------------------------------------
# Raw sentences
# ------------------------------------------------------------------------------------------------

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


def split_at_blanks(sentence):
    """Split a sentence at spaces and tabs alone, as columns are: any other character, such as a
    no-break space, belongs to a word."""
    return [word for word in sentence.replace("\t", " ").split(" ") if word]
