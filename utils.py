"""Reading, encoding, embeddings, scores and checkpoint files: all that surrounds the model.

In the order in which a run needs them:

    read_words_tags       a column file        -> words and tags of every sentence
    create_maps           words and tags       -> word_map, char_map, tag_map
    load_embeddings       a file of vectors    -> the embedding matrix, word_map expanded
    create_input_tensors  one sentence         -> the model's eight inputs
    process_group, gather, ...                 -> several processes that train together
    scores                gold and predicted   -> accuracy, macro F1, entity F1
    save_checkpoint, load_checkpoint           -> everything a run is, in one file
    save_history          its epochs           -> a table of losses and scores, as CSV

The sentence "dunston checks in" is the example throughout.
"""

import array
import atexit
import collections
import contextlib
import csv
import datetime
import errno
import functools
import gzip
import hashlib
import io
import itertools
import math
import os
import pickle
import re
import stat
import sys
import time
import warnings
import zipfile

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

PAD, END, UNK, START = "<pad>", "<end>", "<unk>", "<start>"
CHECKPOINT_FORMAT = 3

# What a run notes of every epoch; the language models' loss and the entities' scores may be absent.
HISTORY = tuple(
    "epoch seconds lr lm_loss tag_loss val_loss accuracy macro_f1 entity_f1 precision recall "
    "best".split()
)


class InputError(ValueError):
    """What came from outside is wrong: its message is a sentence for the user, not a bug report."""


def run_script(main, when_stopped=lambda: ""):
    """Run a script's `main`; bad input becomes one line on stderr and exit status 1.

    Ctrl-C ends it with status 130 and the line that `when_stopped()` gives. When whoever reads our
    output goes away, as `head` does, it ends silently. Every other exception is a programming
    error and keeps its traceback.
    """
    try:
        main()
        sys.stdout.flush()
        return
    except KeyboardInterrupt:
        message, status = when_stopped(), 130
    except BrokenPipeError:
        message, status = "", 1
    except InputError as error:
        message, status = f"Error: {error}", 1
    except OSError as error:
        where = f"{error.filename}: {error.strerror}" if error.filename else error
        message, status = f"Error: {where}", 1
    # Only here, behind the except blocks, are main's progress bars gone from the screen.
    if message:
        print(message, file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:  # else the interpreter would flush once more, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def visible(text):
    """The text with control characters, line separators and lone surrogates as escapes (\\x1b): in
    a table they would break the line, or command the terminal."""
    unsafe = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]"
    return re.sub(unsafe, lambda found: ascii(found[0])[1:-1], text)


