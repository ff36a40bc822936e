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
import collections
import itertools
import sys

import torch

from machinery.columns import column_sentences
from machinery.errors import END, PAD, START, UNK, InputError
from machinery.text import decoded_lines, open_with_bar
from machinery.vectors import _embedding_rows, _numbers, _report_coverage, random_embeddings

# ------------------------------------------------------------------------------------------------
# Column files
# ------------------------------------------------------------------------------------------------


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
