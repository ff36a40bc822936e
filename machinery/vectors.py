"""Files of word vectors: plain, packed, with or without a header."""

import array
import errno
import gzip
import io
import math
import os
import re
import zipfile

import torch

from machinery.errors import InputError, visible
from machinery.text import decoded_lines, open_with_bar

NUMBER_AT_END = re.compile(r" [-+]?\d*\.?\d+(e[-+]?\d+)?$")  # no word's end: a field too many

HEADER = re.compile(r"[0-9]{1,9} [1-9][0-9]{0,8}")  # word2vec's first line: words, dimensions

LONGEST_LINE = 1 << 20  # bytes; what unpacks to lines without end must not fill the memory


def _embedding_rows(emb_file):
    """Yield (line number, word, its numbers in one string) of a file of vectors.

    :raises InputError: a line has the wrong number of fields; there are not as many lines as the
        first says
    """
    number, dim, count = 0, None, None
    for number, line in _embedding_lines(emb_file):
        line = line.rstrip(" ")  # word2vec ends its lines with one
        if number == 1 and HEADER.fullmatch(line):
            count, dim = map(int, line.split(" "))
            continue
        spaces = line.count(" ")
        if dim is None:
            dim = spaces
        word, _, numbers = line.partition(" ")
        if spaces != dim or dim < 1:
            # Looked at from the right: a few of GloVe's tokens hold spaces.
            word, *fields = line.rsplit(" ", dim)
            if dim < 1 or len(fields) != dim or NUMBER_AT_END.search(word):
                raise InputError(
                    f"{emb_file}, line {number}: expected a word and {max(dim, 1)} numbers, "
                    f"found {spaces + 1} fields: {line[:60]!r}"
                )
            numbers = line[len(word) + 1 :]
        yield number, word, numbers
    if count not in (None, number - 1):
        raise InputError(
            f"{emb_file}: expected {count:,} words, as line 1 says, found {number - 1:,}: "
            "the file is not whole"
        )


def _numbers(emb_file, number, word, numbers):
    """The numbers of line `number`, from text to an array.

    :raises InputError: one is no number, or not finite
    """
    try:
        vector = array.array("f", map(float, numbers.split(" ")))
    except ValueError as error:
        raise InputError(
            f"{emb_file}, line {number}: expected numbers, found: {str(error)[:100]}"
        ) from None
    if not math.isfinite(sum(vector)):  # NaN and infinity outlast every addition
        found = f"{word} {numbers}"[:60]
        raise InputError(f"{emb_file}, line {number}: expected finite numbers, found {found!r}")
    return vector


def _embedding_lines(emb_file):
    """decoded_lines of a text file, of a .gz, or of the text in a .zip, unpacked on the way."""
    suffix = os.path.splitext(emb_file)[1].lower()
    with open_with_bar(emb_file, emb_file) as (file, bar):
        if suffix not in (".gz", ".zip"):
            yield from decoded_lines(_short_lines(file, emb_file), emb_file)
            return
        try:
            packed = gzip.GzipFile(fileobj=file) if suffix == ".gz" else _text_in_zip(file)
            bar.reset()  # the list of an archive's files stands at its end
            unpacked = io.BufferedReader(packed, 1 << 16)
            yield from decoded_lines(_short_lines(unpacked, emb_file), emb_file)
        except InputError:
            raise
        except Exception as error:  # a damaged archive raises many kinds
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                raise  # not the archive's fault, as a place outside the file is, but the disk's
            reason = visible(str(error).partition("\n")[0][:120]) or "it ends too early"
            raise InputError(
                f"{emb_file}: expected a whole {suffix} file, found one that cannot be unpacked "
                f"({reason})"
            ) from None


def _text_in_zip(file):
    """The one file in an archive, or the one that ends in .txt, opened in binary mode."""
    archive = zipfile.ZipFile(file)
    names = [member.filename for member in archive.infolist() if not member.is_dir()]
    names = [name for name in names if not name.startswith("__MACOSX/")]
    texts = [name for name in names if name.lower().endswith(".txt")] if len(names) > 1 else names
    if len(texts) != 1:
        found = visible(", ".join(names)[:200]) or "none"
        raise InputError(
            f"{file.raw.name}: expected one text file in the archive, found {found}; "
            "unpack it and name the one to read"
        )
    return archive.open(texts[0])


def _short_lines(file, name):
    """The lines of a binary file; :raises InputError: one is longer than any vector's"""
    for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), 1):
        if len(line) == LONGEST_LINE:
            raise InputError(
                f"{name}, line {number}: expected a word and its numbers, found a line of more "
                f"than {LONGEST_LINE:,} bytes"
            )
        yield line


def _report_coverage(emb_file, covered, vocab_size):
    """Say how many of the corpus's words have a vector, of those that are not too rare for an entry
    of their own; <pad>, <end> and <unk> do not count."""
    print(f"{emb_file}: vectors for {covered:,} of the {vocab_size:,} frequent words of train_file")
    if not covered:
        print(f"Warning: no frequent word of train_file is in {emb_file}: their vectors are random")


def random_embeddings(vocab_size, dim):
    """(vocab_size, dim) drawn uniformly from +-sqrt(3 / dim), so that a row's length is about 1;
    row 0, <pad>, is zero."""
    bound = math.sqrt(3 / dim)
    embeddings = torch.empty(vocab_size, dim).uniform_(-bound, bound)
    embeddings[0] = 0
    return embeddings
