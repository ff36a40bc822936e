"""The tagger and its command line."""

import contextlib
import json
import os
import re
import subprocess
import sys

import pytest
from parallel import Team

import inference
import train
from inference import Tagger, ViterbiDecoder, predict
from machinery import device, spans
from machinery.checkpoints import load_checkpoint
from machinery.errors import InputError
from machinery.text import split_at_blanks, split_words
from utils import read_words_tags

try:
    import resource
except ImportError:  # on Windows
    resource = None


@pytest.fixture(scope="module")
def trained(learned):
    """Path of a checkpoint that knows the tiny corpus; not to be changed."""
    return learned[0]


@pytest.fixture
def run(run_inference, trained):
    """run_inference with that checkpoint, where nothing is wrong; :return: what is printed"""

    def run(*arguments, stdin=None):
        status, errors, output = run_inference("--checkpoint", trained, *arguments, stdin=stdin)
        assert status == 0 and errors == []
        return output

    return run


def tagged(output):
    """Sentences of (word, tag) from what inference.py prints."""
    sentences = [[]]
    for line in output.split("\n")[:-1]:
        if line:
            sentences[-1].append(tuple(split_at_blanks(line)[:2]))
        else:
            sentences.append([])
    assert sentences.pop() == []  # the last one ends with a blank line, too
    return sentences


# The tagger --------------------------------------------------------------------------------------


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
        train.encode("tiny", data, state),
        3,
        ViterbiDecoder(state["tag_map"], state["scheme"]),
    )
    assert Tagger(trained).tag(data[0]) == predicted


def test_default_checkpoint_is_what_training_writes():
    assert inference.checkpoint == train.best_file


def test_a_tagger_that_knows_its_corpus(run, tiny_corpus):
    words, tags = read_words_tags(tiny_corpus)
    text = "".join(" ".join(sentence) + "\n" for sentence in words)
    *known, empty, unknown = tagged(run("--tokenized", stdin=f"{text}\nParis’s  ☃.\n".encode()))
    assert known == [list(zip(*pair, strict=True)) for pair in zip(words, tags, strict=True)]
    assert empty == []
    assert [word for word, _ in unknown] == ["Paris’s", "☃."]  # taken as it is


# The command line --------------------------------------------------------------------------------


def test_sentence_on_the_command_line(run):
    assert run("Dunston checks in at the Majestic Hotel.", "") == (
        "Dunston   B-PER  PER: Dunston\n"
        "checks    O\n"
        "in        O\n"
        "at        O\n"
        "the       O\n"
        "Majestic  B-LOC  LOC: Majestic Hotel\n"
        "Hotel     I-LOC\n"
        ".         O\n"
        "\n\n"
    )


def test_confidence_on_the_command_line(run):
    lines = run("--confidence", "Dunston checks in", "").splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [
        ["Dunston", "B-PER"],
        ["checks", "O"],
        ["in", "O"],
    ]
    assert all(0 < float(line.split()[2]) <= 1 for line in lines[:3])
    assert lines[0].endswith("PER: Dunston") and lines[3:] == ["", ""]


def test_nbest_on_the_command_line(run):
    output = run("--nbest", "3", "Dunston checks in", "")
    head, *rows = [line.split() for line in output.splitlines()]
    assert len(head) == 3 and sorted(map(float, head), reverse=True) == list(map(float, head))
    assert [row[:2] for row in rows[:3]] == [["Dunston", "B-PER"], ["checks", "O"], ["in", "O"]]
    assert all(len(row) == 4 for row in rows[:3])
    # There is one way to tag a sentence without words.
    assert rows[3:] == [[], ["1.000"], []]


@pytest.mark.parametrize("count", [0, -1, 1001, 10**9, 10**30])
def test_nbest_has_limits(run_inference, tiny_checkpoint, count):
    status, errors, output = run_inference(
        "--checkpoint", tiny_checkpoint, f"--nbest={count}", "Paris"
    )
    assert (status, output) == (1, "")
    assert errors == [f"Error: nbest: expected a number from 1 to 1,000, found {count:,}"]


