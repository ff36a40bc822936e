"""Column files: a word in every line with its tag, read and extended."""

import itertools
import re
from typing import NamedTuple

from machinery.errors import InputError
from machinery.spans import OF_SPAN
from machinery.text import note, without_end

# A line that begins a document in CoNLL-2003. With a blank before it, it is a word.
DOCUMENT_START = re.compile(r"-DOCSTART-(?![^ \t])", re.IGNORECASE)
# A line of CoNLL-U for several words (3-4), or for one that was left out (5.1).
RANGE = re.compile(r"\d+[-.]\d+\t")
# A comment, whatever the columns: "# sent_id = 1", MultiCoNER's "# id 1 domain=en", CoNLL-2012's
# "#begin document", WebAnno's "#Text=...", and the abstracts of JNLPBA, "###MEDLINE:1".
KNOWN_COMMENT = re.compile(
    r"#[ \t]*[\w:.-]+([ \t]id)?[ \t]+=([ \t]|$)|# (newdoc|newpar)\b|# id [^ \t]+[ \t]+domain="
    r"|#(begin|end) document\b|#(FORMAT|Text|T_[A-Z]+|Sentence\.id)=|###\w+:\w+$"
)
# The name of a column, such as "token", "ner_tags", "Sentence #", UPOS or "#word".
COLUMN_NAME = re.compile(
    r"[#'\" ]*((sent|sentence|doc|document|word|token|form|text|lemma|pos|upos|xpos|chunk|ner|tag"
    r"|label|entity|iob|iob2|bio|id|idx|index|feats|head|deprel|deps|misc)s?[ _-]?#?)+['\"]?",
    re.IGNORECASE,
)
HEAD = 200  # lines that are looked at before the first is read


class Head(NamedTuple):
    """What the first lines of a file tell of the others."""

    conllu: bool
    numbered: bool  # column 0 numbers the words
    names: str  # the line that names the columns; None if there is none
    rows: list  # the cells of words' lines that do not begin with #: a list for each sentence


def _look_at(lines, waits):
    """Look at the first lines of a file.

    CoNLL-U has ten tab-separated columns, the first of them a token number, a range or an empty
    node; or more, where `inference.py --conll` has added its own.

    :param lines: iterator over (number, line)
    :param waits: as column_sentences has it
    :return: Head, and an iterator over the same lines, those looked at included
    """
    head, rows, conllu, separator, names = [], [[]], False, None, None
    for number, line in itertools.islice(lines, HEAD):
        head.append((number, line))
        text = without_end(number, line)
        if not text.strip(" \t") or DOCUMENT_START.match(text):
            if rows[-1] and waits():
                break
            rows.append([])
            continue
        if separator is None and not names and _names_columns(text):
            names = text
        elif not text.startswith("#") and text != names:
            if separator is None:
                conllu = re.match(r"\d+([-.]\d+)?(\t[^\t]*){9,}$", text) is not None
                separator = "\t" if "\t" in text.strip(" \t") else " "
            rows[-1].append(_cells(text, separator))
    rows = [row for row in rows if row]
    # Other files that number their words have ranges and empty nodes, too.
    words = [[row for row in sentence if not RANGE.match(f"{row[0]}\t")] for sentence in rows]
    words = [sentence for sentence in words if sentence]
    numbered = bool(words) and len(words[0][0]) > 2 and _counts(words, 0)
    looked = Head(conllu, numbered, names, words if numbered else rows)
    return looked, itertools.chain(head, lines)


def _names_columns(text):
    """Whether a line is none of words, but says what the columns are."""
    cells = [cell.strip() for cell in re.split(r"\t" if "\t" in text else " +", text)]
    named = [COLUMN_NAME.fullmatch(cell) is not None for cell in cells if len(cell) not in (0, 1)]
    return len(named) > 1 and all(named)


def _is_comment(text, numbered, rows):
    """Whether a line that begins with #, before the words of its sentence, is a comment.

    `# O` is a word and its tag. Words have as many columns as the others and, in some column, a
    cell that others have there. In two columns a tag may be rare: there, only a cell with a blank
    in it tells. A line that begins like "#this" is a word, but for forms that are known.

    :param numbered, rows: as _look_at gives them
    """
    if numbered or KNOWN_COMMENT.match(text):
        return True
    if not rows or not re.match(r"##?[ \t]", text):
        return False
    words = [cells for sentence in rows for cells in sentence]
    width = len(words[0])
    known = {(i, cell) for row in words for i, cell in enumerate(row) if i}
    # With tabs as with blanks between columns: a word with the wrong ones is an error, not nothing.
    for cells in (text.split(), _cells(text, "\t")):
        if len(cells) == width and any(pair in known for pair in enumerate(cells)):
            return False
    return width > 2 or len(text.split()) != width


