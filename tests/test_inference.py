"""The tagger and its command line."""

import os
import subprocess
import sys

import pytest

import train
from inference import Tagger, ViterbiDecoder, predict
from machinery import spans
from machinery.checkpoints import load_checkpoint
from machinery.text import split_words
from utils import read_words_tags


@pytest.fixture
def trained(tiny_train, monkeypatch):
    """Path of a checkpoint that knows the tiny corpus."""
    for name, value in dict(epochs=40, lr=0.1, dropout=0.0, patience=40).items():
        monkeypatch.setattr(tiny_train, name, value)
    tiny_train.main()
    return tiny_train.best_file


def run(root, *arguments, stdin=None):
    return subprocess.run(
        [sys.executable, "inference.py", *arguments],
        cwd=root,
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def tagged(output):
    """Sentences of (word, tag) from what inference.py prints."""
    sentences = [[]]
    for line in output.split("\n")[:-1]:
        if line:
            sentences[-1].append(tuple(line.split()[:2]))
        else:
            sentences.append([])
    assert sentences.pop() == []  # the last one ends with a blank line, too
    return sentences


def test_order_lengths_and_batches(trained, tiny_corpus):
    tagger = Tagger(trained)
    words, _ = read_words_tags(tiny_corpus)
    sentences = [*words, [], ["never", "seen", "☃"], ["x"] * 300, words[0]]
    together = tagger.tag(sentences)
    assert [len(tags) for tags in together] == [len(sentence) for sentence in sentences]
    assert together == [tagger.tag([sentence])[0] for sentence in sentences]
    assert tagger.tag([]) == []
    assert not {"<start>", "<end>"} & {tag for tags in together for tag in tags}


def test_the_tagger_gives_the_tags_that_training_scored(trained, tiny_corpus):
    state = load_checkpoint(trained)
    data = read_words_tags(tiny_corpus)
    predicted, _ = predict(
        train.restore_model(state),
        train.encode(data, state),
        3,
        ViterbiDecoder(state["tag_map"], state["scheme"]),
    )
    assert Tagger(trained).tag(data[0]) == predicted


def test_sentence_on_the_command_line(root, trained):
    result = run(root, "--checkpoint", trained, "Dunston checks in at the Majestic Hotel.")
    assert result.returncode == 0, result.stderr
    assert result.stdout == (
        "Dunston   B-PER  PER: Dunston\n"
        "checks    O\n"
        "in        O\n"
        "at        O\n"
        "the       O\n"
        "Majestic  B-LOC  LOC: Majestic Hotel\n"
        "Hotel     I-LOC\n"
        ".         O\n"
        "\n"
    )


def test_confidence_on_the_command_line(root, trained):
    result = run(root, "--checkpoint", trained, "--confidence", "Dunston checks in", "")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [
        ["Dunston", "B-PER"],
        ["checks", "O"],
        ["in", "O"],
    ]
    assert all(0 < float(line.split()[2]) <= 1 for line in lines[:3])
    assert lines[0].endswith("PER: Dunston") and lines[3:] == ["", ""]


def test_nbest_on_the_command_line(root, trained):
    result = run(root, "--checkpoint", trained, "--nbest", "3", "Dunston checks in", "")
    assert result.returncode == 0, result.stderr
    head, *rows = [line.split() for line in result.stdout.splitlines()]
    assert len(head) == 3 and sorted(map(float, head), reverse=True) == list(map(float, head))
    assert [row[:2] for row in rows[:3]] == [["Dunston", "B-PER"], ["checks", "O"], ["in", "O"]]
    assert all(len(row) == 4 for row in rows[:3])
    # Of a sentence without words, there is one way to tag it.
    assert rows[3:] == [[], ["1.000"], []]

    result = run(root, "--checkpoint", trained, "--nbest", "0", "Paris")
    assert result.returncode == 1
    assert result.stderr == "Error: --nbest: expected a number from 1 on, found 0\n"


def test_sentences_on_stdin(root, trained, tiny_corpus):
    words, tags = read_words_tags(tiny_corpus)
    text = "".join(" ".join(sentence) + "\n" for sentence in words)
    result = run(root, "--checkpoint", trained, "--tokenized", stdin=text + "\nParis’s  ☃.\n")
    assert result.returncode == 0, result.stderr
    *known, empty, unknown = tagged(result.stdout)
    expected = [list(zip(*pair, strict=True)) for pair in zip(words, tags, strict=True)]
    assert known == expected
    assert empty == []
    assert [word for word, _ in unknown] == ["Paris’s", "☃."]  # taken as it is


def test_input_that_is_not_utf8_is_one_line_on_stderr(root, trained):
    result = subprocess.run(
        [sys.executable, "inference.py", "--checkpoint", trained],
        cwd=root,
        input=b"Paris\ncaf\xe9\n",
        capture_output=True,
    )
    assert result.returncode == 1
    assert result.stderr.decode().splitlines() == [
        "Error: stdin, line 2: expected UTF-8 text, found the byte 0xe9 at position 4"
    ]


def test_nothing_to_tag(root, tiny_checkpoint):
    result = run(root, "--checkpoint", str(tiny_checkpoint), stdin="")
    assert result.returncode == 0 and result.stdout == ""


def test_as_many_results_as_lines_whatever_they_hold(root, tiny_checkpoint):
    lines = [
        "",
        "   \t ",
        "?! ... --",
        "\U0001f602 \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1eb\U0001f1f7",
        "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u202eabc\u202c",  # right to left
        "e\u0301te\u0301 a\u0300\u0316\u0329",
        "\u1f08\u03c7\u03b9\u03bb\u03bb\u03b5\u03cd\u03c2 \u5317\u4eac \u10d7\u10d1\u10d8",
        "nul\0 escape\x1b[2J bell\x07 next\x9bline",
        "carriage\rreturn line\u2028separator",
        "x" * 10_000,
        "the end",
    ]
    for end in ("\n", "\r\n"):
        text = "\ufeff" + end.join(lines)  # the last line has no end
        result = subprocess.run(
            [sys.executable, "inference.py", "--checkpoint", str(tiny_checkpoint), "--tokenized"],
            cwd=root,
            input=text.encode(),
            capture_output=True,
        )
        assert result.returncode == 0, result.stderr
        found = [[word for word, _ in sentence] for sentence in tagged(result.stdout.decode())]
        expected = [line.split() for line in lines]
        assert found == expected


def test_arguments_that_are_not_utf8(root, tiny_checkpoint):
    command = [sys.executable, "inference.py", "--checkpoint", str(tiny_checkpoint)]
    result = subprocess.run([*command, b"caf\xe9 ."], cwd=root, capture_output=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(b"caf\\udce9  ")


def test_a_reader_that_goes_away(root, tiny_checkpoint):
    """As with `| head`: no traceback, not even from the interpreter's last flush."""
    process = subprocess.Popen(
        [sys.executable, "inference.py", "--checkpoint", str(tiny_checkpoint)],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdin.write(b"Paris is old .\n" * 5000)
    process.stdin.close()
    assert process.stdout.readline().startswith(b"Paris")
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 1 and errors == b""


def test_ctrl_c_is_quiet(as_command):
    def interrupted():
        raise KeyboardInterrupt

    assert as_command(interrupted) == (130, [])


PEAK_MEMORY = """if True:
    import resource, runpy, sys
    sys.argv = ["inference.py", "--checkpoint", sys.argv[1], "--tokenized"]
    runpy.run_path("inference.py", run_name="__main__")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


@pytest.mark.parametrize("lines", [6000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_lines(root, tiny_checkpoint, tmp_path, lines):
    """As many results as lines, in their order; the peak as with fewer, give or take 20 MB."""
    pytest.importorskip("resource")
    peaks = []
    for count in (2000, lines):
        with open(tmp_path / "text", "w") as file:
            file.writelines(f"w{i}" + " word" * (i % 20) + "\n" * (1 + i % 2) for i in range(count))
        with open(tmp_path / "text") as text, open(tmp_path / "found", "w") as found:
            process = subprocess.run(
                [sys.executable, "-c", PEAK_MEMORY, str(tiny_checkpoint)],
                cwd=root,
                stdin=text,
                stdout=found,
                stderr=subprocess.PIPE,
                env=os.environ | dict(OMP_NUM_THREADS="1"),
                text=True,
            )
        assert process.returncode == 0, process.stderr
        sentences = tagged((tmp_path / "found").read_text())
        expected = [length for i in range(count) for length in [1 + i % 20] + [0] * (i % 2)]
        assert list(map(len, sentences)) == expected
        assert [s[0][0] for s in sentences if s] == [f"w{i}" for i in range(count)]
        peaks.append(int(process.stderr) // 1024)
    print(
        f"peak memory: {peaks[0]} MiB for 2,000 lines and as many again, {peaks[1]} for {lines:,}"
    )
    assert peaks[1] < peaks[0] + 20


def test_no_checkpoint_is_one_line_on_stderr(root, tmp_path):
    result = run(root, "--checkpoint", str(tmp_path / "none.pt"), "Paris")
    assert result.returncode == 1 and result.stdout == ""
    assert "none.pt: expected a trained model" in result.stderr
    assert "python train.py" in result.stderr and len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "sentence, words",
    [
        ("Dunston checks in.", "Dunston checks in ."),
        ("Dr. Li's guests didn't check in.", "Dr. Li 's guests did n't check in ."),
        ("\"I can't,\" said O'Brien.", "\" I ca n't , \" said O'Brien ."),
        ("the students' books", "the students ' books"),
        (
            "He paid $1,000.50 (or €30) at 3:30 p.m.!",
            "He paid $ 1,000.50 ( or € 30 ) at 3:30 p.m. !",
        ),
        (
            "a 42-year-old won 3-1 -- in the U.S., 60%...",
            "a 42-year-old won 3-1 -- in the U.S. , 60 % ...",
        ),
        ("see https://example.org/a?b=1, please", "see https://example.org/a?b=1 , please"),
        ("write to ana@example.org.", "write to ana@example.org ."),
        ("Don’t!", "Do n’t !"),
        ("हिन्दी में।", "हिन्दी में ।"),
        ("été 😂 @you #tag", "été 😂 @you #tag"),
        ("???", "? ? ?"),
        ("  ", ""),
    ],
)
def test_raw_sentences_are_split(sentence, words):
    assert split_words(sentence) == words.split()


def test_splitting_loses_nothing_but_spaces():
    text = "Well — O'Neill's \"e-mail\": x=1; [a] {b} <c> a.b. 3.5°, 'n' ½ \\ | ~ ^ ` _ * & % # @ +"
    assert "".join(split_words(text)) == "".join(text.split())


@pytest.mark.parametrize("text", ["+", "'", "a@", "-.", "http://.", "a", "n't", "\u0301", "@+"])
def test_a_line_of_a_million_characters(text):
    """A pattern that reads on to the end from every mark would take days."""
    line = text * (1_000_000 // len(text)) + "x"
    assert "".join(split_words(line)) == line


def test_default_checkpoint_is_what_training_writes():
    import inference

    assert inference.checkpoint == train.best_file


def test_inference_gives_the_tags_that_training_scored_on_real_data(
    root, real_data, tiny_train, monkeypatch
):
    folder = real_data / "ncbi_disease"
    words, tags = read_words_tags(folder / "test.txt")
    for name, value in dict(val_file=str(folder / "dev.txt"), epochs=1).items():
        monkeypatch.setattr(tiny_train, name, value)
    sample = folder / "dev.txt"
    monkeypatch.setattr(tiny_train, "train_file", str(sample))
    monkeypatch.setattr(tiny_train, "test_file", str(folder / "test.txt"))
    seen = []
    score = spans.scores
    monkeypatch.setattr(tiny_train, "scores", lambda *a: seen.append(a) or score(*a))
    tiny_train.main()
    text = "".join(" ".join(sentence) + "\n" for sentence in words)
    result = run(root, "--checkpoint", tiny_train.best_file, "--tokenized", stdin=text)
    assert result.returncode == 0, result.stderr
    gold, predicted = seen[-1]
    assert gold == tags
    assert [[tag for _, tag in sentence] for sentence in tagged(result.stdout)] == predicted
