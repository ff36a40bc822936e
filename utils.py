"""From files to numbers.

    read_words_tags       a column file        -> the words and tags of each sentence
    read_text             text without tags    -> the words of each sentence
    create_maps           words and tags       -> word_map, char_map, tag_map
    create_input_tensors  one sentence         -> the model's eight inputs
    load_embeddings       a file of vectors    -> the embedding matrix, word_map expanded

"dunston checks in" is the example sentence throughout.
"""

import array
import collections
import itertools
import math
import sys

import torch

from machinery.columns import column_sentences
from machinery.errors import END, PAD, START, UNK, InputError
from machinery.recognition import is_odd, name_odd_cells, name_odd_tags
from machinery.text import decoded_lines, open_with_bar, split_at_blanks
from machinery.vectors import parse_numbers, report_coverage, text_lines, vector_lines

# ------------------------------------------------------------------------------------------------
# Column files
# ------------------------------------------------------------------------------------------------


def read_words_tags(path, word_column=0, tag_column=-1):
    """Read the sentences of a column file: one word per line, a blank line after each sentence.

    Columns are separated by tabs or spaces. CoNLL-2003, CoNLL-2000, CoNLL-U and plain pairs of
    word and tag are such files. `-DOCSTART-` lines and comments before a sentence are skipped and,
    in CoNLL-U, multiword ranges (3-4) and empty nodes (5.1); `# O` is a word and its tag. No
    sentence is dropped or cut. A first line such as `word tag` names the columns. Words and tags
    that look damaged, by quotes or invisible characters, are named and, where the tags mark spans,
    the few that are not of that form (`0` for `O`).

    :param path: the file, UTF-8, with or without a byte order mark, lines ending in LF or CRLF
    :param word_column: the column of the word, counted from 0, or from the end if negative
    :param tag_column: the column of the tag, likewise; -1 is the last
    :return: words, tags: two lists with a list of strings for each sentence
    :raises InputError: a line that is wrong, and what is wrong in it
    :raises OSError: the file cannot be read
    """
    words, tags, word_lines, tag_lines, before = [], [], {}, {}, 0
    with open_with_bar(path, path) as (file, bar):
        lines = decoded_lines(file, path, bar)
        for rows in column_sentences(lines, path, word_column, tag_column):
            for number, (_, columns) in enumerate(rows, before + 1):
                if columns:
                    tag_lines.setdefault(columns[tag_column], number)
                    if is_odd(columns[word_column]):
                        word_lines.setdefault(columns[word_column], number)
            before += len(rows)
            rows = [columns for _, columns in rows if columns]
            if rows:
                # Memory: equal words share one string; list() frees what append allocated ahead.
                words.append(list([sys.intern(columns[word_column]) for columns in rows]))
                tags.append(list([sys.intern(columns[tag_column]) for columns in rows]))
    if not words:
        raise InputError(f"{path}: expected at least one sentence, found none")
    name_odd_cells(path, "word", word_lines)
    name_odd_tags(path, tags, tag_lines)
    return words, tags


def read_text(path):
    """Read text without tags: a sentence in each line, spaces between its words.

    :param path: the file, UTF-8; also packed, as .gz or .zip
    :return: words: a list with a list of strings for each sentence
    :raises InputError: a line is not UTF-8, or there is no sentence
    :raises OSError: the file cannot be read
    """
    # Memory: equal words share one string.
    words = [list(map(sys.intern, split_at_blanks(line))) for _, line in text_lines(path)]
    words = [sentence for sentence in words if sentence]
    if not words:
        raise InputError(f"{path}: expected at least one sentence, found none")
    return words


# ------------------------------------------------------------------------------------------------
# Maps: from words, characters and tags to indices
# ------------------------------------------------------------------------------------------------


