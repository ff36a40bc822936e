"""Maps, the eight inputs and embeddings."""

import gzip
import io
import re
import subprocess
import sys
import zipfile

import pytest
import torch

from machinery.errors import InputError
from utils import (
    create_input_tensors,
    create_maps,
    frequent_vocab_size,
    load_embeddings,
    word_index,
)

WORDS = ["dunston", "checks", "in"]
TAG_MAP = {"<start>": 0, "tag_1": 1, "tag_2": 2, "tag_3": 3, "<end>": 4}


def tags_for(words):
    """A tag for each word."""
    return [["T"] * len(sentence) for sentence in words]


def maps_of(*sentences, **keywords):
    words = [sentence.split() for sentence in sentences]
    return create_maps(words, tags_for(words), 1, 1, **keywords)


# Maps ------------------------------------------------------------------------------------------


def test_special_entries():
    word_map, char_map, tag_map = create_maps([["a", "b"]], [["X", "O"]], 1, 1)
    assert list(word_map)[:3] == list(char_map)[:3] == ["<pad>", "<end>", "<unk>"]
    assert tag_map == {"<start>": 0, "O": 1, "X": 2, "<end>": 3}
    for mapping in (word_map, char_map, tag_map):
        assert sorted(mapping.values()) == list(range(len(mapping)))
    assert " " in char_map


def test_rare_words_and_characters_are_left_out():
    words = [["aa", "aa", "aa", "b", "b", "c"]]
    word_map, char_map, _ = create_maps(words, [["T"] * 6], min_word_freq=2, min_char_freq=6)
    assert list(word_map)[3:] == ["aa", "b"]  # the most frequent first
    assert set(list(char_map)[3:]) == {"a", " "}


def test_words_lose_their_case_and_characters_keep_it():
    word_map, char_map, _ = maps_of("Paris paris")
    assert "paris" in word_map and "Paris" not in word_map
    assert "P" in char_map and "p" in char_map
    assert "Paris" in maps_of("Paris", caseless=False)[0]


def test_text_that_spells_a_special_word_is_not_that_word():
    word_map, char_map, tag_map = maps_of("<end> a <pad>")
    assert sorted(word_map.values()) == list(range(len(word_map)))
    assert word_index("<END>", word_map) == word_map["<unk>"]
    words = create_input_tensors(["<pad>", "a"], None, word_map, char_map, tag_map)[0]
    assert words.tolist() == [word_map["<unk>"], word_map["a"], word_map["<end>"]]


@pytest.mark.parametrize("tag", ["<start>", "<end>"])
def test_reserved_tags_are_refused(tag):
    with pytest.raises(InputError, match=tag):
        create_maps([["a"]], [[tag]], 1, 1)


