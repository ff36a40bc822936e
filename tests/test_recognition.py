"""What files and tags are taken for, and what they are refused as."""

import collections
import types

import pytest

from machinery.entities import mark_spans
from machinery.errors import InputError
from machinery.evaluation import compare_all
from machinery.recognition import print_reading, recognise_scheme, same_scheme
from machinery.spans import (
    are_spans,
    convert_scheme,
    count_tags,
    find_criterion,
    may_follow,
    scores,
    spans,
)
from machinery.vectors import vector_lines
from utils import read_words_tags

COMMENTED = {
    "CoNLL-U Plus": "# global.columns = FORM UPOS CONLL:NER\n",
    "UNER": "# sent_id = a-1\n# text = ann smiles\n# newdoc id = a\n# newpar\n",
    "equally many columns": "# text = x\n# 1 a\n",
    "GermEval": "#\thttp://example.org\t[2010-01-01]\textra\tmore\n",
    "MultiCoNER": "# id a1\tdomain=x\n",
    "CoNLL-2012": "#begin document (a); part 000\n",
    "WebAnno": "#FORMAT=WebAnno TSV 3.2\n\n#Text=ann smiles\n",
    "JNLPBA": "###MEDLINE:95369245\n\n",
    "KLUE": "## klue-1\tann smiles here\n",
}


def column_file(folder, text):
    """The path of a file with this text."""
    path = folder / "corpus.txt"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("comments", COMMENTED.values(), ids=COMMENTED)
@pytest.mark.parametrize("separator", ["\t", " "])
@pytest.mark.parametrize("middle", [["_"], ["_", "x"]])
def test_comments_are_no_words(tmp_path, comments, separator, middle):
    rows = [["ann", *middle, "B-PER"], ["#", *middle, "O"]]
    text = "\n".join(separator.join(row) for row in rows)
    path = column_file(tmp_path, 2 * f"{comments}{text}\n\n")
    assert read_words_tags(path) == (2 * [["ann", "#"]], 2 * [["B-PER", "O"]])


@pytest.mark.parametrize("row", ["# O", "#hashtag O", "#\tO", "#=1 O", "# X", "# x O", "# # O"])
def test_hash_with_a_tag_is_a_word(tmp_path, row):
    path = column_file(tmp_path, f"{row}\n{row.replace('#', 'ann')}\n\n{row}\n")
    assert [len(sentence) for sentence in read_words_tags(path)[0]] == [2, 1]


def test_words_with_numbers_have_comments_and_ranges_in_any_columns(tmp_path):
    rows = ["# x O O", "1\tI\tO\tO", "2-3\tcan't\tO\tO", "2\tca\tO\tO", "3\tn't\tO\tO"]
    path = column_file(tmp_path, 2 * ("\n".join([*rows, "3.1\tdo\tO\tO", "4\t#\tO\tO"]) + "\n\n"))
    assert read_words_tags(path, 1)[0] == 2 * [["I", "ca", "n't", "#"]]
    with pytest.raises(InputError, match="expected word_column = 1"):
        read_words_tags(path, 0)


def test_blanks_beside_a_tab_belong_to_no_cell(tmp_path):
    path = column_file(tmp_path, "Paris \tB-LOC\nNew York\t O \n is\tO\t\n")
    assert read_words_tags(path) == ([["Paris", "New York", "is"]], [["B-LOC", "O", "O"]])


@pytest.mark.parametrize("form", ["{}", "t{}", "s1-{}", "1-{}", "doc_{}"])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("more, column", [("", 1), ("0-5 ", 2)])
def test_numbers_of_words_are_not_words(tmp_path, form, first, more, column):
    one, two = form.format(first), form.format(first + 1)
    text = f"{one} {more}Ann PER\n{two} {more}smiles O\n\n{one} {more}Yes O\n"
    path = column_file(tmp_path, text)
    with pytest.raises(InputError, match=f"expected word_column = {column}, found word_column = 0"):
        read_words_tags(path)
    assert read_words_tags(path, column)[0] == [["Ann", "smiles"], ["Yes"]]


@pytest.mark.parametrize("text", ["1 CD O\n2 CD O\n\nAnn NN O\n", "1 O\n2 O\n", "7 CD O\n8 CD O\n"])
def test_words_that_are_numbers_stay_words(tmp_path, text):
    assert read_words_tags(column_file(tmp_path, text))[0][0][0] in "17"