def create_maps(words, tags, min_word_freq=1, min_char_freq=1, caseless=True):
    """Number the words, characters and tags of the training data.

    Pass the training data alone: what only the validation or test data contain must stay unknown.
    The same data gives the same numbers in every run. Words and characters are numbered by falling
    frequency: the most frequent begin a map, those seen only once end it.

    :param words: list of sentences, each a list of words
    :param tags: the same shape, of tags
    :param min_word_freq: words that occur less often have no entry: they are read as <unk>
    :param min_char_freq: likewise for characters
    :param caseless: count words in lower case; characters always keep their case
    :return: word_map, char_map, tag_map: dicts from a string to its index. word_map and char_map
        begin with <pad>, <end>, <unk>; tag_map begins with <start> and ends with <end>
    :raises InputError: a tag is spelled <start> or <end>
    """
    # Words as they are written: each is looked at once, however often it occurs.
    spelled = collections.Counter(itertools.chain.from_iterable(words))
    char_counts = collections.Counter({" ": spelled.total()})  # a space follows every word
    for word, count in spelled.items():
        for char in word:
            char_counts[char] += count
    tag_set = set().union(*tags)
    if reserved := tag_set & {START, END}:
        raise InputError(f"expected tags other than {START} and {END}, found {min(reserved)}")
    tag_map = {tag: index for index, tag in enumerate([START, *sorted(tag_set), END])}
    word_counts = _entry_counts(spelled, caseless)
    return (
        _index_by_frequency(word_counts, min_word_freq),
        _index_by_frequency(char_counts, min_char_freq),
        tag_map,
    )


def text_maps(words, count, min_char_freq=1, caseless=True):
    """Number the characters of a text, and the words that language models learn to predict.

    :param words: list of sentences, each a list of words
    :param count: how many words, the most frequent ones
    :return: word_map, char_map, as create_maps gives them
    """
    word_map, char_map, _ = create_maps(words, [], 1, min_char_freq, caseless)
    return dict(itertools.islice(word_map.items(), 3 + count)), char_map


def extended(char_map, more):
    """A char_map with the characters of another that it lacks, at its end."""
    return dict(zip(dict.fromkeys([*char_map, *more]), itertools.count()))


def frequent_vocab_size(words, word_map, min_freq, caseless=True):
    """How many entries word_map has up to the last word that occurs at least `min_freq` times.

    The words before this index are frequent, those from it on are not. With 2, it is the index of
    the first word that occurs once.

    :param words: list of sentences, each a list of words
    :param word_map: as create_maps made it from these sentences
    :return: int; <pad>, <end> and <unk> always count
    """
    spelled = collections.Counter(itertools.chain.from_iterable(words))
    counts = _entry_counts(spelled, caseless)
    frequent = itertools.takewhile(lambda entry: counts[entry] >= min_freq, list(word_map)[3:])
    return 3 + len(list(frequent))


def _entry_counts(spelled, caseless):
    """Counter of words as they are looked up, from a Counter of words as they are written."""
    counts = collections.Counter()
    for word, count in spelled.items():
        counts[word.lower() if caseless else word] += count
    return counts


def _index_by_frequency(counts, min_freq):
    """{<pad>: 0, <end>: 1, <unk>: 2, the most frequent: 3, ...}; ties in alphabetical order."""
    frequent = sorted((-count, entry) for entry, count in counts.items() if count >= min_freq)
    special = (PAD, END, UNK)
    entries = [*special, *(entry for _, entry in frequent if entry not in special)]
    return {entry: index for index, entry in enumerate(entries)}


def word_index(word, word_map, caseless=True):
    """The index of a word in word_map; <unk>'s if it has no entry."""
    entry = word.lower() if caseless else word
    # Text may spell "<end>": a word like any other, not the token that we append.
    return word_map[UNK] if entry in (PAD, END, UNK) else word_map.get(entry, word_map[UNK])