def default_device():
    """CUDA when there is one, else the CPU; of several processes, each has a GPU of its own."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ["LOCAL_RANK"]) if processes() > 1 else None)


# ------------------------------------------------------------------------------------------------
# Reading files
# ------------------------------------------------------------------------------------------------


class _CountedFile(io.FileIO):
    """A file that reports how many bytes each read has given, to its attribute `report`."""

    def readinto(self, buffer):
        """As io.FileIO has it; what BufferedReader calls for each block."""
        count = super().readinto(buffer)
        self.report(count)
        return count


@contextlib.contextmanager
def open_with_bar(file, name, hidden=False):
    """Open a file in binary mode; while it is read, a bar shows how much of it, in bytes.

    There is no bar where stderr is no terminal. The bar costs nothing for each line: it moves when
    a block comes from the disk.

    :param file: path, or the number of an open file, which then stays open
    :param name: stands before the bar
    :param hidden: no bar anyway
    :return: context manager of (file, bar)
    :raises OSError: the file cannot be opened
    """
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(_CountedFile(file, closefd=not isinstance(file, int)))
        status = os.fstat(raw.fileno())
        size = status.st_size if stat.S_ISREG(status.st_mode) else None
        look = dict(unit="B", unit_scale=True, leave=False, mininterval=0.5)
        bar = tqdm(desc=visible(str(name)), total=size, disable=hidden or None, **look)
        raw.report = stack.enter_context(bar).update
        yield stack.enter_context(io.BufferedReader(raw, 1 << 16)), bar


def decoded_lines(file, name):
    """Yield (line number, line without its end) of UTF-8 text; a BOM is dropped.

    :param file: opened in binary mode
    :param name: what errors call it
    :raises InputError: a line is not UTF-8
    """
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


# ------------------------------------------------------------------------------------------------
# Column files
# ------------------------------------------------------------------------------------------------


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


def read_words_tags(path, word_column=0, tag_column=-1):
    """Read the sentences of a column file: one word a line, a blank line after each sentence.

    CoNLL-2003, CoNLL-2000, two columns and CoNLL-U are all read, separated by tabs or spaces.
    `-DOCSTART-` lines are skipped and, in CoNLL-U, comments, multiword ranges (3-4) and empty
    nodes (5.1). Elsewhere a `#` is a word. No sentence is dropped or cut.

    :param path: the file, UTF-8, with or without a BOM, lines ending in LF or CRLF
    :param word_column: which column is the word, counted from 0, or from the end if negative
    :param tag_column: which column is the tag, likewise; -1 is the last
    :return: words, tags: two lists with a list of strings for every sentence
    :raises InputError: what is wrong in which line
    :raises OSError: the file cannot be read
    """
    words, tags = [], []
    with open_with_bar(path, path) as (file, _):
        lines = decoded_lines(file, path)
        for rows in column_sentences(lines, path, word_column, tag_column):
            rows = [columns for _, columns in rows if columns]
            if rows:
                # Memory: equal words are one string, and list() drops what append reserved ahead.
                words.append(list([sys.intern(columns[word_column]) for columns in rows]))
                tags.append(list([sys.intern(columns[tag_column]) for columns in rows]))
    if not words:
        raise InputError(f"{path}: expected at least one sentence, found none")
    return words, tags


def fingerprint(words, tags):
    """A line that tells one file's sentences from another's: counts, and a digest of all text."""
    digest = hashlib.sha256()
    for sentence in itertools.chain(words, tags):
        digest.update("\n".join((*sentence, "\n")).encode())
    count = sum(map(len, words))
    return f"{len(words):,} sentences, {count:,} words, {digest.hexdigest()[:12]}"


# ------------------------------------------------------------------------------------------------
# Maps: from words, characters and tags to indices
# ------------------------------------------------------------------------------------------------


def _index_by_frequency(counts, min_freq):
    """{<pad>: 0, <end>: 1, <unk>: 2, the most frequent: 3, ...}; ties in alphabetical order."""
    frequent = sorted((-count, entry) for entry, count in counts.items() if count >= min_freq)
    special = (PAD, END, UNK)
    entries = [*special, *(entry for _, entry in frequent if entry not in special)]
    return {entry: index for index, entry in enumerate(entries)}


def create_maps(words, tags, min_word_freq=5, min_char_freq=1, caseless=True):
    """Number the words, characters and tags of the training data.

    Give it the training data alone: what only validation or test know must stay unknown.
    The same data gives the same numbers in every run.

    :param words: list of sentences, each a list of words
    :param tags: the same shape, of tags
    :param min_word_freq: words that occur fewer times have no entry: they are read as <unk>
    :param min_char_freq: likewise for characters
    :param caseless: count words in lower case; characters always keep their case
    :return: word_map, char_map, tag_map: dicts from a string to its index. word_map and char_map
        begin with <pad>, <end>, <unk>; tag_map has <start> first and <end> last
    :raises InputError: a tag is spelled <start> or <end>
    """
    spelled, tag_set = collections.Counter(), set()
    for sentence_words, sentence_tags in zip(words, tags, strict=True):
        spelled.update(sentence_words)
        tag_set.update(sentence_tags)
    # What is the same in all occurrences of a word is looked at once.
    word_counts, char_counts = collections.Counter(), collections.Counter()
    for word, count in spelled.items():
        word_counts[word.lower() if caseless else word] += count
        for char in word:
            char_counts[char] += count
    char_counts[" "] += spelled.total()  # a space follows every word
    if reserved := tag_set & {START, END}:
        raise InputError(f"expected tags other than {START} and {END}, found {min(reserved)}")
    tag_map = {tag: index for index, tag in enumerate([START, *sorted(tag_set), END])}
    return (
        _index_by_frequency(word_counts, min_word_freq),
        _index_by_frequency(char_counts, min_char_freq),
        tag_map,
    )


def word_index(word, word_map, caseless=True):
    """The index by which a word is looked up; <unk>'s for words that word_map does not have."""
    key = word.lower() if caseless else word
    # Text may spell "<end>": a word like any other, not the token that we append.
    return word_map[UNK] if key in (PAD, END, UNK) else word_map.get(key, word_map[UNK])


