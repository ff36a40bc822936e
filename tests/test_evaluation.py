"""Where a tagger goes wrong: mistakes counted, types confused, sentences listed."""

import re

import pytest

from inference import Tagger
from machinery.checkpoints import load_checkpoint, save_checkpoint
from machinery.errors import visible
from machinery.evaluation import (
    aligned_spans,
    compare,
    compare_all,
    print_mistakes,
    write_tables,
)
from machinery.spans import convert_scheme, spans
from utils import read_words_tags

GOLD = "B-PER I-PER O B-LOC O B-ORG I-ORG O O O B-MISC I-MISC O B-PER".split()
FOUND = "B-PER I-PER O O O B-LOC I-LOC O B-ORG O B-MISC O O O".split()
#        right         missed  wrong type   invented  boundaries  missed


def test_each_span_is_paired_once():
    gold = [("A", 0, 2), ("A", 2, 3), ("B", 4, 8), ("C", 9, 10)]
    found = [("B", 0, 2), ("A", 3, 5), ("B", 5, 6), ("B", 6, 7), ("C", 10, 11)]
    assert set(aligned_spans(gold, found)) == {
        (("A", 0, 2), ("B", 0, 2)),  # the same boundaries
        (("B", 4, 8), ("B", 5, 6)),  # the same type, although A begins before
        (("A", 2, 3), None),
        (("C", 9, 10), None),  # they touch, no more
        (None, ("A", 3, 5)),
        (None, ("B", 6, 7)),
        (None, ("C", 10, 11)),
    }


def test_what_went_wrong_in_words():
    assert [(what, (gold or found)[1]) for what, gold, found in compare(GOLD, FOUND, True)] == [
        ("", 0),
        ("wrong type", 5),
        ("wrong boundaries", 10),
        ("missed", 3),
        ("missed", 13),
        ("invented", 8),
    ]
    pieces = compare(["B-A", "I-A"], ["O", "B-B"], True)
    assert [what for what, *_ in pieces] == ["wrong type and boundaries"]
    assert [what for what, *_ in compare(["N", "V"], ["N", "N"], False)] == ["", "wrong tag"]


def test_the_table_of_types(capsys):
    print_mistakes(compare_all([GOLD, ["B-LOC"]], [FOUND, ["B-LOC"]]))
    assert capsys.readouterr().out == (
        "Mistakes: 2 missed, 1 wrong type, 1 wrong boundaries, 1 invented\n"
        "Gold by row, found by column:\n"
        "                 LOC    MISC     ORG     PER  missed\n"
        "    LOC            1       0       0       0       1\n"
        "    MISC           0       1       0       0       0\n"
        "    ORG            1       0       0       0       0\n"
        "    PER            0       0       0       1       1\n"
        "    invented       0       0       1       0       0\n"
    )
    for tag in ("B-LOC", "O", "NN"):
        print_mistakes(compare_all([[tag]], [[tag]]))
        assert capsys.readouterr().out == "Mistakes: none\n"


def test_the_table_of_tags_shows_the_most_confused(capsys):
    gold = [f"T{i % 20}" for i in range(60)]
    found = ["T3" if tag == "T7" else "T1" if tag in ("T12", "T19") else tag for tag in gold]
    print_mistakes(compare_all([gold], [found]))
    first, second, heads, *rows = capsys.readouterr().out.splitlines()
    assert first == "Mistakes: 9 wrong tag"
    assert second == "Gold by row, found by column, the 12 most confused of 20:"
    assert {"T1", "T3", "T7", "T12", "T19"} < set(heads.split()) and len(rows) == 12
    of_t7 = dict(zip(heads.split(), rows[heads.split().index("T7")].split()[1:], strict=True))
    assert of_t7["T3"] == "3" and of_t7["T7"] == "0"


@pytest.fixture
def evaluate(run_inference):
    """Runs inference.py --evaluate, where nothing is wrong; :return: what it printed"""

    def run(checkpoint, *arguments):
        status, errors, output = run_inference("--checkpoint", checkpoint, "--evaluate", *arguments)
        assert (status, errors) == (0, [])
        return output

    return run


def blocks(path):
    """The sentences of a file of errors: (number, least probability, rows)."""
    found = []
    for block in path.read_text(encoding="utf-8").split("\n\n")[:-1]:
        head, *rows = block.splitlines()
        number, least = re.search(r"sentence (\d+), least probable tag ([\d.]+)$", head).groups()
        found.append((int(number), float(least), [row.split(maxsplit=4) for row in rows]))
    return found


def test_a_mistake_is_marked_where_the_gold_span_begins(tmp_path):
    gold, found, path = [["O", "B-PER"]], [["B-PER", "I-PER"]], tmp_path / "errors.txt"
    wrong = [(0.5, 0, [(tag, 0.5) for tag in found[0]])]
    write_tables(path, "file", [["Li", "Ming"]], gold, compare_all(gold, found), wrong)
    ((_, _, rows),) = blocks(path)
    assert [len(row) for row in rows] == [4, 5] and rows[1][4] == "wrong boundaries PER"