def _counts(rows, column):
    """Whether a column numbers the words: 1, 2, 3 or t1, t2, t3 or 2-1, 2-2, in every sentence from
    the beginning or on from the sentence before."""
    steps, last = 0, -2
    for sentence in rows:
        parts = [
            re.fullmatch(r"(.{0,30}?)(\d{1,9})", row[column])
            for row in sentence
            if column < len(row)
        ]
        if not parts or None in parts or int(parts[0][2]) not in (0, 1, last + 1, last + 2):
            return False
        for before, after in itertools.pairwise(parts):
            if before[1] != after[1] or int(before[2]) + 1 != int(after[2]):
                return False
            steps += 1
        last = int(parts[-1][2])
    return steps > 0


def _numbers_sentences(rows, column):
    """Whether all words of a sentence have the same there, in every sentence: its number, say."""
    cells = [[row[column] for row in sentence if column < len(row)] for sentence in rows]
    repeated = sum(len(of_sentence) - 1 for of_sentence in cells)
    return len(rows) > 1 and repeated > 2 and all(len(set(each)) == 1 for each in cells)


def _is_tag(cell):
    """Whether a cell could be a tag of spans."""
    return cell == "O" or OF_SPAN.fullmatch(cell) is not None


def _check_head(name, head, word_column, tag_column):
    """:raises InputError: the columns wanted are none of words and tags, as the first lines tell"""
    if not head.conllu:
        _check_words(name, head.rows, word_column, tag_column)
    elif word_column == 0:
        tag_columns = "" if tag_column is None else " (and tag_column = 3 for UPOS or 4 for XPOS)"
        raise InputError(
            f"{name}: is CoNLL-U, whose column 0 numbers the tokens: expected word_column = 1"
            f"{tag_columns}, found word_column = 0"
        )


def _check_words(name, rows, word_column, tag_column):
    """:raises InputError: what would be read as words are numbers or tags, or a file is CSV or such

    :param rows: as in Head
    """
    width = len(rows[0][0]) if rows else 0
    if not -width <= word_column < width or width < 2:
        return
    column, words = word_column % width, [cells for sentence in rows for cells in sentence]
    read = {row[column] for row in words if len(row) == width}
    holds = ""
    if len(words) > 2 and "O" in read and {*filter(_is_tag, read)} == read != {"O"}:
        holds = "holds tags, not words"
    elif width > 2 or tag_column is None:
        if _counts(rows, column):
            holds = "numbers the words of every sentence"
        elif _numbers_sentences(rows, column):
            holds = "is the same for all words of a sentence"
    if holds:
        texts = zip(*(row for row in words if len(row) == width), strict=True)
        lettered = [re.search(r"[^\W\d_]", "".join(cells)) is not None for cells in texts]
        lettered[: column + 1] = [False] * (column + 1)
        wanted = lettered.index(True) if True in lettered else (column + 1) % width
        raise InputError(
            f"{name}: column {column} {holds}: expected word_column = {wanted}, found "
            f"word_column = {word_column}"
        )
    for found, is_so in NO_COLUMNS.items():
        if len(words) > 2 and all(map(is_so, words)):
            raise InputError(
                f"{name}: expected columns separated by tabs or spaces, found {found}: "
                f"{' '.join(words[0])[:60]!r}"
            )


NO_COLUMNS = {  # what no row of a column file is, all the less every row
    "commas": lambda row: "," in row[-1][:-1],
    "semicolons": lambda row: row[-1][:-1].count(";") == 1 and len(row) == 2 and ";" not in row[0],
    "JSON": lambda row: row[0].startswith(("{", "[")) and row[-1].endswith(("}", "]")),
    "sentences": lambda row: len(row) == 2 and 0 < row[0].count(" ") == row[1].count(" "),
}