def create_input_tensors(words, tags, word_map, char_map, tag_map, caseless=True):
    """Encode one sentence into the eight inputs of the model, unpadded.

    For "dunston checks in" with the tags tag_2 tag_3 tag_3, L = 4 words and C = 19 characters,
    <end> included:

        words             dunston checks in <end>                    (L)
        forward_chars     d u n s t o n _ c h e c k s _ i n _ <end>  (C)  _ is a space
        backward_chars    n i _ s k c e h c _ n o t s n u d _ <end>  (C)
        forward_markers   7 14 17 18    where each word ends         (L)
        backward_markers  17 9 2 18     the same, in word order      (L)
        tags              2 13 18 19    previous * m + current       (L)
        word_length       4                                          ()
        char_length       19                                         ()

    :param words: list of words
    :param tags: list of as many tags, or None where they are not known
    :return: tuple of eight int64 tensors. A target in `tags` is -1 where the tag, or the one
        before it, is not in tag_map or not given
    """
    word_ids = [word_index(word, word_map, caseless) for word in words] + [word_map[END]]

    unk, space, end = char_map[UNK], char_map.get(" ", char_map[UNK]), char_map[END]
    spelled = [[char_map.get(char, unk) for char in word] for word in words]
    forward_chars = [char for word in spelled for char in (*word, space)] + [end]
    backward_chars = [char for word in reversed(spelled) for char in (*reversed(word), space)]
    backward_chars.append(end)

    # Counted, not searched for: a word may itself hold a space.
    forward_markers, backward_markers = [], []
    last = len(forward_chars) - 1  # position of <end> in both directions
    begin = 0
    for word in spelled:
        backward_markers.append(last - 1 - begin)
        begin += len(word) + 1
        forward_markers.append(begin - 1)

    if tags is None:
        targets = [-1] * (len(words) + 1)
    else:
        path = [START, *tags, END]
        targets = [
            tag_map[previous] * len(tag_map) + tag_map[current]
            if previous in tag_map and current in tag_map
            else -1
            for previous, current in itertools.pairwise(path)
        ]

    inputs = (
        word_ids,
        forward_chars,
        backward_chars,
        forward_markers + [last],
        backward_markers + [last],
        targets,
        len(words) + 1,
        len(forward_chars),
    )
    return tuple(torch.tensor(values) for values in inputs)


# ------------------------------------------------------------------------------------------------
# Word embeddings
# ------------------------------------------------------------------------------------------------

NUMBER_AT_END = re.compile(r" [-+]?\d*\.?\d+(e[-+]?\d+)?$")  # no word's end: a field too many
HEADER = re.compile(r"[0-9]{1,9} [1-9][0-9]{0,8}")  # word2vec's first line: words, dimensions
LONGEST_LINE = 1 << 20  # bytes; what unpacks to lines without end must not fill the memory