def test_the_longest_nbest_list(tiny_checkpoint):
    ((*most,),) = Tagger(tiny_checkpoint).nbest([["Paris"] * 10], 1000)
    assert len({tuple(tags) for tags, _ in most}) == 1000


@pytest.mark.parametrize("tokenized", [[], ["--tokenized"]])
def test_only_tokenized_sentences_keep_their_words(run_inference, tiny_checkpoint, tokenized):
    output = run_inference("--checkpoint", tiny_checkpoint, *tokenized, "Don't!")[2]
    assert [word for word, _ in tagged(output)[0]] == (
        ["Don't!"] if tokenized else "Do n't !".split()
    )


def test_input_that_is_not_utf8_is_one_line_on_stderr(run_inference, tiny_checkpoint):
    found = run_inference("--checkpoint", tiny_checkpoint, stdin=b"Paris\ncaf\xe9\n")
    message = "Error: stdin, line 2: expected UTF-8 text, found the byte 0xe9 at position 4"
    assert found == (1, [message], "")


def test_nothing_to_tag(run):
    assert run(stdin=b"") == ""


def test_as_many_results_as_lines_whatever_they_hold(run):
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
        text = f"\ufeff{end.join(lines)}"  # the last line has no end
        output = run("--tokenized", stdin=text.encode())
        found = [[word for word, _ in sentence] for sentence in tagged(output)]
        assert found == [re.findall("[^ \t]+", line) for line in lines]


def test_arguments_that_are_not_utf8(run):
    assert run("caf\udce9 .").startswith("caf\\udce9  ")


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


def tag_files(checkpoint, folder, counts):
    """Tag the files text_COUNT into found_COUNT; print the peak memory in MiB after each."""
    for count in counts:
        sys.argv = ["inference.py", "--checkpoint", str(checkpoint), "--tokenized"]
        with open(folder / f"text_{count}") as sys.stdin:
            with open(folder / f"found_{count}", "w") as found, contextlib.redirect_stdout(found):
                inference.main()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


@pytest.mark.skipif(resource is None, reason="needs a system that tells the peak of memory")
@pytest.mark.parametrize("lines", [6000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_lines(tiny_checkpoint, tmp_path, lines):
    """As many results as lines, in their order; the peak as with fewer, give or take 20 MB."""
    counts = (2000, lines)
    for count in counts:
        with open(tmp_path / f"text_{count}", "w") as file:
            file.writelines(f"w{i}" + " word" * (i % 20) + "\n" * (1 + i % 2) for i in range(count))
    team = Team(1, tmp_path, tag_files, tiny_checkpoint, tmp_path, counts)
    statuses, output, errors = team.wait()
    assert statuses == [0], errors
    for count in counts:
        sentences = tagged((tmp_path / f"found_{count}").read_text())
        expected = [length for i in range(count) for length in [1 + i % 20] + [0] * (i % 2)]
        assert list(map(len, sentences)) == expected
        assert [s[0][0] for s in sentences if s] == [f"w{i}" for i in range(count)]
    first, second = map(int, output.split())
    print(f"peak memory: {first} MiB for 2,000 lines and as many again, {second} for {lines:,}")
    assert second < first + 20


def test_no_checkpoint_is_one_line_on_stderr(run_inference, tmp_path):
    status, (error,), output = run_inference("--checkpoint", tmp_path / "none.pt", "Paris")
    assert status == 1 and output == ""
    assert "none.pt: expected a trained model" in error and "python train.py" in error


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("--word-column 1", "--word-column: expected --conll or --evaluate with it, found neither"),
        ("--tag-column 1", "--tag-column, --errors: expected --evaluate with them, found none"),
        ("--conll x --errors y", "--tag-column, --errors: expected --evaluate with them"),
        ("--evaluate x --nbest 2", "--evaluate: expected no --nbest"),
        ("--evaluate x --json", "--evaluate: expected no --json"),
        ("--evaluate x --html", "--evaluate: expected no --html"),
        ("--evaluate x --confidence", "--evaluate: expected no --confidence"),
        ("--evaluate x a", "--evaluate: expected no sentences, found 'a'"),
        ("--conll x a", "--conll: expected no sentences, found 'a'"),
        ("--evaluate x --errors ./x", "--errors: expected a file to write, found one to read: ./x"),
        ("--conll x", "x: No such file or directory"),
        ("--evaluate x", "x: No such file or directory"),
    ],
)
def test_options_that_do_not_go_together(
    run_inference, monkeypatch, tmp_path, tiny_checkpoint, arguments, message
):
    monkeypatch.chdir(tmp_path)
    arguments = arguments.split()
    status, (error,), output = run_inference("--checkpoint", tiny_checkpoint, *arguments)
    assert (status, output) == (1, "") and error.startswith(f"Error: {message}")


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_errors_are_not_written_over_what_is_read(
    run_inference, tmp_path, tiny_checkpoint, tiny_corpus, link
):
    """Not through links either."""
    for name, path in (("model.pt", tiny_checkpoint), ("corpus.txt", tiny_corpus)):
        before = path.read_bytes()
        link(path, tmp_path / name)
        arguments = "--evaluate", tiny_corpus, "--checkpoint", tiny_checkpoint
        status, (error,), _ = run_inference(*arguments, "--errors", tmp_path / name)
        assert status == 1 and "found one to read" in error and path.read_bytes() == before