def test_training_and_evaluation_print_one_table(
    tiny_train, monkeypatch, tiny_corpus, capsys, evaluate
):
    monkeypatch.setattr(tiny_train, "test_file", str(tiny_corpus))
    tiny_train.main()
    table = capsys.readouterr().out.split("The model of epoch")[1]
    output = evaluate(tiny_train.best_file, tiny_corpus)
    report, _, _ = output.partition("Mistakes: ")
    read, begins, report = report.split("\n", 2)
    assert "tags taken for IOB2" in read and begins.startswith("    begins: ")
    assert report.startswith(f"{tiny_corpus}: accuracy ") and "PER" in report
    assert report in table


def test_errors_are_listed_the_least_sure_first(evaluate, tiny_checkpoint, tiny_corpus, tmp_path):
    words, gold = read_words_tags(tiny_corpus)
    tagger, path = Tagger(tiny_checkpoint), tmp_path / "errors.txt"
    found = tagger.tag_with_confidence(words)
    wrong = {
        i for i, pairs in enumerate(found) if spans(gold[i]) != spans([tag for tag, _ in pairs])
    }
    output = evaluate(tiny_checkpoint, tiny_corpus, "--errors", path)
    assert output.endswith(f"{path}: {len(wrong)} of 4 sentences, those with mistakes\n")
    listed, text = blocks(path), path.read_text()
    assert {number - 1 for number, _, _ in listed} == wrong and len(listed) == len(wrong)
    assert [least for _, least, _ in listed] == sorted(least for _, least, _ in listed)
    for number, least, rows in listed:
        i = number - 1
        expected = [
            [word, tag, found_tag, f"{probability:.4f}"]
            for word, tag, (found_tag, probability) in zip(words[i], gold[i], found[i], strict=True)
        ]
        assert [row[:4] for row in rows] == expected
        assert least == min(float(row[3]) for row in rows)
        marks = {row: mark for row, (*_, mark) in enumerate(rows) if len(rows[row]) == 5}
        for what, of_gold, of_found in compare(gold[i], [tag for tag, _ in found[i]], True):
            first = (of_gold or of_found)[1]
            assert (what in marks.get(first, "")) and (of_gold or of_found)[0] in marks[first]
        assert len(marks) <= len(spans(gold[i])) + len(spans([tag for tag, _ in found[i]]))
    assert re.search(r"(?m)^Jones +B-PER +\S+ +0\.\d+  (.*; )?(missed PER|wrong .* PER)", text)


def test_tags_that_mark_no_spans(tiny_train, monkeypatch, tiny_corpus, evaluate, tmp_path):
    text = (
        tiny_corpus.read_text().replace("B-", "").replace("I-", "").replace("\n\n", "\n. \x1b\n\n")
    )
    tiny_corpus.write_text(text)
    monkeypatch.setattr(tiny_train, "epochs", 1)
    tiny_train.main()
    words, gold = read_words_tags(tiny_corpus)
    path = tmp_path / "errors.txt"
    output = evaluate(tiny_train.best_file, tiny_corpus, "--errors", path)
    found = Tagger(tiny_train.best_file).tag(words)
    wrong = [
        (tag, other)
        for tags, others in zip(gold, found, strict=True)
        for tag, other in zip(tags, others, strict=True)
        if tag != other
    ]
    assert wrong and f"Mistakes: {len(wrong)} wrong tag\n" in output and "missed" not in output
    marked = [row for _, _, rows in blocks(path) for row in rows if len(row) > 4]
    assert sorted((gold, found) for _, gold, found, *_ in marked) == sorted(
        (visible(gold), visible(found)) for gold, found in wrong
    )
    assert all(row[4] == f"wrong tag {row[2]} for {row[1]}" for row in marked)


def test_columns_and_scheme_are_those_of_training(
    evaluate, tiny_checkpoint, tiny_corpus, tmp_path, run_inference
):
    """Unless others are named."""
    words, gold = read_words_tags(tiny_corpus)
    path, other = tmp_path / "columns.txt", tmp_path / "other.pt"
    for i, (sentence, tags) in enumerate(zip(words, gold, strict=True)):
        rows = (f"{tag} {word} x" for word, tag in zip(sentence, tags, strict=True))
        with open(path, "a") as file:
            file.write("\n" * (i > 0) + "".join(f"{row}\n" for row in rows))
    expected = evaluate(tiny_checkpoint, tiny_corpus).replace(str(tiny_corpus), str(path))
    columns = "--word-column", 1, "--tag-column", 0
    assert evaluate(tiny_checkpoint, path, *columns) == expected
    state = load_checkpoint(tiny_checkpoint)
    state["settings"].update(word_column=1, tag_column=0)
    save_checkpoint(str(other), state)
    assert evaluate(other, path) == expected
    first = "--word-column", 0, "--tag-column", 1
    assert evaluate(other, tiny_corpus, *first) == evaluate(tiny_checkpoint, tiny_corpus)
    state["settings"]["tag_scheme"] = "BIOES"
    save_checkpoint(str(other), state)
    output = evaluate(other, path, "--errors", tmp_path / "errors.txt")
    golds = [row[1] for _, _, rows in blocks(tmp_path / "errors.txt") for row in rows]
    assert "S-LOC" in golds and "E-LOC" in golds and output != expected
    assert set(golds) <= {tag for tags in convert_scheme(gold, "BIOES") for tag in tags}