def load_embeddings(emb_file, word_map, expand_vocab=True, caseless=True):
    """Read pre-trained word vectors in a text format: a word and its numbers in every line.

    GloVe's files have no other lines; word2vec's and fastText's begin with one that says how many
    words and dimensions follow. The file may be packed, as .gz, or as .zip with one text in it.

    With `expand_vocab`, words of the file that word_map lacks are added behind its own. A word
    too rare in the corpus for an entry of its own so gets its vector back, in training as in
    inference. The words that were there before come first and stay the language models'
    vocabulary: there is no use in learning to predict words that training never shows.

    With `caseless`, words are looked up in lower case. Those of the file that are not written so
    give their vector to the word in lower case, where it has none of its own.

    Rows without a vector (<end>, words that the file lacks) are drawn uniformly from
    +-sqrt(3 / dimensions), like embeddings trained from scratch. <pad> is zero. How many words of
    the corpus have a vector is printed.

    :param emb_file: path of the file, UTF-8
    :param word_map: dict from word to index, as create_maps gives it
    :return: embeddings (V, word_emb_dim) float32; word_map, expanded or as it was;
        lm_vocab_size, the number of entries before expansion
    :raises InputError: a line has the wrong number of fields, or one that is not a number; the
        file is packed and damaged, or shorter than it says
    :raises OSError: the file cannot be read
    """
    word_map, lm_vocab_size = dict(word_map), len(word_map)
    # Memory: the corpus's rows have their places, the others follow in the file's order, so that
    # what is read into here is the matrix, without a copy.
    values, dim = array.array("f"), 0
    found = bytearray(lm_vocab_size)  # of each row: 0 no vector, 1 of another spelling, 2 its own
    for number, word, numbers in _embedding_rows(emb_file):
        if not dim:
            dim = numbers.count(" ") + 1
            values = array.array("f", [0]) * (lm_vocab_size * dim)
        entry = word.lower() if caseless else word
        quality = 2 if entry == word else 1
        row = word_map.get(entry)
        if entry in (PAD, END):
            continue
        if row is None and expand_vocab:
            values.extend(_numbers(emb_file, number, word, numbers))
            word_map[entry] = len(word_map)
            found.append(quality)
        elif row is not None and found[row] < quality:  # of duplicates, the first counts
            values[row * dim : (row + 1) * dim] = _numbers(emb_file, number, word, numbers)
            found[row] = quality
    if not dim:
        raise InputError(f"{emb_file}: expected a word and its numbers in every line, found none")
    has_vector = torch.tensor(list(found[:lm_vocab_size])) > 0
    _report_coverage(emb_file, int(has_vector[3:].sum()), lm_vocab_size - 3)
    embeddings = torch.frombuffer(values, dtype=torch.float32).view(-1, dim)
    missing = ~has_vector
    embeddings[:lm_vocab_size][missing] = random_embeddings(lm_vocab_size, dim)[missing]
    return embeddings, word_map, lm_vocab_size


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


# ------------------------------------------------------------------------------------------------
# Several processes
# ------------------------------------------------------------------------------------------------

# torchrun starts them alike, and each has a number, its rank. All read the same files, build the
# same model and take every step together; they differ only in the sentences that they compute and
# in the random numbers that they draw. Losses, gradients and tags are brought together, so that
# all come to the same decisions. Without torchrun there is one process, and nothing of this acts.


_RUNS = itertools.count()  # a script may call train.main more than once


@contextlib.contextmanager
def process_group():
    """Join the other processes that torchrun started; without torchrun, do nothing.

    Only the first process is heard: what the others print is dropped, and they have no bars. An
    error in any of them ends all, and the first that fails is the only one to say why.

    :raises InputError: there are fewer GPUs than processes, or another process was killed
    """
    if not _started_by_torchrun() or processes() > 1:
        yield
        return
    store, number, count = next(dist.rendezvous("env://"))
    store = dist.PrefixStore(f"run {next(_RUNS)}", store)  # what an earlier run left is not ours
    try:
        dist.init_process_group(_backend(), store=store, rank=number, world_size=count)
        with _silence() if number > 0 else contextlib.nullcontext():
            yield
    except BaseException as error:
        if not _first_to_fail(store):
            raise SystemExit(1) from None
        if (
            isinstance(error, dist.DistError)
            or type(error) is RuntimeError
            and "gloo" in str(error)
        ):
            reason = visible(str(error).partition("\n")[0][:120])
            raise InputError(f"another process was killed or does not answer ({reason})") from None
        raise
    # A thread of gloo's may still hold the last tensors, and wait for Python's lock to let them go.
    # PyTorch 2.4 would end the group with that lock held, and wait for the thread for ever.
    time.sleep(0.1)
    dist.destroy_process_group()  # not after an error: the others would fail before it is reported


def _started_by_torchrun():
    """Whether this is one of several processes that shall train together."""
    names = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"}
    return names <= os.environ.keys() and os.environ["WORLD_SIZE"] != "1" and dist.is_available()


