"""Tagging in bulk: columns in and out, streams, long sentences, other processes."""

import functools
import os
import pickle
import random
import re
import sys
import threading
import types

import pytest
import torch
from parallel import CONTEXT

import datasets
import inference
from inference import Tagger
from machinery.checkpoints import load_checkpoint, save_checkpoint
from machinery.columns import column_sentences
from machinery.command import write_sentences
from machinery.errors import END, START
from machinery.spans import scores
from machinery.text import decoded_lines, split_at_blanks, windows
from machinery.threads import in_threads
from utils import read_words_tags


@pytest.fixture(scope="module")
def tagger(tiny_checkpoint):
    return Tagger(tiny_checkpoint)


@pytest.fixture
def main(run_inference, tiny_checkpoint):
    """Runs inference.py with the tiny checkpoint; :return: status, lines on stderr, output"""
    return functools.partial(run_inference, "--checkpoint", tiny_checkpoint)


@pytest.fixture
def command(main):
    """Runs inference.py on a text from stdin, where nothing is wrong; :return: what it printed"""

    def run(text, *arguments):
        status, errors, output = main(*arguments, stdin=text.encode())
        assert status == 0 and errors == []
        return output.encode()

    return run


# Sentences in, columns out -----------------------------------------------------------------------

TEXT = [
    "Dunston checks in at the Majestic Hotel .",
    "",
    "a\u2028b nul\0 escape\x1b[31m next\x9bline \ufeff # 1 ... \u05e9\u05dc\u05d5\u05dd",
    "1\t2\u00a03",
    "-DOCSTART- \u3000 -DOCSTART-x",
    "-DOCSTART-",
    "Paris",
]


def test_redirected_output_is_read_again(command, tagger, tmp_path):
    sentences = [split_at_blanks(line) for line in TEXT]
    expected = tagger.tag(sentences)
    path = tmp_path / "corpus.conll"
    path.write_bytes(command("\r\n".join(TEXT), "--tokenized"))
    assert read_words_tags(path) == (list(filter(None, sentences)), list(filter(None, expected)))
    assert path.read_bytes().count(b"\n\n") == len(TEXT) - 1  # the empty one's is the third \n
    assert path.read_bytes().startswith(b"Dunston " + expected[0][0].encode() + b"\nchecks ")


def test_redirected_probabilities_are_columns(command, tagger, tmp_path):
    sentences = [split_at_blanks(line) for line in TEXT if line]
    path = tmp_path / "corpus.conll"
    path.write_bytes(command("\n".join(TEXT), "--tokenized", "--confidence"))
    words, tags = read_words_tags(path, 0, 1)
    assert words == sentences and tags == tagger.tag(sentences)
    found = read_words_tags(path, 0, 2)[1]
    for row, pairs in zip(found, tagger.tag_with_confidence(sentences), strict=True):
        assert row == [f"{probability:.4f}" for _, probability in pairs]


def test_redirected_sequences_are_columns(command, tagger, tmp_path):
    sentences = [split_at_blanks(line) for line in TEXT if line]
    path = tmp_path / "corpus.conll"
    path.write_bytes(command("\n".join(TEXT), "--tokenized", "--nbest", "9"))
    paths = tagger.nbest(sentences, 9)
    assert len(paths[-1]) < 9 < len(tagger.tag_names) ** 2  # one word has fewer ways
    for rank in range(9):
        words, tags = read_words_tags(path, 0, 1 + 2 * rank)
        probabilities = read_words_tags(path, 0, 2 + 2 * rank)[1]
        assert words == sentences
        for n, length in enumerate(map(len, sentences)):
            best, probability = paths[n][rank] if rank < len(paths[n]) else (["_"] * length, 0)
            assert tags[n] == best and probabilities[n] == [f"{probability:.4f}"] * length


def with_spaces(tagger):
    """The tagger, its tags renamed."""
    word_map, char_map, tag_map = tagger.maps
    tag_map = {tag if tag in (START, END) else f"{tag} x": i for tag, i in tag_map.items()}
    tagger.maps = word_map, char_map, tag_map
    tagger.tag_names = {index: tag for tag, index in tag_map.items()}
    return tagger