def test_commas_are_no_separators(tmp_path):
    path = column_file(tmp_path, "New York,B-LOC\nthe city,O\nno way,O\n")
    with pytest.raises(InputError, match="tabs or spaces, found commas: 'New York,B-LOC'"):
        read_words_tags(path)


LONG, SHORT = ["B-PER", "I-PER", "E-PER", "O"], ["S-PER", "O"]
BIOES = 9 * [LONG, SHORT]
BMES = [[t.replace("I-", "M-") for t in s] for s in BIOES]
BILOU = [[t.replace("E-", "L-").replace("S-", "U-") for t in s] for s in BIOES]
IOB2 = 9 * [["B-PER", "I-PER", "I-PER", "O"], ["B-PER", "O"]]


def test_schemes_that_hardly_a_span_breaks():
    for tags, scheme in ((BIOES, "BIOES"), (BMES, "BIOES"), (BILOU, "BIOES"), (IOB2, "IOB2")):
        assert recognise_scheme(tags) == (scheme, f"{scheme}, 0 of 18 spans break it")
        assert list(map(spans, tags)) == list(map(spans, IOB2))
    slip = [["O", "I-PER"]]
    assert recognise_scheme(100 * IOB2 + slip) == ("IOB2", "IOB2, 1 of 1,801 spans break it")


@pytest.mark.parametrize("tags", [["B-A", "O", "B-A", "E-A"], ["E-A", "O", "I-A", "E-A"]])
def test_no_scheme_is_forced_on_others(tags):
    scheme, why = recognise_scheme(9 * [tags])
    assert scheme is None and "no constraints" in why


def test_no_tag_of_the_data_becomes_unreachable():
    assert recognise_scheme(100 * IOB2 + [["O", "I-LOC"]])[0] is None


@pytest.mark.parametrize("gold", [BIOES, BMES, BILOU, IOB2])
@pytest.mark.parametrize("model", [BIOES, BMES, BILOU, IOB2])
def test_gold_is_written_as_the_model_writes(gold, model):
    names = {tag for sentence in model for tag in sentence}
    assert same_scheme(gold, recognise_scheme(model)[0], names) == model


@pytest.mark.parametrize("tag", ["PER-B", "b-per", "B_PER", "B.PER", "per_b"])
def test_tags_that_look_like_spans_are_named(tag):
    scheme, why = recognise_scheme([[tag, "O"]])
    assert scheme is None and f"expected tags such as B-PER, found '{tag}'" in why
    assert "found" not in recognise_scheme([["NN", "PRP$", "-LRB-", "O"]])[1]


@pytest.mark.parametrize("header", ["", "3 2\n"])
@pytest.mark.parametrize("end", ["", "\n", "  \n\n"])
def test_vectors_of_words_that_end_in_digits_and_blank_lines(tmp_path, header, end):
    path = column_file(tmp_path, f"{header}a 0.1 0.2\nR$ 000 0.3 0.4\n. 000 00 0.5 0.6\n{end}")
    assert [(w, n) for _, w, n in vector_lines(str(path))] == [
        ("a", "0.1 0.2"),
        ("R$ 000", "0.3 0.4"),
        (". 000 00", "0.5 0.6"),
    ]


def test_what_was_read_is_printed(capsys):
    print_reading("corpus", [["a", "\x1b"], ["b"]], [["B-A", "O"], ["O"]])
    first, second = capsys.readouterr().out.splitlines()
    assert first == "corpus: 2 sentences, 3 words, tags taken for IOB2, 0 of 1 spans break it"
    assert second.startswith("    begins: a/B-A") and "\x1b" not in second
    print_reading("corpus", [300 * ["word"]], [300 * ["O"]])
    print_reading("corpus", [["a" * 40_000, "b"]], [["O", "O"]])
    assert all(len(line) < 100 for line in capsys.readouterr().out.splitlines())


ODD = ["0", "o", "tag", "NER", "-", "_", "\xa0", "B-", "I PER", ".", "b-PER", "O-PER", "-LRB-"]