def create_input_tensors(words, tags, word_map, char_map, tag_map, caseless=True):
    """Encode one sentence into the eight inputs of the model, unpadded.

    For "dunston checks in" with the tags B-PER O O, which are 2 3 3 of m = 5, it has L = 4 words
    and C = 19 characters, <end> included:

        words             dunston checks in <end>                    (L)
        forward_chars     d u n s t o n _ c h e c k s _ i n _ <end>  (C)  _ is a space
        backward_chars    n i _ s k c e h c _ n o t s n u d _ <end>  (C)
        forward_markers   7 14 17 18    the space after each word    (L)
        backward_markers  17 9 2 18     the same, in word order      (L)
        tags              2 13 18 19    previous * m + current       (L)
        word_length       4                                          ()
        char_length       19                                         ()

    :param words: list of words
    :param tags: list of as many tags, or None if they are unknown
    :return: tuple of eight int64 tensors. An entry of `tags` is -1 where the tag, or the one
        before it, is not in tag_map or not given
    """
    word_ids = [word_index(word, word_map, caseless) for word in words] + [word_map[END]]

    unk, space, end = char_map[UNK], char_map.get(" ", char_map[UNK]), char_map[END]
    spelled = [[char_map.get(char, unk) for char in word] for word in words]
    forward_chars = [char for word in spelled for char in (*word, space)] + [end]
    backward_chars = [char for word in reversed(spelled) for char in (*reversed(word), space)]
    backward_chars.append(end)

    # Counted, not searched for: a word may itself contain a space.
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
        sequence = [START, *tags, END]
        targets = [
            tag_map[previous] * len(tag_map) + tag_map[current]
            if previous in tag_map and current in tag_map
            else -1
            for previous, current in itertools.pairwise(sequence)
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
# Pre-trained word embeddings
# ------------------------------------------------------------------------------------------------


def load_embeddings(emb_file, word_map, expand_vocab=True, caseless=True):
    """Read pre-trained word vectors from a text file: a word and its numbers per line.

    GloVe's files have no other lines. Those of word2vec and fastText begin with a header: how many
    words and dimensions follow. The file may be packed, as .gz or .zip; a path such as
    "glove.6B.zip/glove.6B.100d.txt" names one of several files in an archive.

    With `expand_vocab`, the file's words that word_map lacks are appended to it. A word too rare in
    the corpus for an entry gets its vector this way, in training as in inference. The words that
    were there keep their indices, and the language models' vocabulary remains among them: there is
    no use in learning to predict words that training never shows.

    With `caseless`, words are looked up in lower case. A word of the file with capital letters
    gives its vector to the lower-case word, unless that has a vector of its own.

    Rows without a vector (<end>, words that the file lacks) are drawn uniformly from
    +-sqrt(3 / dimensions), like embeddings trained from scratch. <pad> is zero. How many words of
    the corpus have a vector is printed.

    :param emb_file: path of the file, UTF-8
    :param word_map: dict from word to index, as create_maps gives it
    :return: embeddings (vocab_size, word_emb_dim) float32; word_map, expanded or as it was;
        lm_vocab_size, the number of entries before expansion, the most that the language models
        predict; has_vector (vocab_size) bool, which rows come from the file
    :raises InputError: a line has the wrong number of fields, or one that is not a number; the
        file is packed and damaged, or shorter than its header says
    :raises OSError: the file cannot be read
    """
    word_map, lm_vocab_size = dict(word_map), len(word_map)
    # Memory: vectors are read straight into the matrix. The corpus's rows come first, those of the
    # other words follow in the file's order.
    values, dim = array.array("f"), 0
    found = bytearray(lm_vocab_size)  # per row: 0 no vector, 1 another spelling's, 2 its own
    for number, word, numbers in vector_lines(emb_file):
        if not dim:
            dim = numbers.count(" ") + 1
            values = array.array("f", [0]) * (lm_vocab_size * dim)
        entry = word.lower() if caseless else word
        quality = 2 if entry == word else 1
        row = word_map.get(entry)
        if entry in (PAD, END):
            continue
        if row is None and expand_vocab:
            values.extend(parse_numbers(emb_file, number, word, numbers))
            word_map[entry] = len(word_map)
            found.append(quality)
        elif row is not None and found[row] < quality:  # of duplicates, the first counts
            values[row * dim : (row + 1) * dim] = parse_numbers(emb_file, number, word, numbers)
            found[row] = quality
    if not dim:
        raise InputError(f"{emb_file}: expected a word and its numbers in every line, found none")
    has_vector = torch.frombuffer(found, dtype=torch.uint8) > 0
    report_coverage(emb_file, int(has_vector[3:lm_vocab_size].sum()), lm_vocab_size - 3)
    embeddings = torch.frombuffer(values, dtype=torch.float32).view(-1, dim)
    bound, missing = math.sqrt(3 / dim), int((~has_vector).sum())
    embeddings[~has_vector] = torch.empty(missing, dim).uniform_(-bound, bound)
    embeddings[word_map[PAD]] = 0
    return embeddings, word_map, lm_vocab_size, has_vector