@contextlib.contextmanager
def _silence():
    """Drop what is printed, to stdout and to stderr."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            yield


def _backend():
    """How the processes talk: NCCL for what is on a GPU, gloo for all else.

    :raises InputError: there are fewer GPUs than processes
    """
    if not torch.cuda.is_available():
        return "gloo"
    here, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if here >= gpus:
        raise InputError(
            f"torchrun: expected one process for each GPU, at most {gpus} on this computer, "
            f"found process number {here + 1}"
        )
    torch.cuda.set_device(here)
    return "cpu:gloo,cuda:nccl" if dist.is_nccl_available() else "gloo"


def _first_to_fail(store):
    """Whether no other process failed before. If one did, wait until it has said why, so that
    torchrun, which ends all processes when one has ended, lets it finish."""
    try:
        if store.add("failed", 1) == 1:
            atexit.register(store.set, "reported", "")
            return True
        store.wait(["reported"], datetime.timedelta(seconds=10))
    except RuntimeError:  # the store went with torchrun, or the other does not end
        pass
    return False


def processes():
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank():
    """The number of this process, counted from 0."""
    return dist.get_rank() if processes() > 1 else 0


def replicated(model):
    """The model, to be trained: with several processes, backward averages its gradients over all.

    Its parameters stay the model's own, and so do their names in `model.state_dict()`.
    """
    return DistributedDataParallel(model) if processes() > 1 else model


def mean_of_processes(tensor):
    """The mean of a tensor over all processes, without gradient; all must ask for it."""
    if processes() == 1:
        return tensor
    total = tensor.detach().clone()
    dist.all_reduce(total)
    return total / processes()


def gather(value):
    """[the value of the first process, of the second, ...], in each; all must ask for it."""
    if processes() == 1:
        return [value]
    # As dist.all_gather_object does it, which needs NumPy.
    own = torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8)
    sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(processes())]
    dist.all_gather(sizes, torch.tensor([len(own)]))
    longest = max(sizes).item()
    pickled = [torch.zeros(longest, dtype=torch.uint8) for _ in sizes]
    dist.all_gather(pickled, F.pad(own, (0, longest - len(own))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of PyTorch 2.4, at its own unpickling
        return [
            pickle.loads(bytes(data[:size].tolist()))
            for data, size in zip(pickled, sizes, strict=True)
        ]


def by_first_process(function):
    """Let the first process alone run a function, one that writes files, say.

    The others wait for it, and all get what it returned. The function itself must not need the
    others: they would not answer.
    """

    @functools.wraps(function)
    def run(*arguments):
        """The function in the first process, None in the others; the first's result in all."""
        return gather(function(*arguments) if rank() == 0 else None)[0]

    return run


# ------------------------------------------------------------------------------------------------
# Scores, always counted over the whole corpus
# ------------------------------------------------------------------------------------------------


def spans(tags):
    """The entities of one sentence, read as the CoNLL scorer reads them.

    B and S begin an entity; I and E continue one of the same type, and begin one where there is
    none to continue, so that ill-formed sequences (O I-PER) have entities too. E and S end it.

    >>> spans(["B-PER", "O", "I-LOC", "I-LOC", "B-LOC"])
    [('PER', 0, 1), ('LOC', 2, 4), ('LOC', 4, 5)]

    :param tags: list of tags in IOB1, IOB2 or BIOES
    :return: list of (type, index of the first word, index behind the last)
    """
    found, open_type = [], None  # open_type: of the entity that the next word may continue
    for position, tag in enumerate(tags):
        prefix, _, entity_type = tag.partition("-")
        if prefix == "O":
            open_type = None
            continue
        if prefix in "IE" and entity_type == open_type:
            found[-1][2] = position + 1
        else:
            found.append([entity_type, position, position + 1])
        open_type = None if prefix in "ES" else entity_type
    return [tuple(span) for span in found]


def are_spans(tags):
    """Whether a set of tags marks spans (O, B-PER, I-PER ...) rather than, say, parts of speech."""
    return set(tags) != {"O"} and all(re.fullmatch(r"O|[BIES](-.+)?", tag) for tag in tags)


