"""Text: lines with a bar, streams cut into windows, sentences split into words."""

import contextlib
import os
import re
import select
import stat
import sys
import unicodedata

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
        options = dict(unit="B", unit_scale=True, leave=False, mininterval=0.5)
        with tqdm(desc=visible(str(name)), total=size, disable=hidden or None, **options) as bar:
            yield opened, bar


def note(message):
    """Say something of a file that is being read, on stderr: stdout may be for data."""
    tqdm.write(message, file=sys.stderr)


class ArrivingLines:
    """The lines of a file, pipe or terminal opened in binary mode, each as soon as it is there."""

    def __init__(self, file):
        self.file, self.held = file, 0  # lines that are there and were not yet asked for

    def __iter__(self):
        parts = []  # of a line whose end has not come
        while data := self.file.read1(1 << 16):
            *lines, rest = data.split(b"\n")
            self.held = len(lines)
            for line in lines:
                self.held -= 1
                yield b"".join((*parts, line, b"\n"))
                parts = []
            parts.append(rest)
        if any(parts):
            yield b"".join(parts)

    def waits(self):
        """Whether no more lines are there, and none begins to come within a moment."""
        if self.held:
            return False
        try:
            return not select.select([self.file], [], [], 0.1)[0]
        except (OSError, ValueError):  # Windows can tell this of sockets alone
            return self.file.isatty()


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


def aligned(rows):
    """Lines of text, the columns of the rows aligned.

    :param rows: list of lists of strings, of the same length
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def windows(sentences, size, words=100_000, waits=lambda: False):
    """Cut a stream of sentences into lists of up to `size`; a list ends early once it has as many
    words as `words`, since sentences may be very long, and where `waits()` says that the next
    sentence is still to come."""
    some, count = [], 0
    for sentence in sentences:
        some.append(sentence)
        count += len(sentence) if hasattr(sentence, "__len__") else 0  # check_words says it
        if len(some) == size or count >= words or waits():
            yield some
            some, count = [], 0
    if some:
        yield some


# ------------------------------------------------------------------------------------------------
# Raw sentences
# ------------------------------------------------------------------------------------------------


# The first letter of each character's category. Numbers that are not assigned have a blank, and the
# underscore stands for itself: it is part of names. Beyond 0x20000 there are no marks and symbols
# that are shown.
CATEGORIES = "".join(
    "_" if char == "_" else unicodedata.category(char).replace("Cn", " ")[0]
    for char in map(chr, range(0x20000))
)


def _characters(categories):
    """The characters of some Unicode categories, by their first letters, to be put into [...]."""
    some = f"[{categories}]"  # with unassigned numbers between them: fewer ranges are faster
    ranges = re.finditer(f"{some}+(?: +{some}+)*", CATEGORIES)
    return "".join(rf"\U{found.start():08x}-\U{found.end() - 1:08x}" for found in ranges)


# Anything but space, punctuation and symbols (Unicode's categories P and S). An accent that is a
# character of its own belongs to its word, in whatever alphabet; \w would split the word at it.
LETTER = rf"[^\s{_characters('PS')}]"

# What changes the sign before it: accents, variation selectors, skin tones, the tags of Scotland's
# flag. A joiner makes one picture of several.
CHANGE = rf"[{_characters('M')}\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]"
SIGN = rf"\S{CHANGE}*(?:\u200d[{_characters('S')}]{CHANGE}*)*"

CONTRACTION = rf"['’](?i:s|re|ve|ll|d|m)(?!{LETTER})"

NOT = rf"(?i:n['’]t)(?!{LETTER})"

WORD = re.compile(
    rf"""
      \w+://\S*[^\s.,;:!?)\]"'’”]                     # web address
    | [\w.+-]{{1,64}}@\w[\w-]*(?:\.[\w-]+)+           # mail address, its name 64 at most
    | (?:[^\W\d_]\.){{2,}}                            # U.S.  p.m.
    | [A-Z]\.(?=\s+[A-Z])                            # initial
    | (?:Mr|Mrs|Ms|Dr|Prof|Rev|Gen|Sen|Gov|St|Jr|Sr|Inc|Co|Corp|Ltd|vs|etc
      |Col|Lt|Capt|Maj|Sgt|Cpl|Adm|Cmdr|Brig|Rep|Hon|Cllr|Messrs|Mt
      |Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|Tues?|Thurs?|Fri
      |(?:Mon|Wed|Sat|Sun)(?=\.\s*[\d:,]|\.\s+[a-z])  # not "in the sun."
      |(?:No|[bcdp]|pp)(?=\.\s*\d))\.                # b. 1979  p. 12
    | \A\d{{1,2}}\.(?=\s+\w)                         # number in a list
    | [A-Z]{{1,2}}\$                                 # NZ$
    | {NOT} | {CONTRACTION}                          # did n't   it 's
    | [#@]?{LETTER}(?:(?!{NOT}){LETTER})*            # word, number, @name
      (?:(?:[-‐‑/&.·׳״]|(?!{CONTRACTION})['’]|(?<=\d)[,:٫٬](?=\d))(?:(?!{NOT}){LETTER})+)*
    | \.{{2,}} | --+                                  # ellipsis, dash
    | [\U0001f1e6-\U0001f1ff]{{2}}                   # flag
    | {SIGN}                                         # any other mark or symbol
    """,
    re.VERBOSE,
)


def word_places(sentence):
    """Split a raw sentence into words and punctuation, in the manner of the Penn Treebank.

    >>> list(word_places("It's  old."))
    [(0, 2), (2, 4), (6, 9), (9, 10)]

    :return: iterator over (start, end): sentence[start:end] is a word
    """
    return (word.span() for word in WORD.finditer(sentence))


def split_words(sentence):
    """The words that word_places finds.

    >>> split_words("Dr. Li's guests didn't check in (at 3:30).")
    ['Dr.', 'Li', "'s", 'guests', 'did', "n't", 'check', 'in', '(', 'at', '3:30', ')', '.']
    """
    return WORD.findall(sentence)


def places_between_blanks(sentence):
    """The places of the words between spaces and tabs alone, as in columns: any other character,
    such as a no-break space, belongs to a word.

    :return: as word_places
    """
    return (word.span() for word in re.finditer(r"[^ \t]+", sentence))


def split_at_blanks(sentence):
    """The words that places_between_blanks finds."""
    return [sentence[start:end] for start, end in places_between_blanks(sentence)]


def several(sentences, what="sentences"):
    """The same, if it is an iterable.

    :raises TypeError: it is one sentence, as a string, or nothing that yields sentences
    """
    if isinstance(sentences, str | bytes | dict) or not hasattr(sentences, "__iter__"):
        one = "one: " if isinstance(sentences, str | bytes) else ""
        raise TypeError(f"expected a list of {what}, found {one}{repr(sentences)[:60]}")
    return sentences


def check_words(sentences):
    """:raises TypeError: a sentence is no list of words, or a word is no string (NaN)"""
    for number, words in enumerate(sentences, 1):
        where = f"sentence {number}"
        if isinstance(words, str | bytes | dict | set) or not hasattr(words, "__len__"):
            kind = "the string " if isinstance(words, str) else ""
            raise TypeError(f"{where}: expected a list of words, found {kind}{repr(words)[:60]}")
        for position, word in enumerate(words, 1):
            if not isinstance(word, str):
                raise TypeError(
                    f"{where}, word {position}: expected a string, found {repr(word)[:60]} "
                    f"({type(word).__name__})"
                )