def test_tabs_separate_tags_with_spaces(capsys, tagger, tmp_path):
    spaced = with_spaces(pickle.loads(pickle.dumps(tagger)))
    options = types.SimpleNamespace(confidence=False, nbest=None)
    write_sentences(spaced, [["Paris", "is"], ["old"]], options)
    path = tmp_path / "corpus.conll"
    path.write_text(capsys.readouterr().out)
    expected = [[f"{tag} x" for tag in tags] for tags in tagger.tag([["Paris", "is"], ["old"]])]
    assert read_words_tags(path) == ([["Paris", "is"], ["old"]], expected)


# Columns in and out ------------------------------------------------------------------------------

CONLL2003 = (
    "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n. . O O\n\n"
    "-DOCSTART- -X- O O\n\nParis NNP B-NP B-LOC\n\n\n# is O O\n"
)
CONLLU = (
    "# sent_id = 1\n# text = I can't.\n"
    "1\tI\tI\tPRON\tPRP\t_\t2\tnsubj\t_\t_\n"
    "2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "2\tca\tcan\tAUX\tMD\t_\t4\taux\t_\t_\n"
    "3\tn't\tnot\tPART\tRB\t_\t4\tadvmod\t_\t_\n"
    "3.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_\n"
    "4\tNew York\tNew York\tPROPN\tNNP\t_\t0\troot\t_\t_\n\n"
)
LAYOUTS = {  # text, the word column, the gold column
    "CoNLL-2003": (CONLL2003, 0, -1),
    "tabs": (CONLL2003.replace(" ", "\t"), 0, -1),
    "CRLF": ("\ufeff" + CONLL2003.replace("\n", "\r\n"), 0, -1),
    "runs of spaces": (CONLL2003.replace(" ", "   "), 0, -1),
    "blanks at the end": (CONLL2003.replace("-ORG\n", "-ORG \t\n").rstrip("\n"), 0, -1),
    "tag first": ("O a\nB-LOC Paris\n\nO b\n", 1, 0),
    "words alone": ("a\nParis\n\nb", 0, None),
    "CoNLL-U": (CONLLU + CONLLU[CONLLU.index("1\t") :], 1, 3),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_column_is_added_to_every_line(main, tagger, tmp_path, layout):
    text, word_column, gold_column = LAYOUTS[layout]
    path, tagged = tmp_path / "in", tmp_path / "out"
    path.write_bytes(text.encode())
    status, errors, output = main("--conll", path, "--word-column", word_column)
    assert status == 0 and errors == []
    tagged.write_bytes(output.encode())
    assert "".join(map(without_last_column, output.splitlines(keepends=True))) == text

    rows = [line.strip() for line in output.removeprefix("\ufeff").splitlines() if line.strip()]
    if layout == "CoNLL-U":
        rows = [line for line in rows if not line.startswith("#")]
    widths = {len(re.split("\t| +" if layout != "CoNLL-U" else "\t", row)) for row in rows}
    assert len(widths) == 1  # what conlleval asks for

    words, tags = read_words_tags(tagged, word_column, -1)
    assert tags == tagger.tag(words)
    if gold_column is not None:
        gold_column -= gold_column < 0  # one column more follows it
        again = read_words_tags(tagged, word_column, gold_column)
        assert again == read_words_tags(path, *LAYOUTS[layout][1:])


def without_last_column(line):
    """A line that --conll wrote, as it was."""
    if not line.strip() or line.startswith(("# sent_id", "# text")):
        return line
    return re.sub(r"[ \t][^ \t\r\n]+(?=[ \t]*\r*\n?$)", "", line)


def test_random_files_come_back_with_a_column_more(main, tmp_path):
    """Cutting it off gives the same bytes: BOM, blanks around words, ends of lines, all."""
    generator, path = random.Random(1), tmp_path / "in"
    blanks = ["", "", " ", "   ", "\t", " \t "]
    for number in range(40):
        separator = generator.choice([" ", "  ", "\t"])
        lines = ["-DOCSTART- X O"] * (number % 2)
        for _ in range(generator.randrange(12)):
            words = ["Paris", "#", "\u00a0", "a\rb", "\u2028", "-DOCSTART-x", " -DOCSTART-"]
            line = separator.join([generator.choice(words), "Y", "O"])
            line = generator.choice([line, line, "-DOCSTART- X O", ""])
            before = generator.choice(blanks) * (not line.startswith("-DOCSTART- "))
            lines.append(before + line + generator.choice(blanks))
        ends = [generator.choice(["\n", "\r\n", "\r\r\n"]) for _ in lines]
        text = "\ufeff" * (number % 3 == 0) + "".join(map("".join, zip(lines, ends, strict=True)))
        text = text.removesuffix("\n") if number % 5 == 0 else text
        path.write_bytes(text.encode())
        status, errors, output = main("--conll", path)
        assert (status, errors) == (0, []), text
        assert "".join(map(without_last_column, re.split("(?<=\n)", output))) == text
        (tmp_path / "out").write_bytes(output.encode())
        if "Y" in text:
            again = read_words_tags(tmp_path / "out", 0, 2)
            assert again == read_words_tags(path, 0, 2)


def test_what_is_no_word_gets_its_column_too(main, tmp_path):
    path = tmp_path / "in"
    path.write_text(CONLL2003)
    output = main("--conll", path)[2]
    assert output.startswith("-DOCSTART- -X- -X- O O\n\nEU NNP B-NP B-ORG ")
    path.write_text(CONLLU)
    output = main("--conll", path, "--word-column", "1", "--nbest", "2")[2]
    assert "\n2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\t_\t_\t_\t_\t_\n" in output
    assert output.startswith("# sent_id = 1\n# text = I can't.\n1\tI\t") and output[-2:] == "\n\n"


@pytest.mark.parametrize("options", [[], ["--confidence"], ["--nbest", "2"]])
def test_tagged_conllu_is_still_conllu(main, tagger, tmp_path, options):
    path, again = tmp_path / "in", tmp_path / "again"
    path.write_text(CONLLU)
    again.write_text(main("--conll", path, "--word-column", "1", *options)[2])
    words, tags = read_words_tags(again, 1, 10)
    assert words == [["I", "ca", "n't", "New York"]] and tags == tagger.tag(words)


def test_empty_columns_at_the_end_of_conllu_stay(main, tmp_path):
    """Also in lines without a word: the new columns come after them, as in all other lines."""
    path = tmp_path / "in"
    path.write_text(re.sub("_\n", "\n", CONLLU))
    status, errors, output = main("--conll", path, "--word-column", "1", "--confidence")
    rows = [line.split("\t") for line in output.splitlines() if "\t" in line]
    assert (status, errors, len(rows)) == (0, [], 6)
    assert {(len(row), row[9]) for row in rows} == {(12, "")}
    assert "".join("\t".join(row[:10]) + "\n" for row in rows) in path.read_text()


def test_tags_with_spaces_need_tabs(main, monkeypatch, tmp_path, tagger):
    path = tmp_path / "in"
    init = Tagger.__init__

    def spaced(self, *arguments):
        init(self, *arguments)
        with_spaces(self)

    monkeypatch.setattr(Tagger, "__init__", spaced)
    path.write_text("Paris\tX\n")
    assert re.fullmatch(r"Paris\tX\t\S+ x\n", main("--conll", path)[2])
    path.write_text("Paris X\n")
    status, (error,) = main("--conll", path)[:2]
    assert status == 1 and "expected columns separated by tabs" in error


def test_a_file_is_read_in_windows_and_stdin_may_be_closed(main, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("Paris\n\nis\n\nold\n")
    sizes, tag = [], Tagger.tag
    monkeypatch.setattr(Tagger, "tag", lambda *given: sizes.append(len(given[1])) or tag(*given))
    assert main("--conll", "file")[2].startswith("Paris ")
    with open("file") as redirected, monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", redirected)
        assert main()[2].startswith("Paris ")
    assert sizes == [3, 5]
    monkeypatch.setattr(sys, "stdin", None)
    assert main("--conll", "file")[2].startswith("Paris ")
    for arguments in ((), ("--conll", "-")):
        assert main(*arguments)[1] == ["Error: stdin: expected sentences, found it closed"]


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot tell whether a pipe has more")
@pytest.mark.parametrize("arguments, end", [((), b"\n"), (("--conll", "-"), b" O\n\n")])
def test_a_pipe_gets_an_answer_to_each_sentence(main, monkeypatch, arguments, end):
    """Whoever writes the next sentence waits for the tags of those before."""
    reader, writer = os.pipe()
    given, tag = [], Tagger.tag
    with open(reader) as stdin, open(writer, "wb", buffering=0) as pipe:

        def answered(tagger, sentences):
            given.append([words for [words] in sentences])
            pipe.write(b"is" + end + b"old" + end) if len(given) == 1 else pipe.close()
            return tag(tagger, sentences)

        monkeypatch.setattr(Tagger, "tag", answered)
        monkeypatch.setattr(sys, "stdin", stdin)
        pipe.write(b"Paris" + end)
        never = threading.Timer(60, pipe.close)
        never.start()
        output = main(*arguments)[2]
        never.cancel()
    assert given == [["Paris"], ["is", "old"]]
    assert [line.split()[0] for line in output.splitlines() if line] == ["Paris", "is", "old"]


def test_columns_from_stdin_and_the_column_of_training(command, tagger, tmp_path):
    output = command(CONLL2003, "--conll", "-", "--confidence")
    path = tmp_path / "out"
    path.write_bytes(output)
    words, tags = read_words_tags(path, 0, -2)
    assert words == [["EU", "rejects", "."], ["Paris"], ["#"]] and tags == tagger.tag(words)
    assert scores(read_words_tags(path, 0, -3)[1], tags)["types"]["ORG"]["gold"] == 1
    assert tagger.word_column == 0


def test_the_column_of_training_is_in_the_checkpoint(main, monkeypatch, tmp_path, tiny_checkpoint):
    path, other = tmp_path / "in", tmp_path / "other.pt"
    path.write_text("O Paris\n")
    state = load_checkpoint(tiny_checkpoint)
    assert state["settings"]["word_column"] == 0
    state["settings"]["word_column"] = 1
    save_checkpoint(str(other), state)
    words = []
    monkeypatch.setattr(Tagger, "tag", lambda _, sentences: words.append(sentences) or [["O"]])
    main("--conll", path)
    main("--conll", path, "--checkpoint", other)
    main("--conll", path, "--checkpoint", other, "--word-column", "0")
    assert words == [[["O"]], [["Paris"]], [["O"]]]


@pytest.mark.parametrize("first", ["1-2\tdu\t", "0.1\tgo\t", "1\tde\t", "# text\n2-3\tdu\t"])
def test_conllu_may_begin_with_any_of_its_lines(main, tmp_path, first):
    """A range, an empty node, a word: what follows the first line is CoNLL-U all the same."""
    columns = "_\t" * 7 + "_\n"
    path = tmp_path / "in"
    path.write_text(first + columns + ("" if first[:2] == "1\t" else "1\tde\t" + columns))
    output = main("--conll", path, "--word-column", "1", "--confidence")[2]
    assert len(output.splitlines()) == len(path.read_text().splitlines())
    assert read_words_tags(path, 1, 3)[0] == [["de"]]
    (tmp_path / "out").write_text(output)
    assert read_words_tags(tmp_path / "out", 1, 3) == read_words_tags(path, 1, 3)


@pytest.mark.parametrize("options, more", [([], 1), (["--confidence"], 2), (["--nbest", "3"], 6)])
def test_documents_begin_with_as_many_columns_as_words_have(main, tmp_path, options, more):
    """conlleval refuses lines of other widths, and takes -DOCSTART- for a word that is O."""
    path = tmp_path / "in"
    path.write_text(CONLL2003)
    lines = [line.split(" ") for line in main("--conll", path, *options)[2].splitlines() if line]
    assert {len(line) for line in lines} == {4 + more}
    starts = [line for line in lines if line[0] == "-DOCSTART-"]
    assert len(starts) == 2 and all(line[4:] == ["O"] * more for line in starts)


@pytest.mark.parametrize(
    "text, arguments, message",
    [
        ("a O\nb\n", (), "Error: {}, line 2: expected 2 columns as in the lines before, found 1"),
        ("a\n", ("--word-column", 1), "Error: {}, line 1: expected a word in column 1, found 1"),
        (CONLLU, (), "Error: {}: is CoNLL-U, whose column 0 .* word_column = 1, found word_column"),
        (
            "a X O\nb\tO O\n",
            (),
            "Error: {}, line 2: expected columns separated by spaces as in the lines before, found "
            "a tab: 'b\\tO O'",
        ),
        (
            "a\tO\nb O\n",
            (),
            "Error: {}, line 2: expected 2 columns separated by tabs as in the lines before",
        ),
    ],
)
def test_wrong_columns_are_one_line(main, tmp_path, text, arguments, message):
    path = tmp_path / "in"
    if text is not None:
        path.write_text(text)
    status, errors, _ = main("--conll", path, *arguments)
    assert status == 1 and len(errors) == 1
    start, *rest = message.format(path).split(" .* ")
    assert errors[0].startswith(start) and all(part in errors[0] for part in rest)


def test_no_line_is_left_out():
    text = "\n \n# a\nb O\n-DOCSTART-\n-DOCSTART- O\n\n -DOCSTART- O\n-DOCSTART-x O\n\n\n"
    for whole in (False, True):
        raw = text.encode().splitlines(keepends=True)
        lines = decoded_lines(raw, "x", whole=whole)
        found = [row for rows in column_sentences(lines, "x", 0) for row in rows]
        assert [line for line, _ in found] == text.splitlines(keepends=whole)
        words = [columns[0] for _, columns in found if columns]
        assert words == ["#", "b", "-DOCSTART-", "-DOCSTART-x"]


# Streams -----------------------------------------------------------------------------------------


def test_windows_end_after_so_many_sentences_or_words():
    lengths = [1, 1, 1, 1, 7, 1, 9, 0, 4, 4, 4]
    sentences = [["word"] * length for length in lengths]
    found = [list(map(len, some)) for some in windows(iter(sentences), 4, words=8)]
    # Each window counts its own words; the sentence that fills it still belongs to it.
    assert found == [[1, 1, 1, 1], [7, 1], [9], [0, 4, 4], [4]]
    assert [len(some) for some in windows(iter(sentences), 4)] == [4, 4, 3]


def test_a_stream_is_read_no_further_than_a_window(tagger, monkeypatch):
    monkeypatch.setattr(inference, "window", 5)
    monkeypatch.setattr(inference, "windows", functools.partial(windows, words=30))
    read = []

    def sentences():
        for i in range(20):
            read.append(i)
            yield ["word"] * (i if i < 15 else 40)

    ahead, found = 0, []
    for tags in tagger.stream(sentences()):
        found.append(len(tags))
        ahead = max(ahead, len(read) - len(found))
    assert found == [*range(15), *[40] * 5]
    assert ahead == 4
    assert tagger.tag(iter([["Paris"], []])) == tagger.tag([("Paris",), ()])
    for method in (tagger.tag_with_confidence, lambda s: tagger.nbest(s, 2)):
        assert method(iter([["Paris"], []])) == method([["Paris"], []])


@pytest.fixture
def batches(monkeypatch):
    """The shape of the characters of each batch that is tagged, noted as it is made."""
    shapes, collate = [], inference.collate

    def noted(sentences):
        batch = collate(sentences)
        shapes.append(tuple(batch.forward_chars.shape))
        return batch

    monkeypatch.setattr(inference, "collate", noted)
    return shapes


def test_long_sentences_share_smaller_batches(tagger, batches):
    generator = random.Random(1)
    lengths = [generator.choice((1, 20, 100, 200, 400, 800)) for _ in range(160)] + [0]
    sentences = [["word"] * length for length in lengths]
    together = tagger.tag(sentences)
    assert list(map(len, together)) == lengths
    assert len(batches) > 160 // 32 + 1 and sum(n for n, _ in batches) == len(sentences)
    assert max(n for n, _ in batches) > 16
    for n, characters in batches:
        assert n == 1 or n * characters <= inference.batch_size * datasets.usual_length
    for position in (0, 7, 33, 80):
        assert tagger.tag([sentences[position]]) == [together[position]]


def test_the_longest_sentences_come_first(tagger, batches, monkeypatch):
    """Else one thread would be left with them while the others have nothing to do."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    tagger.tag([["word"] * length for length in range(100)])
    longest = [characters for _, characters in batches]
    assert len(batches) == 4 and longest == sorted(longest, reverse=True)


@pytest.fixture
def cores(monkeypatch):
    """PyTorch may use three cores, even where the tests are given one."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield 3
    torch.set_num_threads(before)


def test_tags_do_not_depend_on_batches_and_threads(tagger, monkeypatch, cores, batches):
    generator = random.Random(1)
    words = "Dunston checks in at the Majestic Hotel . Paris zzz".split()
    sentences = [generator.choices(words, k=generator.randrange(30)) for _ in range(100)]
    monkeypatch.setattr(inference, "batch_size", 1)
    alone = tagger.tag(sentences), tagger.nbest(sentences, 2)
    for size in (7, 64, 1000):
        monkeypatch.setattr(inference, "batch_size", size)
        batches.clear()
        assert tagger.tag(sentences) == alone[0]
        assert len(batches) == -(-len(sentences) // size)
        found = [[tags for tags, _ in paths] for paths in tagger.nbest(sentences, 2)]
        assert found == [[tags for tags, _ in paths] for paths in alone[1]]


def test_threads_share_the_cores(cores):
    seen, meeting = [], threading.Barrier(3)

    def note(item):
        meeting.wait(60)  # all three are at work at the same time
        seen.append((threading.get_ident(), torch.get_num_threads()))
        return item * 2

    assert in_threads(note, [5, 3, 4], limit=8) == [10, 6, 8]
    assert len(dict(seen)) == 3 and set(dict(seen).values()) == {1}
    assert torch.get_num_threads() == 3
    alone = in_threads(lambda _: (threading.get_ident(), torch.get_num_threads()), [1, 2], limit=1)
    assert alone == [(threading.get_ident(), 3)] * 2
    assert in_threads(print, [], limit=8) == []
    later = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [3]


def test_an_error_in_a_thread_ends_the_others(cores):
    begun = []

    def fail(item):
        begun.append(item)
        raise KeyboardInterrupt if item == 0 else ValueError

    with pytest.raises(KeyboardInterrupt):
        in_threads(fail, list(range(1000)), limit=3)
    assert len(begun) < 1000 and torch.get_num_threads() == 3


def test_strings_are_not_sentences(tagger):
    for method in (tagger.tag, tagger.tag_with_confidence, lambda s: tagger.nbest(s, 2)):
        with pytest.raises(TypeError, match="a list of words, found the string 'Paris is'"):
            method(["Paris is"])


def test_other_processes_use_a_tagger(tagger, tiny_checkpoint):
    sentences = [["Paris", "is", "old", "."], [], ["Dunston"]]
    expected = tagger.tag(sentences)
    with CONTEXT.Pool(1) as pool:
        assert pool.apply(Tagger.tag, (tagger, sentences)) == expected  # pickled
        made_there = pool.apply(Tagger, (str(tiny_checkpoint), "cpu"))
        assert made_there.tag(sentences) == expected