def detect_scheme(tags):
    """Which scheme the tags of a corpus follow.

        Dunston   Majestic Hotel   and   Ritz   Paris     (the last two: two places side by side)
        IOB1      I-PER    I-LOC I-LOC   O   I-LOC   B-LOC
        IOB2      B-PER    B-LOC I-LOC   O   B-LOC   B-LOC
        BIOES     S-PER    B-LOC E-LOC   O   S-LOC   S-LOC

    :param tags: list of sentences, each a list of tags
    :return: "IOB1", "IOB2" or "BIOES"; None where the tags do not mark spans
    """
    if not are_spans({tag for sentence in tags for tag in sentence}):
        return None
    steps = collections.Counter()
    for sentence in tags:
        steps.update(zip(("O", *sentence), (*sentence, "O"), strict=True))

    def violations(scheme):
        """How many steps from one tag to the next a scheme forbids."""
        return sum(count for step, count in steps.items() if not may_follow(*step, scheme))

    # The scheme whose rules are broken least often: a slip in a large file changes nothing.
    return min(("IOB2", "IOB1", "BIOES"), key=violations)


def convert_scheme(tags, scheme):
    """Write the same spans in another scheme; nothing is lost on the way there and back.

    Ill-formed sequences come out well-formed, with the spans that the CoNLL scorer sees in them.

    :param tags: list of sentences, each a list of tags in IOB1, IOB2 or BIOES
    :param scheme: "IOB2" or "BIOES"
    :return: the same shape
    :raises InputError: the scheme is unknown, or the tags do not mark spans
    """
    if scheme not in ("IOB2", "BIOES"):
        raise InputError(f"tag_scheme: expected None, 'IOB2' or 'BIOES', found {scheme!r}")
    if not are_spans(every := {tag for sentence in tags for tag in sentence} | {"O", "B"}):
        found = min(tag for tag in every if not are_spans({tag, "B"}))
        raise InputError(f"tag_scheme = {scheme!r}: expected tags such as B-PER, found {found!r}")
    converted = []
    for sentence in tags:
        new = ["O"] * len(sentence)
        for entity_type, begin, end in spans(sentence):
            # A scheme without types has bare letters for tags.
            suffix = f"-{entity_type}" if entity_type else ""
            new[begin:end] = [f"I{suffix}"] * (end - begin)
            new[begin] = f"B{suffix}"
            if scheme == "BIOES":
                new[end - 1] = f"{'S' if end - begin == 1 else 'E'}{suffix}"
        converted.append(new)
    return converted


def may_follow(previous, tag, scheme):
    """Whether a tag may stand behind another in a scheme; "O" stands for a sentence's limits.

    >>> may_follow("O", "I-PER", "IOB2")
    False
    """
    same_type = previous[1:] == tag[1:] and previous != "O"
    if scheme != "BIOES" and tag[0] in "ES":
        return False
    if scheme == "BIOES":
        return (same_type and tag[0] in "IE") if previous[0] in "BI" else tag[0] in "BSO"
    if scheme == "IOB2":
        return same_type or tag[0] != "I"
    return same_type or tag[0] != "B"  # IOB1: B only parts two spans of one type


def _precision_recall_f1(correct, predicted, gold):
    """Scores from counts; 0 where there is nothing to divide by, as the CoNLL scorer has it."""
    return {
        "correct": correct,
        "predicted": predicted,
        "gold": gold,
        "precision": correct / predicted if predicted else 0.0,
        "recall": correct / gold if gold else 0.0,
        "f1": 2 * correct / (predicted + gold) if predicted + gold else 0.0,
    }


def _scores_by_kind(gold, predicted):
    """{kind: its scores}; both are iterables of sentences, each a list of (kind, where)."""
    correct_counts, predicted_counts, gold_counts = (collections.Counter() for _ in range(3))
    for gold_items, predicted_items in zip(gold, predicted, strict=True):
        correct_counts.update(kind for kind, *_ in set(gold_items) & set(predicted_items))
        predicted_counts.update(kind for kind, *_ in predicted_items)
        gold_counts.update(kind for kind, *_ in gold_items)
    return {
        kind: _precision_recall_f1(correct_counts[kind], predicted_counts[kind], gold_counts[kind])
        for kind in sorted(gold_counts | predicted_counts)
    }


def _total(by_kind):
    """The scores of all kinds together."""
    names = ("correct", "predicted", "gold")
    return _precision_recall_f1(*(sum(s[name] for s in by_kind.values()) for name in names))


def _placed(tags):
    """[(tag, where it stands)]"""
    return [(tag, position) for position, tag in enumerate(tags)]