def test_words_and_titles_are_those_of_the_command_line(
    run_inference, tiny_checkpoint, monkeypatch
):
    def entities(tagger, texts, places):
        return [[dict(probability=1, words=[t[a:b] for a, b in places(t)])] for t in texts]

    with monkeypatch.context() as patch:
        patch.setattr(inference.Tagger, "entities", entities)
        for option, words in ([], ["Li", "'s", "hat", "."]), (["--tokenized"], ["Li's", "hat."]):
            arguments = "--checkpoint", tiny_checkpoint, "--json", "Li's hat.", *option
            found = json.loads(run_inference(*arguments)[2])
            assert found["entities"][0]["words"] == words
    page = run_inference("--checkpoint", tiny_checkpoint, "--html", "Li's hat.")[2]
    assert "<title>Tagged: the command line</title>" in page


def test_a_long_first_line(run_inference, tiny_checkpoint):
    """More characters than are read at once."""
    text = f"{'a' * 40_000} {'in ' * 10_000}.\nParis\n".encode()
    arguments = "--checkpoint", tiny_checkpoint, "--tokenized"
    status, errors, output = run_inference(*arguments, stdin=text)
    first, second = output.removesuffix("\n\n").split("\n\n")
    assert (status, errors) == (0, []) and second.split()[0] == "Paris"
    words = [line.split()[0] for line in first.split("\n")]
    assert words == ["a" * 40_000, *["in"] * 10_000, "."]


# Words -------------------------------------------------------------------------------------------


def test_only_spaces_and_tabs_separate_words():
    others = "\u00a0\u3000\u0085\u001c\u2028\r\v\f"
    assert split_at_blanks(f" a{others}b \t c{others} ") == [f"a{others}b", f"c{others}"]


