"""read_words_tags: every layout, nothing dropped, errors that say where."""

import gzip
import random
import re
import sys
import zipfile

import pytest
from tqdm import tqdm

from machinery.errors import InputError
from machinery.text import decoded_lines, open_with_bar
from machinery.vectors import vector_lines
from utils import read_words_tags


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "corpus.txt"
    path.write_bytes(text.encode(encoding))
    return path


def test_conll2003_skips_docstart_and_takes_the_last_column(tmp_path):
    path = write(
        tmp_path,
        "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n"
        "-DOCSTART- -X- O O\n\nPeter NNP B-NP B-PER\n",
    )
    assert read_words_tags(path) == ([["EU", "rejects"], ["Peter"]], [["B-ORG", "O"], ["B-PER"]])
    assert read_words_tags(path, 0, 1)[1] == [["NNP", "VBZ"], ["NNP"]]
    assert read_words_tags(path, 0, -2)[1] == [["B-NP", "B-VP"], ["B-NP"]]


def test_docstart_separates_sentences_even_without_blank_lines(tmp_path):
    path = write(tmp_path, "a O\n-DOCSTART- O\nb O\n")
    assert read_words_tags(path)[0] == [["a"], ["b"]]


@pytest.mark.parametrize("separator", [" ", "\t", "   "])
def test_separators(tmp_path, separator):
    path = write(tmp_path, f"EU{separator}B-ORG\nrejects{separator}O\n")
    assert read_words_tags(path) == ([["EU", "rejects"]], [["B-ORG", "O"]])


def test_bom_crlf_and_no_newline_at_the_end(tmp_path):
    path = write(tmp_path, "\ufeffEU B-ORG\r\nrejects O\r\n\r\n \t\r\ncalls O")
    assert read_words_tags(path) == ([["EU", "rejects"], ["calls"]], [["B-ORG", "O"], ["O"]])


def test_a_byte_order_mark_is_one_at_the_beginning_only(tmp_path):
    path = tmp_path / "bom.txt"
    path.write_text("\ufeffa O\n\ufeffb O\n", encoding="utf-8")
    assert read_words_tags(path) == ([["a", "\ufeffb"]], [["O", "O"]])


def test_hash_is_a_word_outside_conllu(tmp_path):
    path = write(tmp_path, "# O\n1 O\n\n# O\n")
    assert read_words_tags(path)[0] == [["#", "1"], ["#"]]


def test_only_line_feeds_end_lines(tmp_path):
    path = write(tmp_path, "a\u2028b O\nc\x0bd\u00a0e O\n")
    assert read_words_tags(path)[0] == [["a\u2028b", "c\x0bd\u00a0e"]]


CONLLU = (
    "# sent_id = 1\n# text = I can't # it.\n"
    "1\tI\tI\tPRON\tPRP\t_\t2\tnsubj\t_\t_\n"
    "2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "2\tca\tcan\tAUX\tMD\t_\t4\taux\t_\t_\n"
    "3\tn't\tnot\tPART\tRB\t_\t4\tadvmod\t_\t_\n"
    "3.1\tdo\tdo\tVERB\tVB\t_\t_\t_\t_\t_\n"
    "4\t#\t#\tSYM\tSYM\t_\t0\troot\t_\t_\n"
    "5\tNew York\tNew York\tPROPN\tNNP\t_\t4\tobj\t_\t_\n\n"
)


def test_conllu(tmp_path):
    path = write(tmp_path, CONLLU * 2)
    words, tags = read_words_tags(path, word_column=1, tag_column=3)
    assert words == [["I", "ca", "n't", "#", "New York"]] * 2
    assert tags == [["PRON", "AUX", "PART", "SYM", "PROPN"]] * 2


def test_conllu_token_numbers_are_not_words(tmp_path):
    with pytest.raises(InputError, match="word_column = 1"):
        read_words_tags(write(tmp_path, CONLLU))


def test_no_sentence_is_dropped_or_cut(tmp_path):
    lengths = [1, 300, 2, 5000, 1]
    text = "\n".join("".join(f"w{i} T\n" for i in range(length)) for length in lengths)
    words, tags = read_words_tags(write(tmp_path, text))
    assert [len(sentence) for sentence in words] == lengths
    assert [len(sentence) for sentence in tags] == lengths