def scores(gold, predicted):
    """Score predicted tags against gold ones over a whole corpus.

    :param gold: list of sentences, each a list of tags
    :param predicted: the same shape
    :return: a dict with
        "accuracy": share of words with the right tag
        "macro_f1": mean over the tags that occur in gold or prediction of each tag's F1
        and, where all tags mark spans, the CoNLL scorer's exact-span scores
        "entity_f1", "precision", "recall": micro-averaged over all entities
        "types": for every entity type its precision, recall, f1 and the counts behind them
    :raises ValueError: the shapes differ
    """
    if list(map(len, gold)) != list(map(len, predicted)):
        raise ValueError("expected as many predicted tags as gold tags in every sentence")

    by_tag = _scores_by_kind(*([_placed(tags) for tags in part] for part in (gold, predicted)))
    result = {
        "accuracy": _total(by_tag)["recall"],  # every word has one gold tag
        "macro_f1": sum(of_tag["f1"] for of_tag in by_tag.values()) / max(len(by_tag), 1),
    }
    if are_spans(by_tag):
        types = _scores_by_kind(map(spans, gold), map(spans, predicted))
        overall = _total(types)
        result["entity_f1"] = overall["f1"]
        result["precision"], result["recall"] = overall["precision"], overall["recall"]
        result["types"] = types
    return result


# ------------------------------------------------------------------------------------------------
# Checkpoint files
# ------------------------------------------------------------------------------------------------


@by_first_process
def save_checkpoint(path, state):
    """Write a dict of plain data (numbers, strings, lists, dicts, tensors) to `path`.

    :raises OSError: the file cannot be written; the old one is as it was
    """
    _replace(path, "checkpoint", lambda file: torch.save(state, file))


def history_file(path):
    """The name of the table that belongs to a checkpoint: beside it, with its name."""
    return os.path.splitext(path)[0] + ".csv"


@by_first_process
def save_history(path, history):
    """Write a row for every epoch as CSV, its columns named after HISTORY.

    The checkpoint holds the same. So where the table cannot be written, because a spreadsheet keeps
    it open, say, that is no reason to stop: it is said, and the next epoch tries again.

    :param history: list of a dict for every epoch
    """
    text = io.StringIO(newline="")
    columns = [name for name in HISTORY if any(name in entry for entry in history)]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    try:
        _replace(path, "history", lambda file: file.write(text.getvalue().encode()))
    except OSError as error:
        print(f"Warning: {error.filename}: {error.strerror}")


def _replace(path, what, write):
    """Write a file anew.

    A crash at any moment leaves either the old file or the new one, both whole: the new one is
    written beside the old, brought to the disk, and then takes the name in one step.

    :param what: what an error calls the file
    :param write: function that writes to an open file
    :raises OSError: the file cannot be written; the old one is as it was
    """
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    temporary = f"{path}.tmp"
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        # Where writing fails, torch.save raises a RuntimeError while it handles the OSError.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        reason = f"{cause.strerror}; the {what} could not be saved, the one before is as it was"
        raise OSError(cause.errno, reason, str(path)) from error
    finally:
        if os.path.exists(temporary):  # the disk was full, say: leave no half of a file behind
            os.remove(temporary)


@by_first_process
def check_can_save(path):
    """Find out before hours of work whether save_checkpoint can write to `path`.

    :raises OSError: it cannot
    """
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    temporary = f"{path}.tmp"
    open(temporary, "wb").close()
    os.remove(temporary)


def load_checkpoint(path):
    """Read what save_checkpoint wrote, to the CPU, wherever it was trained.

    :raises InputError: the file is no checkpoint of this project, or damaged
    :raises OSError: the file cannot be read
    """
    with open(path, "rb") as file:
        try:
            _check_archive(file)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the error that follows says enough
                # weights_only: plain data is read, code that a hostile file carries is never run.
                state = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file raises many kinds
            reason = visible(str(error).strip().partition("\n")[0][:120])
            if isinstance(error, pickle.UnpicklingError):
                reason = "it holds more than plain data; no code in it was run"
            raise InputError(
                f"{path}: expected a checkpoint, found a file that cannot be loaded ({reason})"
            ) from None
    if not isinstance(state, dict) or type(state.get("format")) is not int:
        raise InputError(f"{path}: expected a checkpoint of train.py, found other data")
    if state["format"] != CHECKPOINT_FORMAT:
        raise InputError(
            f"{path}: expected checkpoint format {CHECKPOINT_FORMAT}, found {state['format']}"
        )
    if wrong := _wrong_part(state):
        raise InputError(f"{path}: expected a checkpoint of train.py, found one {wrong}")
    return state