def _check_line_ends(text, where):
    """:raises InputError: a line is several, each as wide as the others; a \r in a word is none"""
    widths = [len(part.split()) for part in text.split("\r")]
    if any(width > 1 and widths.count(width) > 1 for width in set(widths)):
        raise InputError(f"{where}: expected lines that end in LF or CRLF, found CR: {text[:60]!r}")


def column_sentences(lines, name, word_column, tag_column=None, waits=lambda: False):
    """Yield sentence after sentence as a list of (line, columns), one for every line.

    Lines that are not words have no columns: the one that ends the sentence, blank or -DOCSTART-,
    comments before a sentence, the names of the columns and, in CoNLL-U, multiword ranges (3-4) and
    empty nodes (5.1). A sentence may have no words. No line is left out.

    :param lines: iterator over (number, line), as decoded_lines gives them, whole or not
    :param name: what errors call the file
    :param word_column, tag_column: columns that must exist
    :param waits: function that says whether the next line is still to come, as from a keyboard:
        then, what lines are is decided by those before
    :raises InputError: a line lacks these columns, or has more or fewer than the lines before, or
        is separated by tabs where they are separated by spaces
    """
    head, lines = _look_at(lines, waits)
    _check_head(name, head, word_column, tag_column)
    rows, width, separator = [], None, None
    for number, line in lines:
        text, where = without_end(number, line), f"{name}, line {number}"
        if "\r" in text:
            _check_line_ends(text, where)
        if not text.strip(" \t") or DOCUMENT_START.match(text):
            rows.append((line, ()))
            yield rows
            rows = []
            continue
        if text == head.names:
            note(f"{where}: {text[:60]!r} is taken for the names of the columns, not for a word")
            columns = ()
        elif _is_no_word(text, head, rows):
            columns = ()
        elif head.conllu:
            columns = [cell.strip(" ") or cell for cell in text.split("\t")]
        else:
            # Tabs if the first word's line has any, so that words may hold spaces; else spaces.
            separator = separator or ("\t" if "\t" in text.strip(" \t") else " ")
            columns = _split(text, separator, where)
        if columns:
            width = width or _width(where, columns, word_column, tag_column)
            _check_row(where, columns, width, separator)
            if not (columns[word_column] and columns[tag_column or 0]):
                raise InputError(
                    f"{where}: expected a word and its tag, found an empty one: {text!r}"
                )
        rows.append((line, columns))
    if rows:
        yield rows


def _is_no_word(text, head, rows):
    """Whether a line is a comment or, in CoNLL-U and the like, a multiword range or an empty node.

    :param head: Head
    :param rows: the lines of its sentence before it, as column_sentences yields them
    """
    if head.conllu:
        return text.startswith("#") or RANGE.match(text) is not None
    if head.numbered and RANGE.match(text):
        return True
    return (
        text.startswith("#")
        and not any(columns for _, columns in rows)
        and _is_comment(text, head.numbered, head.rows)
    )


def _split(text, separator, where):
    """The columns of a line; runs of separators, and blanks around the line, do not count."""
    text = text.strip(" \t")
    if separator == " " and "\t" in text:
        raise InputError(
            f"{where}: expected columns separated by spaces as in the lines before, "
            f"found a tab: {text[:60]!r}"
        )
    return _cells(text, separator)


def _cells(text, separator):
    """The cells of a line, without blanks around them; empty ones do not count."""
    return [cell for cell in map(str.strip, text.split(separator), itertools.repeat(" \t")) if cell]


def _width(where, columns, word_column, tag_column):
    """How many columns there are.

    :raises InputError: there is no such column, or both are the same
    """
    width, wanted = len(columns), [c for c in (word_column, tag_column) if c is not None]
    if len({c % width for c in wanted if -width <= c < width}) < len(wanted):
        tag = "" if tag_column is None else f" and its tag in column {tag_column}"
        raise InputError(
            f"{where}: expected a word in column {word_column}{tag}, found {width} columns: "
            f"{' '.join(columns)[:60]!r}"
        )
    return width


def _check_row(where, columns, width, separator):
    """:raises InputError: a line has more or fewer columns than the lines before"""
    if len(columns) != width:
        tabs = " separated by tabs" if separator == "\t" else ""
        raise InputError(
            f"{where}: expected {width} columns{tabs} as in the lines before, "
            f"found {len(columns)}: {' '.join(columns)[:60]!r}"
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