@pytest.mark.parametrize(
    "text, columns, message",
    [
        ("a O\nb\n", (0, -1), r"corpus.txt, line 2: expected 2 columns .* found 1: 'b'"),
        ("a O\nb X O\n", (0, -1), r"line 2: expected 2 columns .* found 3"),
        ("a O\n", (0, 3), r"line 1: .* column 3, found 2 columns"),
        ("a\n", (0, -1), r"line 1: .* found 1 columns"),
        ("a O\n", (1, -1), r"line 1: expected a word in column 1 and its tag in column -1"),
        ("\n \n", (0, -1), r"expected at least one sentence, found none"),
        ("", (0, -1), r"expected at least one sentence, found none"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, columns, message):
    with pytest.raises(InputError, match=message):
        read_words_tags(write(tmp_path, text), *columns)


def test_not_utf8_names_the_line(tmp_path):
    path = write(tmp_path, "a O\ncaf\xe9 O\n", encoding="latin-1")
    with pytest.raises(InputError, match="line 2: expected UTF-8 text, found the byte 0xe9"):
        read_words_tags(path)


def test_missing_file_is_an_oserror(tmp_path):
    with pytest.raises(OSError):
        read_words_tags(tmp_path / "nothing.txt")


def test_equal_words_are_one_object(tmp_path):
    words, tags = read_words_tags(write(tmp_path, "hotel-x B-LOC\n\nhotel-x B-LOC\n"))
    assert words[0][0] is words[1][0] and tags[0][0] is tags[1][0]


# What other programs write -----------------------------------------------------------------------

ROWS = "Paris\tB-LOC\nis\tO\nold\tO\n"
READ = ([["Paris", "is", "old"]], [["B-LOC", "O", "O"]])
ONE = "1\ta\tX\t_\t_\t_\t_\t_\t_\t_\n"  # a word in CoNLL-U
# What is no word and yet no error: what is read, and what is said of it, on either stream.
SAID = {
    "names of columns": ("word\ttag\n" + ROWS, READ, "line 1: 'word.ttag' is taken for the names"),
    "and a blank line": ("Token NER\n\n" + ROWS.replace("\t", " "), READ, "line 1: 'Token NER' is"),
    "after a hash": ("#word\ttag\n" + ROWS, READ, "line 1: '#word.ttag' is"),
    "after # and a blank": (
        "# sentence_id\ttags\n" + ROWS,
        READ,
        "line 1: '# sentence_id.ttags' is",
    ),
    "once more": (f"form\tpos\n{ROWS}form\tpos\n", READ, "line 5: 'form.tpos' is"),
    "many": (
        "id form lemma UPOS\n" + 3 * "x w y T\n",
        ([["w"] * 3], [["T"] * 3]),
        "line 1: 'id fo",
    ),
    "CoNLL-U": ("ID\tFORM\tLEMMA\tUPOS\n" + ONE, ([["a"]], [["_"]]), "line 1: 'ID.tFORM"),
    "a word in quotes": ('"b"\tX\n', ([['"b"']], [["X"]]), "line 1: word '\"b\"' is quoted"),
    "quoted quotes": ('""""\tX\n', ([['""""']], [["X"]]), 'line 1: word \'""""\' is quoted'),
    "a tag in quotes": ('b\t"X"\n', ([["b"]], [['"X"']]), "line 1: tag '\"X\"' is quoted"),
}
for unseen in "\ufeff\u200b\xa0\u3000\u2028\x85\x1c\x0c\0\xad\u200f":
    for word in (f"{unseen}b", f"b{unseen}", unseen):
        SAID[f"word {word!a}"] = (
            f"a X\n\n{word} X\n",
            ([["a"], [word]], [["X"], ["X"]]),
            "line 3: w",
        )
    SAID[f"tag {unseen!a}"] = (f"a X{unseen}\n", ([["a"]], [[f"X{unseen}"]]), "line 1: tag 'X")


@pytest.mark.parametrize("name", SAID)
def test_what_looks_odd_is_said_with_its_line(tmp_path, capsys, name):
    text, expected, said = SAID[name]
    path = write(tmp_path, text)
    assert read_words_tags(path, *((1, -1) if text.startswith(("id", "ID")) else ())) == expected
    assert re.search(f"^{path}, {said}", "".join(capsys.readouterr()), re.MULTILINE)


@pytest.mark.parametrize(
    "text",
    [
        '"\tX\nand\tX\n"\tX\n',  # quotation marks
        '\'b\'\tX\n""\tX\n5"\tX\n"b\tX\n',
        "cafe\u0301 X\ncaf\xe9 X\nno\xa0break X\n\u0645\u06cc\u200c\u0631 X\n",  # as they are
        "Text NN\nword NN\nid pos\nForm NN\n",  # words like names of columns
        "a\tX\t\nb\tX\n",
        "a\tX\n\t\n\n \n \t \n\nb\tX\n",
        "-docstart- O\n\na O\n",
    ],
)
def test_what_is_well_is_read_without_a_word(tmp_path, capsys, text):
    words, _ = read_words_tags(write(tmp_path, text))
    lines = [line for line in text.split("\n") if line.strip() and "docstart" not in line]
    assert [word for some in words for word in some] == [re.split("[\t ]", x)[0] for x in lines]
    assert "".join(capsys.readouterr()) == ""


@pytest.mark.parametrize(
    "text, columns, message",
    [
        ("a O\rb O\r\rc O\r", (0, -1), "line 1: expected lines that end in LF or CRLF, found CR"),
        ("# x = y\ra\tO\rb\tO\r", (0, -1), "line 1: expected lines .* found CR"),
        ("a O\r\nb O\rc O\r\n", (0, -1), "line 2: expected lines .* found CR"),
        (f"{ONE}{ONE}".replace("\n", "\r"), (1, 2), "line 1: expected lines .* found CR"),
        (ONE + ONE.replace("a", ""), (1, 2), "line 2: expected a word and its tag, found an empty"),
        (ONE + ONE.replace("X", ""), (1, 2), "line 2: expected a word and its tag, found an empty"),
        ("a\tO\nb\t\n", (0, -1), "line 2: expected 2 columns separated by tabs"),
        ("a O\nb \n", (0, -1), "line 2: expected 2 columns"),
        ("a\tO\n\tO\n", (0, -1), "line 2: expected 2 columns separated by tabs"),
        ("a O\n\x0c\nb O\n", (0, -1), "line 2: expected 2 columns"),
        ("New York;X\nthe city;O\nno way;O\n", (0, -1), "found semicolons: 'New York;X'"),
        (3 * '{"words": ["a"], "tags": ["O"]}\n', (0, -1), "found JSON: "),
        (3 * "Ann is old\tB-PER O O\n", (0, -1), "found sentences: 'Ann is old B-PER O O'"),
        ("B-LOC Paris\nO is\nO old\n", (0, -1), "column 0 holds tags, not words: .*_column = 1"),
        ("is O X\nold O X\nAnn B-PER X\n", (1, -1), "column 1 holds tags, not words"),
        ("1 a X\n1 b X\n1 c X\n\n2 d X\n2 e X\n", (0, -1), "column 0 is the same .*_column = 1"),
        ("0 a X\n1 b X\n\n2 c X\n3 d X\n", (0, -1), "column 0 numbers the words .*_column = 1"),
        ("0 a X\n1 b X\n\n3 c X\n4 d X\n", (0, -1), "column 0 numbers the words .*_column = 1"),
    ],
)
def test_what_is_no_column_file_is_one_sentence(tmp_path, text, columns, message):
    with pytest.raises(InputError, match=message) as raised:
        read_words_tags(write(tmp_path, text), *columns)
    assert str(raised.value).startswith(str(tmp_path)) and "\n" not in str(raised.value)


# Progress bars -----------------------------------------------------------------------------------


@pytest.fixture
def bars(monkeypatch):
    """The bars that are made, as on a terminal."""
    made = []

    class Bar(tqdm):
        def __init__(self, **keywords):
            super().__init__(**keywords)
            made.append(self)

    monkeypatch.setattr("machinery.text.tqdm", Bar)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    return made


def test_a_bar_counts_bytes(bars, tmp_path):
    path = write(tmp_path, "naïve O\n" * 3500)
    with open_with_bar(path, "corpus") as (file, bar):
        assert sum(1 for _ in decoded_lines(file, "corpus", bar)) == 3500
        assert bars == [bar] and (bar.n, bar.total) == (3000 * 9, 3500 * 9)
    read_words_tags(path)
    assert bars[1].n == 3000 * 9
    with open_with_bar(path, "corpus", hidden=True) as (_, bar):
        assert bar.disable


@pytest.mark.parametrize("name", ["v.gz", "v.zip"])
def test_the_bar_of_a_packed_file_counts_its_bytes(bars, tmp_path, name):
    content = "".join(f"word{i} {i * 7919 % 100_003}\n" for i in range(30_000)).encode()
    if name == "v.gz":
        (tmp_path / name).write_bytes(gzip.compress(content))
    else:
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("other.md", random.Random(1).randbytes(100_000))
            archive.writestr("v.txt", content)
    assert sum(1 for _ in vector_lines(str(tmp_path / name))) == 30_000
    (bar,) = bars
    assert bar.total < len(content) / 2 and 0.8 * bar.total < bar.n <= bar.total


def test_real_data_counts(real_data):
    expected = {  # sentences in train, dev and test, as published
        "wnut17": (3394, 1009, 1287),
        "ncbi_disease": (5424, 923, 940),
        "ud_english_ewt": (12544, 2001, 2077),
    }
    for folder, counts in expected.items():
        for split, count in zip(("train", "dev", "test"), counts, strict=True):
            path = real_data / folder / f"{split}.txt"
            words, tags = read_words_tags(path)
            assert len(words) == count
            lines = path.read_text(encoding="utf-8").split("\n")
            assert sum(map(len, words)) == sum(1 for line in lines if line.strip())
            assert list(map(len, words)) == list(map(len, tags))