def test_same_ids_in_every_process(root, tiny_corpus):
    # Without torch, which has no part in this and takes two seconds to import.
    program = (
        "import sys, types; sys.modules['torch'] = types.ModuleType('torch'); import utils;"
        "print(utils.create_maps(*utils.read_words_tags(sys.argv[1])))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program, str(tiny_corpus)],
            cwd=root,
            env={"PYTHONHASHSEED": hash_seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2", "3")
    }
    assert len(outputs) == 1


def test_frequent_words_begin_the_map_and_those_seen_once_end_it():
    words = [["a", "b", "<pad>"], ["c", "A", "b"], ["a", "c", "d"], ["<end>", "<end>"]]
    word_map, _, _ = create_maps(words, tags_for(words))
    assert list(word_map)[3:] == ["a", "b", "c", "d"]  # 3, 2, 2 and 1 times
    sizes = [frequent_vocab_size(words, word_map, min_freq) for min_freq in (1, 2, 3, 4)]
    assert sizes == [7, 6, 4, 3]
    by_case, _, _ = create_maps(words, tags_for(words), caseless=False)
    assert frequent_vocab_size(words, by_case, 2, caseless=False) == 6
    assert frequent_vocab_size(words, by_case, 3, caseless=False) == 3  # "a" twice and "A" once


# The eight inputs --------------------------------------------------------------------------------


def test_dunston_checks_in():
    word_map, char_map, _ = maps_of("dunston checks in")
    inputs = create_input_tensors(WORDS, ["tag_2", "tag_3", "tag_3"], word_map, char_map, TAG_MAP)
    assert len(inputs) == 8 and all(tensor.dtype == torch.int64 for tensor in inputs)
    words, forward, backward, forward_markers, backward_markers, tags, length, chars = inputs

    assert words.tolist() == [word_map[word] for word in (*WORDS, "<end>")]
    assert forward.tolist() == [char_map[c] for c in (*"dunston checks in ", "<end>")]
    assert backward.tolist() == [char_map[c] for c in (*"ni skcehc notsnud ", "<end>")]
    assert forward_markers.tolist() == [7, 14, 17, 18]
    assert backward_markers.tolist() == [17, 9, 2, 18]
    assert tags.tolist() == [2, 13, 18, 19]
    assert (tags % len(TAG_MAP)).tolist() == [2, 3, 3, 4]
    assert length.item() == 4 and chars.item() == 19


def test_markers_come_from_word_lengths_not_from_spaces():
    words = ["New York", "é", " ", "x" * 300]
    word_map, char_map, tag_map = create_maps([words], [["T"] * 4], 1, 1)
    _, forward, backward, forward_markers, backward_markers, *_ = create_input_tensors(
        words, None, word_map, char_map, tag_map
    )
    assert forward_markers.tolist() == [8, 10, 12, 313, 314]
    assert backward_markers.tolist() == [313, 304, 302, 300, 314]
    characters = {index: char for char, index in char_map.items()}
    for marker, word in zip(forward_markers.tolist(), words, strict=False):
        before = "".join(characters[i] for i in forward[:marker].tolist())
        assert before.endswith(word) and characters[forward[marker].item()] == " "
    for marker, word in zip(backward_markers.tolist(), words, strict=False):
        before = "".join(characters[i] for i in backward[:marker].tolist())
        assert before.endswith(word[::-1]) and characters[backward[marker].item()] == " "


def test_unknown_words_characters_and_tags():
    word_map, char_map, tag_map = maps_of("a b")
    words, forward, *_, tags, _, _ = create_input_tensors(
        ["a", "z"], ["T", "other"], word_map, char_map, tag_map
    )
    assert words.tolist() == [word_map["a"], word_map["<unk>"], word_map["<end>"]]
    assert forward[2].item() == char_map["<unk>"]
    assert tags.tolist() == [0 * 3 + 1, -1, -1]  # neither the unknown tag nor what follows it


def test_empty_sentence():
    word_map, char_map, tag_map = maps_of("a")
    inputs = create_input_tensors([], [], word_map, char_map, tag_map)
    assert [tensor.tolist() for tensor in inputs] == [[1], [1], [1], [0], [0], [2], 1, 1]


# Embeddings --------------------------------------------------------------------------------------


@pytest.fixture
def emb_file(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("a 1 2\nnew 3 4\nrare 5 6\na 7 8\n. . . 9 10\n", encoding="utf-8")
    return str(path)


def test_expanded_vocabulary(emb_file):
    words = [["A", "a", "rare", "b", "b"]]
    word_map, _, _ = create_maps(words, [["T"] * 5], min_word_freq=2, min_char_freq=1)
    before = dict(word_map)
    embeddings, expanded, lm_vocab_size, has_vector = load_embeddings(emb_file, word_map)
    assert word_map == before  # the map that was given is left alone
    assert list(expanded)[: len(before)] == list(before)  # in-corpus words come first
    assert lm_vocab_size == len(before)
    assert embeddings.shape == (len(expanded), 2) and embeddings.dtype == torch.float32
    for word, vector in {"A": [1, 2], "new": [3, 4], "Rare": [5, 6], ". . .": [9, 10]}.items():
        assert embeddings[word_index(word, expanded)].tolist() == vector
    assert embeddings[expanded["<pad>"]].tolist() == [0, 0]
    bound = (3 / 2) ** 0.5
    for word in ("<unk>", "<end>", "b"):
        row = embeddings[expanded[word]]
        assert row.abs().max() <= bound and row.any()
    assert has_vector.shape == (len(expanded),) and has_vector.dtype == torch.bool
    without = [word for word, index in expanded.items() if not has_vector[index]]
    assert without == ["<pad>", "<end>", "<unk>", "b"]


@pytest.mark.parametrize("expand_vocab", [True, False])
def test_special_words_of_a_file_of_vectors(tmp_path, expand_vocab):
    """Its <unk> is ours; its <pad> and <end>, if it has any, are other things."""
    path = tmp_path / "vectors.txt"
    path.write_text("<pad> 1 1\n<end> 2 2\n<unk> 3 3\na 4 4\n")
    word_map, _, _ = maps_of("a")
    embeddings, expanded, _, has_vector = load_embeddings(str(path), word_map, expand_vocab)
    assert expanded == word_map and has_vector.tolist() == [False, False, True, True]
    assert embeddings[[0, 2, 3]].tolist() == [[0, 0], [3, 3], [4, 4]]
    assert embeddings[1].tolist() != [2, 2]


def test_a_line_like_a_header_that_is_not_the_first(tmp_path):
    """A number may be a word with a vector of one dimension."""
    path = tmp_path / "vectors.txt"
    path.write_text("a 1\n3 2\nb 3\n")
    embeddings, expanded, *_ = load_embeddings(str(path), maps_of("a b")[0])
    assert {word: embeddings[expanded[word]].tolist() for word in "a3b"} == {
        "a": [1],
        "3": [2],
        "b": [3],
    }


@pytest.mark.parametrize("expand_vocab", [True, False])
def test_vectors_of_other_spellings(tmp_path, expand_vocab):
    path = tmp_path / "vectors.txt"
    path.write_text("Paris 1 1\nparis 2 2\nROME 3 3\nRome 4 4\nOslo 5 5\noslo 6 6\nBern 7 7\n")
    word_map, _, _ = maps_of("paris rome")
    embeddings, expanded, *_ = load_embeddings(str(path), word_map, expand_vocab)
    assert embeddings[expanded["paris"]].tolist() == [2, 2]  # its own spelling goes first
    assert embeddings[expanded["rome"]].tolist() == [3, 3]  # else the first of the others
    if expand_vocab:
        assert embeddings[expanded["oslo"]].tolist() == [6, 6]
        assert embeddings[expanded["bern"]].tolist() == [7, 7]
    assert len(expanded) == len(embeddings) == len(word_map) + 2 * expand_vocab

    embeddings, expanded, *_ = load_embeddings(str(path), word_map, expand_vocab, caseless=False)
    assert embeddings[expanded["paris"]].tolist() == [2, 2]
    assert ("ROME" in expanded) == expand_vocab and len(expanded) == len(embeddings)


def test_without_expansion_only_words_of_the_corpus_are_kept(emb_file):
    word_map, _, _ = maps_of("a b")
    embeddings, same_map, lm_vocab_size, has_vector = load_embeddings(emb_file, word_map, False)
    assert same_map == word_map and lm_vocab_size == len(word_map) == len(embeddings)
    assert has_vector.tolist() == [False, False, False, True, False]
    assert embeddings[word_map["a"]].tolist() == [1, 2]  # the first of duplicates


@pytest.mark.parametrize(
    "text, message",
    [
        ("a 1 2\nb 1\n", "line 2: expected a word and 2 numbers, found 2 fields"),
        ("a 1 2\nb 1 x\n", "line 2: expected a word and numbers, .* found 'b 1 x' .*'x'"),
        ("a 0,1 0,2\n", "line 1: expected a word and numbers, .* found 'a 0,1 0,2'"),
        ("a  1 2\nb  3 4\n", "line 1: expected a word and numbers, a space between them"),
        ("<<<<<<< HEAD\na 1 2\n", "line 1: expected a word and numbers"),
        ("a 1 2\rb 1 2\r", "line 1: expected a word and numbers"),
        ("a\t1\t2\n", r"line 1: expected a word and 1 numbers, found 1 fields: 'a\\t1\\t2'"),
        ("a\t1 2\nb\t3 4\n", "line 1: expected a space after the word, found a tab"),
        ("2 1 9\na 1 2 3\nb 1 2 3\n", "line 1: expected a word and 3 numbers, found 3 fields"),
        ("a 0.1 0.2\n$ 1.5 0.3 0.4\n", "line 2: expected a word and 2 numbers, found 4 fields"),
        ("a 1 2\nb 1 2 3\nc 1 2 3\n", "line 1: expected a word and 3 numbers, found 3 fields"),
        ("a 1 2\nb 1 nan\n", "line 2: expected finite numbers"),
        ("a 1 2\nb 1 2 3\n", "line 2: expected a word and 2 numbers, found 4 fields"),
        ("a 1 2\nb -.5e-3 1 2\n", "line 2: expected a word and 2 numbers, found 4 fields"),
        ("a 1\n\nb\n", "line 3: expected a word and 1 numbers, found 1 fields"),
        ("1 2\na 1 2\nb 1 2\n", "expected 1 words, as line 1 says, found 2: lines were added"),
        ("2 3\na 1 2\nb 1 2\n", "line 2: expected a word and 3 numbers, found 3 fields"),
        ("3 3\na 1 2 3\nb 1 2 3\n", "expected 3 words, as line 1 says, found 2: .*incomplete"),
        ("1 3\na 1 2 3\nb 1 2 3\n", "expected 1 words, as line 1 says, found 2"),
        ("1 999999999\na 1 2 3\n", "line 2: expected a word and 999999999 numbers"),
        ("7 3\n", "expected 7 words, as line 1 says, found 0"),
        ("a 1 2" + "0" * 1_100_000, "line 1: expected a word .* more than 1,048,576 bytes"),
        ("a\n", "line 1: expected a word and 1 numbers, found 1 fields"),
        ("a 1 inf\n", "line 1: expected finite numbers"),
        ("", "expected a word and its numbers in every line, found none"),
    ],
)
def test_bad_embeddings(tmp_path, text, message):
    path = tmp_path / "vectors.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        load_embeddings(str(path), maps_of("a b")[0])


ODD_WORDS = "$ 1.5%|R$ 000|. 00 000|2 000|. . .|at name@x.com|7|3.5|1e-3|-".split("|")


@pytest.mark.parametrize("word", [*ODD_WORDS, "\xa0", ".\xa0.", "\u2028", "a\x85b", "a\rb"])
@pytest.mark.parametrize("header", ["", "3 2\n", "3\t2\n", " 3  2 \n"])
@pytest.mark.parametrize("place", [0, 2])
def test_odd_words_have_vectors_wherever_they_are(tmp_path, word, header, place):
    rows = ["a 1e-1 -2.5E+01", "b .5 +1.0", f"{word} 0.25 0.5"]
    rows.insert(place, rows.pop())
    path = tmp_path / "vectors.txt"
    path.write_bytes((header + "\n".join(rows)).encode())
    embeddings, word_map, *_ = load_embeddings(str(path), maps_of("b")[0])
    assert set(word_map) == {"<pad>", "<end>", "<unk>", "a", "b", word.lower()}
    assert embeddings[word_map[word.lower()]].tolist() == [0.25, 0.5]
    assert torch.equal(embeddings[word_map["a"]], torch.tensor([0.1, -25.0]))
    assert embeddings[word_map["b"]].tolist() == [0.5, 1.0]


VECTORS = "b 1 2\nnew 3 4\nA 9 9\na 5 6\n. . . 7 8\nnew 0 0\nlast -1e-3 .5\n"


@pytest.fixture
def plain_result(tmp_path):
    """What load_embeddings gives for VECTORS, and a function that packs a text to read it again."""
    word_map, _, _ = maps_of("a a c b")

    def load(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        torch.manual_seed(1)
        return load_embeddings(str(path), word_map)

    return load("plain.txt", VECTORS.encode()), load


def in_zip(**texts):
    """A zip archive of these files, compressed; `__` between letters stands for a dot."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(re.sub(r"(?<=\w)__(?=\w)", ".", name), text)
    return made.getvalue()


def test_rows_are_in_their_places(plain_result):
    (embeddings, word_map, lm_vocab_size, _), _ = plain_result
    assert list(word_map)[3:] == ["a", "b", "c", "new", ". . .", "last"]
    assert lm_vocab_size == 6
    expected = [[5, 6], [1, 2], None, [3, 4], [7, 8], [-1e-3, 0.5]]
    for row, numbers in zip(embeddings[3:], expected, strict=True):
        assert numbers is None or torch.equal(row, torch.tensor(numbers))
    assert embeddings[word_map["c"]].any() and not embeddings[0].any()


PACKED = {
    "v.txt.gz": gzip.compress(VECTORS.encode()),
    "V.GZ": gzip.compress(VECTORS[:40].encode()) + gzip.compress(VECTORS[40:].encode()),
    "v.zip": in_zip(vectors__vec=VECTORS),
    "several.zip": in_zip(readme__md="read", vectors__txt=VECTORS),
    "mac.zip": in_zip(**{"vectors.txt": VECTORS, "__MACOSX/._vectors.txt": "\0"}),
    "bom.txt": b"\xef\xbb\xbf" + VECTORS.encode(),
    "word2vec.txt": b"7 2\n" + VECTORS.encode(),
    "word2vec's own.txt": b"7 2\n" + VECTORS.replace("\n", " \n").encode(),
    "word2vec.zip": in_zip(vectors__vec="7 2\r\n" + VECTORS.replace("\n", "\r\n")),
}


@pytest.mark.parametrize("name", PACKED)
def test_packed_embeddings_and_word2vec(plain_result, name):
    (embeddings, word_map, lm_vocab_size, has_vector), load = plain_result
    found = load(name, PACKED[name])
    assert torch.equal(found[0], embeddings) and torch.equal(found[3], has_vector)
    assert list(found[1]) == list(word_map) and found[2] == lm_vocab_size


def encrypted(archive):
    """The archive, its files marked as encrypted."""
    archive = bytearray(archive)
    archive[archive.index(b"PK\3\4") + 6] |= 1
    archive[archive.index(b"PK\1\2") + 8] |= 1
    return bytes(archive)


def flipped(content, place):
    """The bytes, one of them changed."""
    return content[:place] + bytes([content[place] ^ 64]) + content[place + 1 :]


LONG = "".join(f"word{i} {i} {i * 7919 % 1000}\n" for i in range(20_000)).encode()
LONG_GZ, LONG_ZIP = gzip.compress(LONG), in_zip(v__txt=LONG)
DAMAGED = {
    "cut.gz": (LONG_GZ[:-5000], "cannot be unpacked"),
    "end.gz": (LONG_GZ[:-1], "cannot be unpacked"),
    "sum.gz": (flipped(LONG_GZ, -6), "cannot be unpacked .CRC check failed"),
    "flip.gz": (flipped(LONG_GZ, 5000), "unpacked|expected a word"),
    "no.gz": (VECTORS.encode(), "cannot be unpacked .Not a gzipped file"),
    "empty.gz": (b"", "found none"),
    "no.zip": (VECTORS.encode(), "cannot be unpacked .File is not a zip file"),
    "cut.zip": (LONG_ZIP[:-5000], "cannot be unpacked .File is not a zip file"),
    "flip.zip": (flipped(LONG_ZIP, 5000), "unpacked|expected a word"),
    "sum.zip": (
        flipped(LONG_ZIP, LONG_ZIP.index(b"PK\1\2") + 16),
        "cannot be unpacked .Bad CRC-32",
    ),
    "secret.zip": (encrypted(in_zip(v__txt=VECTORS)), "cannot be unpacked .*encrypted"),
    "several.zip": (
        in_zip(a__txt=VECTORS, b__txt=VECTORS),
        "one text file .* found a.txt, b.txt; name",
    ),
    "two.zip": (
        in_zip(a__vec=VECTORS, b__vec=VECTORS),
        "one text file .* found a.vec, b.vec; name",
    ),
    "empty.zip": (in_zip(), "one text file in the archive, found none$"),
    "latin.gz": (gzip.compress(b"a 1\ncaf\xe9 1\n"), "line 2: expected UTF-8 text"),
    "bomb.gz": (gzip.compress, "line 2: .* more than 1,048,576 by"),
    "bomb.zip": (lambda bomb: in_zip(v__txt=bomb), "line 2: .* more than 1,048,576 by"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_archives_are_one_sentence(tmp_path, name):
    content, message = DAMAGED[name]
    path = tmp_path / name
    path.write_bytes(content(b"a 1\n" + bytes(50_000_000)) if callable(content) else content)
    with pytest.raises(InputError, match=message) as raised:
        load_embeddings(str(path), maps_of("a b")[0])
    assert str(raised.value).startswith(f"{path}") and len(str(raised.value).splitlines()) == 1


# As GloVe's archives are: several texts, here one of them bad.
GLOVE = {
    "glove.6B.50d.txt": "a 9\n",
    "glove.6B.100d.txt": VECTORS,
    "glove.6B.200d.txt": b"a 1\n" + bytes(3_000_000),
    "more/glove.6B.300d.txt": VECTORS,
}


@pytest.fixture
def glove_zip(tmp_path):
    path = tmp_path / "glove.6B.ZIP"
    path.write_bytes(in_zip(**GLOVE))
    return path


@pytest.mark.parametrize("name", ["glove.6B.100d.txt", "more/glove.6B.300d.txt"])
def test_a_file_of_an_archive(plain_result, glove_zip, capsys, name):
    (embeddings, word_map, *_), _ = plain_result
    torch.manual_seed(1)
    found = load_embeddings(f"{glove_zip}/{name}", maps_of("a a c b")[0])
    assert torch.equal(found[0], embeddings) and list(found[1]) == list(word_map)
    assert capsys.readouterr().out.endswith(
        f"{glove_zip}/{name}: vectors for 2 of 3 words in train_file's vocabulary\n"
    )


@pytest.mark.parametrize(
    "member, message",
    [
        ("", "glove.6B.ZIP: expected one text file in the archive, found {names}; name one, as in"),
        ("/glove.txt", "glove.6B.ZIP: expected a file glove.txt in the archive, found {names}; "),
        ("/glove.6B.200d.txt", "glove.6B.200d.txt, line 2: .* a line of more than 1,048,576 bytes"),
    ],
)
def test_files_of_an_archive_that_cannot_be_read(glove_zip, member, message):
    with pytest.raises(InputError, match=message.format(names=", ".join(GLOVE))) as raised:
        load_embeddings(f"{glove_zip}{member}", maps_of("a b")[0])
    if "name one" in str(raised.value):
        assert str(raised.value).endswith(f"as in {glove_zip}/glove.6B.50d.txt")


def test_a_folder_that_is_called_like_an_archive(tmp_path):
    (tmp_path / "vectors.zip").mkdir()
    (tmp_path / "vectors.zip" / "plain.txt").write_text("a 1 2\n")
    embeddings, *_ = load_embeddings(tmp_path / "vectors.zip" / "plain.txt", maps_of("a")[0])
    assert embeddings[3].tolist() == [1, 2]
    with pytest.raises(FileNotFoundError):
        load_embeddings(str(tmp_path / "nothing.zip" / "plain.txt"), maps_of("a")[0])


@pytest.mark.parametrize("expand_vocab", [True, False])
def test_coverage_is_said(tmp_path, capsys, expand_vocab):
    path = tmp_path / "vectors.txt"
    path.write_text("b 1 2\n<unk> 3 4\nzzz 5 6\nB 7 8\nb 9 10\n", encoding="utf-8")
    load_embeddings(str(path), maps_of("a b c")[0], expand_vocab)
    said = capsys.readouterr().out
    assert said == f"{path}: vectors for 1 of 3 words in train_file's vocabulary\n"

    embeddings, word_map, *_ = load_embeddings(str(path), maps_of("x y")[0], expand_vocab)
    said, warning = capsys.readouterr().out.splitlines()
    assert "vectors for 0 of 2 " in said and warning.startswith(
        f"Warning: {path} has none of these words"
    )
    assert ("zzz" in word_map) == expand_vocab
    assert embeddings[word_map["x"]].any() and embeddings.shape == (len(word_map), 2)


def test_a_file_with_no_word_that_is_wanted(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("zzz 1 2\n", encoding="utf-8")
    word_map, _, _ = maps_of("a")
    embeddings, same_map, *_ = load_embeddings(str(path), word_map, expand_vocab=False)
    assert same_map == word_map and embeddings.shape == (len(word_map), 2)


def test_glove_covers_real_words(real_data):
    from utils import read_words_tags

    words, tags = read_words_tags(real_data / "ncbi_disease" / "train.txt")
    word_map, _, _ = create_maps(words, tags, 5, 1)
    glove = real_data / "glove" / "glove.6B.50d.top9163.txt"
    embeddings, expanded, lm_vocab_size, _ = load_embeddings(str(glove), word_map)
    assert embeddings.shape == (len(expanded), 50)
    assert lm_vocab_size == len(word_map) < len(expanded)
    with open(glove, encoding="utf-8") as file:
        for line in file:
            word, *numbers = line.rstrip("\n").split(" ")
            expected = torch.tensor(list(map(float, numbers)))
            assert torch.equal(embeddings[expanded[word]], expected)