def _check_archive(file):
    """Refuse what torch.load would not notice: flipped bits, and files that unpack to far more
    than they are.

    :param file: a zip archive, opened in binary mode; read from its beginning afterwards
    """
    size = file.seek(0, os.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > size:
            raise zipfile.BadZipFile("its parts are larger than the file")
        if any(member.external_attr & 0x10 for member in members):
            raise zipfile.BadZipFile("it has folders, which torch.load reads as any bytes")
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
    file.seek(0)


def _wrong_part(state):
    """What a checkpoint lacks, in words, or None: later code relies on these parts."""
    kinds = {
        dict: "settings training model_arguments word_map char_map tag_map model optimizer",
        list: "history rng",
        int: "epoch epochs_since_best",
        bool: "constrain_tags",
        float: "best_score",
        str: "run",
    }
    for kind, names in kinds.items():
        for name in names.split():
            if not isinstance(state.get(name), kind):
                return f"without {name!r} ({kind.__name__})"
    if not isinstance(state["settings"].get("caseless"), bool):
        return "whose settings do not say whether it is caseless"
    for name, size_name, special in (
        ("word_map", "vocab_size", {PAD, END, UNK}),
        ("char_map", "charset_size", {PAD, END, UNK}),
        ("tag_map", "tagset_size", {START, END}),
    ):
        size = state["model_arguments"].get(size_name)
        if not _numbers_from_0(state[name]) or not special <= state[name].keys():
            return f"whose {name} does not number its entries from 0"
        if type(size) is not int or size != len(state[name]):
            return f"whose {name} has {len(state[name]):,} entries where {size_name} is {size!r}"
    if not _is_history(state["history"], state["epoch"]):
        return "whose history is not that of its epochs"
    schemes = ("IOB1", "IOB2", "BIOES") if are_spans(set(state["tag_map"]) - {START, END}) else ()
    if (scheme := state.get("scheme", "")) not in (None, *schemes):
        return f"whose tags are not written in scheme {scheme!r}"


def _is_history(history, epochs):
    """Whether a list has a dict for every epoch, with what save_history and print_epoch need."""
    needed = set(HISTORY) - {"lm_loss", "entity_f1", "precision", "recall"}
    spans_too = {"entity_f1", "precision", "recall"}
    return len(history) == epochs and all(
        isinstance(entry, dict)
        and needed <= entry.keys() <= set(HISTORY)
        and len(spans_too & entry.keys()) in (0, 3)
        and all(_is_number(value) for value in entry.values())
        and entry["epoch"] == number
        and 0 <= entry["seconds"] < 1e9
        for number, entry in enumerate(history, 1)
    )


def _is_number(value):
    """Whether a value is a float, or an integer that others than Python can read, too."""
    return type(value) is float or (type(value) is int and abs(value) < 2**63)


def _numbers_from_0(mapping):
    """Whether a dict is {string: 0, string: 1, ...}"""
    return all(
        type(entry) is str and type(index) is int and index == position
        for position, (entry, index) in enumerate(mapping.items())
    )


def keep_aside(*paths):
    """Keep files that belong together under the first free names of the kind stem.1.pt.

    :return: {path: its new name}, those that exist
    """
    number = 1
    while any(map(os.path.exists, free := [_numbered(path, number) for path in paths])):
        number += 1
    kept = {path: name for path, name in zip(paths, free, strict=True) if os.path.exists(path)}
    for path, name in kept.items():
        try:
            os.link(path, name)  # both names, until `path` is written: at no moment is it missing
        except OSError:  # not on every file system
            os.rename(path, name)
    return kept


def _numbered(path, number):
    """stem.1.pt"""
    stem, suffix = os.path.splitext(path)
    return f"{stem}.{number}{suffix}"