@pytest.mark.parametrize(
    "sentence, words",
    [
        ("Dunston checks in.", "Dunston checks in ."),
        ("Dr. Li's guests didn't check in.", "Dr. Li 's guests did n't check in ."),
        ("\"I can't,\" said O'Brien.", "\" I ca n't , \" said O'Brien ."),
        ("the students' books", "the students ' books"),
        ("I CAN'T SAY IT'S HE'LL DO", "I CA N'T SAY IT 'S HE 'LL DO"),
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
        ("زار باريس، ثم عاد؟", "زار باريس ، ثم عاد ؟"),
        ("وہ لاہور گیا۔", "وہ لاہور گیا ۔"),
        ("٣٫٥ می‌خواهم", "٣٫٥ می‌خواهم"),
        ("Hello，world！", "Hello ， world ！"),
        ("•Paris is 20°", "• Paris is 20 °"),
        ("Apple™ said ₹500 or NZ$5", "Apple ™ said ₹ 500 or NZ$ 5"),
        ("col·legi user_name", "col·legi user_name"),
        ("Cafe\u0301! Paris😂😂", "Cafe\u0301 ! Paris 😂 😂"),
        (
            "👍🏽👨\u200d👩\u200d👧❤\ufe0f🇫🇷🇩🇪1\ufe0f\u20e3",
            "👍🏽 👨\u200d👩\u200d👧 ❤\ufe0f 🇫🇷 🇩🇪 1\ufe0f\u20e3",
        ),
        ("Col. Hugh and Rep. Li", "Col. Hugh and Rep. Li"),
        ("Sat.: to Sun. from 9, in the Sun.", "Sat. : to Sun. from 9 , in the Sun ."),
        ("1. Ana, b. 1979, p. 12, plan b.", "1. Ana , b. 1979 , p. 12 , plan b ."),
        ("  ", ""),
    ],
)
def test_raw_sentences_are_split(sentence, words):
    assert split_words(sentence) == words.split()


def test_the_corpus_s_own_abbreviations_stay_whole(root):
    """Alone, each of its words but a few that need what follows them."""
    lines = (root / "data" / "train.txt").read_text(encoding="utf-8").splitlines()
    words = {line.split()[0] for line in lines if line}
    split = {word for word in words if split_words(f"{word} 9") != [word, "9"]}
    assert split == {"A.", "F.", "Q.", "T.", "V."}  # initials, before a capital letter


def test_splitting_loses_nothing_but_spaces():
    text = "Well — O'Neill's \"e-mail\": x=1; [a] {b} <c> a.b. 3.5°, 'n' ½ \\ | ~ ^ ` _ * & % # @ +"
    assert "".join(split_words(text)) == "".join(text.split())


@pytest.mark.parametrize("text", ["+", "'", "a@", "-.", "http://.", "a", "n't", "\u0301", "@+"])
def test_a_line_of_many_characters(text):
    """A pattern that reads on to the end from every mark would take an hour."""
    line = text * (200_000 // len(text)) + "x"
    assert "".join(split_words(line)) == line


def test_inference_gives_the_tags_that_training_scored_on_real_data(
    run_inference, real_data, tiny_train, monkeypatch, tmp_path
):
    for part in ("train", "val", "test"):
        split = "test" if part == "test" else "dev"
        text = (real_data / "ncbi_disease" / f"{split}.txt").read_text(encoding="utf-8")
        (tmp_path / f"{part}.txt").write_text("\n\n".join(text.split("\n\n")[:100]) + "\n")
        monkeypatch.setattr(tiny_train, f"{part}_file", str(tmp_path / f"{part}.txt"))
    monkeypatch.setattr(tiny_train, "epochs", 1)
    words, tags = read_words_tags(tmp_path / "test.txt")
    seen = []
    score = spans.scores
    monkeypatch.setattr(inference, "scores", lambda *a: seen.append(a) or score(*a))
    tiny_train.main()
    text = "".join(" ".join(sentence) + "\n" for sentence in words)
    arguments = "--checkpoint", tiny_train.best_file, "--tokenized"
    status, errors, output = run_inference(*arguments, stdin=text.encode())
    assert status == 0, errors
    gold, predicted = seen[-1]
    assert gold == tags
    assert [[tag for _, tag in sentence] for sentence in tagged(output)] == predicted


def test_constants_count_when_a_tagger_is_made(monkeypatch, tiny_checkpoint):
    """Not when inference.py is imported: a notebook sets them afterwards."""
    monkeypatch.setattr(inference, "checkpoint", str(tiny_checkpoint))
    assert len(inference.Tagger().tag([["Paris"]])[0]) == 1
    monkeypatch.setattr(device, "_has_bfloat16", lambda _: False)
    monkeypatch.setattr(inference, "half_precision", True)
    with pytest.raises(InputError, match="half_precision"):
        inference.Tagger(device="cpu")
