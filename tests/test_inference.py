"""The tagger and its command line."""

import subprocess
import sys

import pytest

import train
from inference import Tagger, predict, split_words
from utils import load_checkpoint, read_words_tags


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
    predicted, _ = predict(train.restore_model(state), train.encode(data, state), 3)
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


def test_nothing_to_tag(root, trained):
    result = run(root, "--checkpoint", trained, stdin="")
    assert result.returncode == 0 and result.stdout == ""


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
    score = tiny_train.scores
    monkeypatch.setattr(tiny_train, "scores", lambda *a: seen.append(a) or score(*a))
    tiny_train.main()
    text = "".join(" ".join(sentence) + "\n" for sentence in words)
    result = run(root, "--checkpoint", tiny_train.best_file, "--tokenized", stdin=text)
    assert result.returncode == 0, result.stderr
    gold, predicted = seen[-1]
    assert gold == tags
    assert [[tag for _, tag in sentence] for sentence in tagged(result.stdout)] == predicted