@pytest.mark.parametrize("odd", ODD)
def test_odd_tags_are_named_and_change_nothing_else(tmp_path, capsys, odd):
    rows = "".join(f"w\t{tag}\n" for sentence in IOB2 for tag in [*sentence, ""])
    path = column_file(tmp_path, rows.replace("w\t\n", "\n") + f"\nw\tO\nw\t{odd}\n")
    words, tags = read_words_tags(path)
    lines = capsys.readouterr().out.splitlines()
    assert [f"line 75: tag {odd!r} is not" in line and "as B-PER" in line for line in lines] == [1]
    assert tags == [*IOB2, ["O", odd]]
    assert "entity_f1" in scores([["B-PER", odd]], [[odd, odd]])  # whatever is predicted
    assert recognise_scheme(tags)[0] == "IOB2"
    assert find_criterion("f1", count_tags(tags)) == "entity_f1"
    assert find_criterion("entity_f1", count_tags(tags)) == "entity_f1"
    assert convert_scheme(tags, "BIOES") == [*BIOES, ["O", odd]]
    assert convert_scheme([*BMES, ["O", odd]], "IOB2") == tags
    assert same_scheme(tags, "BIOES", {tag for s in BMES for tag in s}) == [*BMES, ["O", odd]]
    result, found = scores(tags, [*IOB2, ["O", "O"]]), 18 + len(spans(["O", odd]))
    assert result["recall"] == 18 / found and result["precision"] == 1
    assert result["accuracy"] == 55 / 56
    assert sum(map(len, compare_all(tags, [*IOB2, ["O", "O"]]))) == found
    # A model whose training data have it may write it wherever it may write O.
    for before in ("O", "B-PER", "I-PER", odd):
        assert may_follow(before, odd, "IOB2") and may_follow(odd, "B-PER", "IOB2")
    tagger = types.SimpleNamespace(scheme="IOB2", tag_names=dict(enumerate(count_tags(tags))))
    assert mark_spans(tagger)


def test_odd_tags_of_a_file_of_three_words(tmp_path, capsys):
    path = column_file(tmp_path, "word\tx\nParis\tB-LOC\nis\tO\n")
    _, tags = read_words_tags(path)
    assert "corpus.txt, line 1: tag 'x' is not of the form" in capsys.readouterr().out
    assert scores(tags, [["O", "B-LOC", "O"]])["entity_f1"] == 1
    rows = "".join(f"w x {tag}\n" for tag in [*700 * ["B"], "a", "b", "c", "f", "e", "d"])
    read_words_tags(column_file(tmp_path, f"-DOCSTART- x O\n# sent_id = 1\n{rows}\n\n{rows}"))
    lines = capsys.readouterr().out.splitlines()
    assert "line 703: tag 'a'" in lines[0] and "line 707: tag 'e'" in lines[4]
    assert len(lines) == 6 and lines[5].endswith(": 1 more such tags")


@pytest.mark.parametrize(
    "counts",
    [
        {"NN": 900, "VB": 90, "O": 9, "B": 9, "I": 9},
        {"NN": 900, "O": 9, "B": 9, "I-something": 90},
        {"I": 50, "M": 50, "N": 50, "O": 1},  # parts of speech of one letter
        {"NN": 2, "DT": 1, "I-something": 1, "B": 1},
        {"B-PER": 90, "I-PER": 9, "LOC": 9},
        {"B": 3, "O": 9, "0": 1},
        {"0": 1, "O": 900},
    ],
)
def test_odd_tags_that_are_not_rare(counts):
    assert not are_spans(collections.Counter(counts))
    tags = [[tag] for tag, count in counts.items() for _ in range(count)]
    assert recognise_scheme(tags)[0] is None and "entity_f1" not in scores(tags, tags)


IOB1 = 9 * [["I-PER", "I-PER", "B-PER", "O", "I-LOC", "I-PER"], ["O", "I-PER", "O"]]


@pytest.mark.parametrize("scheme", ["IOB2", "BIOES"])
def test_gold_for_a_model_of_iob1(scheme):
    assert recognise_scheme(IOB1)[0] == "IOB1"
    gold = convert_scheme(IOB1, scheme)
    assert gold != IOB1 and same_scheme(gold, "IOB1", count_tags(IOB1)) == IOB1
    assert same_scheme(IOB1, scheme, count_tags(gold)) == gold
