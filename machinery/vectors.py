"""Files of word vectors: plain text, .gz or a file in a .zip, with or without a header.

Such files are large, and come from anywhere: they are read line by line, unpacked on the way, and
a damaged or hostile one ends in a sentence that names the line.
"""

import array
import collections
import errno
import gzip
import io
import itertools
import math
import pathlib
import re
import zipfile

from machinery.errors import InputError, memory_ended, visible
from machinery.text import decoded_lines, open_with_bar

# In a word: the line has a number too many. "R$ 000" is a word: digits alone, before numbers with a
# point.
NUMBER_AT_END = re.compile(r" [-+]?\d*\.?\d+(e[-+]?\d+)?$")
DIGITS_AT_END = re.compile(r" \d+$")
HEADER = re.compile(r"\s*([0-9]{1,9})\s+([1-9][0-9]{0,8})\s*")  # word2vec's: words, dimensions
HEAD = 20  # lines that tell how many dimensions a file without a header has
LONGEST_LINE = 1 << 20  # bytes; a small archive may unpack to a line that fills the memory


def vector_lines(emb_file):
    """Yield (line number, word, its numbers in one string) for each word of a file of vectors.

    :raises InputError: a line has the wrong number of fields, or the file fewer or more lines than
        its header says
    """
    # word2vec ends its lines with a space.
    lines = ((number, line.rstrip(" ")) for number, line in text_lines(emb_file))
    head, words, count = list(itertools.islice(lines, HEAD)), 0, None
    if head and (header := HEADER.fullmatch(head[0][1])):
        count, dim = map(int, header.groups())
        del head[0]
    else:
        # Words hold spaces, now and then, but most do not: what most lines have, or else the first.
        spaces = [line.count(" ") for _, line in head if line.strip()]
        dim = collections.Counter(spaces).most_common(1)[0][0] if spaces else 0
    for number, line in itertools.chain(head, lines):
        if not line.strip():
            continue  # no word has no numbers; some files end with such a line
        words += 1
        spaces = line.count(" ")
        word, _, numbers = line.partition(" ")
        if spaces != dim or dim < 1:
            # Split from the right: a few of GloVe's tokens contain spaces.
            word, *fields = line.rsplit(" ", dim)
            one_too_many = NUMBER_AT_END.search(word) and not (
                DIGITS_AT_END.search(word) and all("." in field for field in fields)
            )
            if dim < 1 or len(fields) != dim or one_too_many:
                raise InputError(
                    f"{emb_file}, line {number}: expected a word and {max(dim, 1)} numbers, "
                    f"found {spaces + 1} fields: {line[:60]!r}"
                )
            numbers = line[len(word) + 1 :]
        if "\t" in word:
            raise InputError(
                f"{emb_file}, line {number}: expected a space after the word, found a tab: "
                f"{line[:60]!r}"
            )
        yield number, word, numbers
    if count not in (None, words):
        reason = "the file is incomplete" if words < count else "lines were added to it"
        raise InputError(
            f"{emb_file}: expected {count:,} words, as line 1 says, found {words:,}: {reason}"
        )


def parse_numbers(emb_file, number, word, numbers):
    """The numbers of line `number`, from text to an array.

    :raises InputError: one is not a number, or not finite
    """
    try:
        vector = array.array("f", map(float, numbers.split(" ")))
    except ValueError as error:
        found = f"{word} {numbers}"[:60]
        raise InputError(
            f"{emb_file}, line {number}: expected a word and numbers, a space between them, found "
            f"{found!r} ({str(error)[:100]})"
        ) from None
    if not math.isfinite(sum(vector)):  # a sum with NaN or infinity in it is not finite
        found = f"{word} {numbers}"[:60]
        raise InputError(f"{emb_file}, line {number}: expected finite numbers, found {found!r}")
    return vector


def text_lines(emb_file):
    """Yield what decoded_lines does, of a text file, of a .gz, or of a file in a .zip."""
    path, member = _split_path(emb_file)
    suffix = path.suffix.lower()
    with open_with_bar(path, emb_file) as (file, bar):
        if suffix not in (".gz", ".zip"):
            yield from decoded_lines(_short_lines(file, emb_file), emb_file, bar)
            return
        try:
            if suffix == ".gz":
                packed = gzip.GzipFile(fileobj=file)
            else:
                packed, bar.total = _open_member(file, path, member)
            begin = file.tell()
            unpacked = _short_lines(io.BufferedReader(packed, 1 << 16), emb_file)
            for number, line in decoded_lines(unpacked, emb_file):
                yield number, line
                if number % 1000 == 0:  # the bar counts bytes of the packed file
                    bar.update(file.tell() - begin - bar.n)
        except InputError:
            raise
        except Exception as error:  # a damaged archive raises many kinds
            if memory_ended(error):
                raise
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                raise  # the disk's fault; EINVAL is the archive's, for a place outside the file
            reason = visible(str(error).partition("\n")[0][:120]) or "it ends too early"
            raise InputError(
                f"{emb_file}: expected an intact {suffix} file, found one that cannot be unpacked "
                f"({reason})"
            ) from None


def _split_path(emb_file):
    """The file to open, and what to read in it: "glove.6B.zip/glove.6B.100d.txt" names a file of
    an archive as if the archive were a folder. Otherwise None."""
    path = pathlib.Path(emb_file)
    for folder in path.parents:
        if folder.suffix.lower() == ".zip" and folder.is_file():
            return folder, path.relative_to(folder).as_posix()
    return path, None


def _open_member(file, path, member):
    """Open a file of an archive; without a name, its only file, or the only one that ends in .txt.

    :return: the file, opened in binary mode, and its packed size in bytes
    """
    archive = zipfile.ZipFile(file)
    members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    names = [name for name in members if not name.startswith("__MACOSX/")]
    if len(names) > 1:
        names = [name for name in names if name.lower().endswith(".txt")] or names
    if member is None and len(names) == 1:
        member = names[0]
    if member not in members:
        found = visible(", ".join(names)[:200]) or "none"
        how = f"; name one, as in {visible(f'{path}/{names[0]}'[:200])}" if names else ""
        expected = "one text file" if member is None else f"a file {member}"
        raise InputError(f"{path}: expected {expected} in the archive, found {found}{how}")
    return archive.open(member), members[member].compress_size


def _short_lines(file, name):
    """The lines of a binary file; :raises InputError: one is too long to be a word's vector"""
    for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), 1):
        if len(line) == LONGEST_LINE:
            raise InputError(
                f"{name}, line {number}: expected a word and its numbers, found a line of more "
                f"than {LONGEST_LINE:,} bytes"
            )
        yield line


def report_coverage(emb_file, covered, vocab_size):
    """Print how many words of the corpus's vocabulary, <pad>, <end> and <unk> not counted, have a
    vector in the file."""
    emb_file = visible(str(emb_file))
    print(f"{emb_file}: vectors for {covered:,} of {vocab_size:,} words in train_file's vocabulary")
    if not covered:
        print(f"Warning: {emb_file} has none of these words: their vectors are random")
