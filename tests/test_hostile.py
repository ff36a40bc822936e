"""Files that are wrong, damaged, odd or made to do harm: used, or refused in one line."""

import collections
import copy
import gzip
import math
import os
import pickle
import random
import re
import shutil
import sys

import fuzz
import pytest
import torch
from common import TINY_CORPUS, equal
from parallel import Team

import inference
import train
from inference import Tagger, ViterbiDecoder, predict, restore_model
from machinery import checkpoints, report, spans
from machinery.checkpoints import load_checkpoint
from machinery.errors import InputError, run_script
from machinery.runs import FOR_TRAINING, PARTS
from models import ViterbiLoss
from utils import read_words_tags


def put(path, content):
    """Make `path` a file with this content, a folder, or nothing."""
    if content == "folder":
        path.mkdir()
    elif content != "nothing":
        path.write_bytes(content)


# Data files --------------------------------------------------------------------------------------

WRONG_DATA = {
    "missing": ("nothing", "No such file or directory"),
    "folder": ("folder", "Is a directory"),
    "empty": (b"", "expected at least one sentence, found none"),
    "blank": (b"\n \n\t\r\n", "expected at least one sentence, found none"),
    "latin-1": (b"a O\ncaf\xe9 O\n", "line 2: expected UTF-8 text, found the byte 0xe9"),
    "utf-16": ("a O\n".encode("utf-16"), "line 1: expected UTF-8 text, found the byte 0xff"),
    "narrow": (b"\na\n", "line 2: expected a word in column 0 and its tag in column -1, found 1"),
    "ragged": (b"a O\n\nb X O\n", "line 3: expected 2 columns as in the lines before, found 3"),
    "long": (b"a O\n" + b"b" * 10_000 + b"\n", "line 2: expected 2 columns"),
}


@pytest.mark.parametrize("wrong", WRONG_DATA)
@pytest.mark.parametrize("constant", ["train_file", "val_file", "test_file"])
def test_a_wrong_data_file_is_one_line(
    tiny_train, monkeypatch, tmp_path, as_command, constant, wrong
):
    content, message = WRONG_DATA[wrong]
    path = tmp_path / "wrong.txt"
    put(path, content)
    monkeypatch.setattr(tiny_train, constant, str(path))
    status, errors = as_command(tiny_train.main)
    assert status == 1 and len(errors) == 1
    assert errors[0].startswith(f"Error: {path}") and message in errors[0]
    assert len(errors[0]) < 1000
    assert not list(tmp_path.glob("*.pt"))  # said before any training


def test_a_tag_column_that_does_not_exist(tiny_train, monkeypatch, as_command):
    monkeypatch.setattr(tiny_train, "tag_column", 2)
    status, errors = as_command(tiny_train.main)
    assert status == 1 and len(errors) == 1
    assert "line 1: expected a word in column 0 and its tag in column 2, found 2" in errors[0]


ODD_DATA = {
    "control characters": "a\0b O\n\x1b[31m B-X\n\x07 I-X\n\u2028 O\nc\rd O\n",
    "zero width": "\u200b O\n\u200d\ufeff B-X\na\u0301\u0327 O\n\u202eabc O\n",
    "one tag": "a O\nb O\n\nc O\n",
    "one word": "a B-X\n",
    "a long sentence": "word O\n" * 1999 + "end B-X\n\na O\n",
    "a long word": "x" * 10_000 + " O\n\nb B-X\n",
    "ill-formed tags": "a I-X\nb E-Y\nc S-X\nd I-X\n\ne O\nf E-X\n",
    "a space is a word": "1\t \t_\tO\t_\t_\t_\t_\t_\t_\n",
}


@pytest.mark.parametrize("odd", ODD_DATA)
def test_odd_data_is_trained_on_and_tagged(tiny_train, monkeypatch, tmp_path, odd):
    path = tmp_path / "odd.txt"
    path.write_bytes(ODD_DATA[odd].encode())
    columns = (1, 3) if ODD_DATA[odd].startswith("1\t") else (0, -1)
    constants = dict(train_file=str(path), val_file=str(path), test_file=str(path), epochs=1)
    for name, value in (constants | dict(word_column=columns[0], tag_column=columns[1])).items():
        monkeypatch.setattr(tiny_train, name, value)
    result = tiny_train.main()
    assert 0 <= result["accuracy"] <= 1
    words, tags = read_words_tags(path, *columns)
    assert sum(map(len, words)) == len(ODD_DATA[odd].replace("\n\n", "\n").split("\n")) - 1
    found = Tagger(tiny_train.best_file).tag(words)
    assert list(map(len, found)) == list(map(len, words))
    assert spans.scores(tags, found) == result


@pytest.mark.parametrize("criterion", ["macro_f1", "entity_f1", "accuracy"])
def test_validation_without_entities(tiny_train, monkeypatch, tmp_path, criterion):
    """Where neither gold nor prediction has an entity, entity F1 is 0, as conlleval has it."""
    path = tmp_path / "valid.txt"
    path.write_text("a O\nb O\n")
    monkeypatch.setattr(tiny_train, "val_file", str(path))
    monkeypatch.setattr(tiny_train, "criterion", criterion)
    monkeypatch.setattr(tiny_train, "predict", lambda *_, **__: ([["O", "O"]], 1.0))
    monkeypatch.setattr(tiny_train, "score_file", lambda *_: ({}, None))
    tiny_train.main()
    best = load_checkpoint(tiny_train.best_file)["best_score"]
    assert best == (0 if criterion == "entity_f1" else 1)


def test_tags_unseen_in_training(tiny_train, monkeypatch, tmp_path, capsys, as_command):
    path = tmp_path / "valid.txt"
    path.write_text("Paris B-CITY\nin O\nParis B-CITY\n\nin \x1bX\n")
    monkeypatch.setattr(tiny_train, "val_file", str(path))
    result = tiny_train.main()
    output = capsys.readouterr().out
    assert "valid.txt: tags unseen in training count as wrong" in output
    assert "\\x1bX (1), B-CITY (2)" in output and "\x1b" not in output
    assert result["accuracy"] <= 1 / 4  # only the O can be right
    # Tags that mark no spans have no entity F1, which therefore cannot choose the best epoch.
    # A few odd tags change nothing; these are too many for that.
    path.write_text("Paris B-CITY\nin O\nParis B-CITY\n\n" + "in \x1bX\n" * 30)
    monkeypatch.setattr(tiny_train, "criterion", "entity_f1")
    status, errors = as_command(tiny_train.main)
    assert status == 1 and errors == [
        "Error: criterion = 'entity_f1': expected tags such as B-PER, found '\\x1bX'"
    ]


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_unknown_tags_do_not_change_the_loss_of_the_others(tiny_train, monkeypatch, batch_size):
    """In whatever batches the sentences with such tags are."""
    tiny_train.main()
    state = load_checkpoint(tiny_train.last_file)
    model, loss = restore_model(state), ViterbiLoss(state["tag_map"], "none")
    decoder = ViterbiDecoder(state["tag_map"])

    def mean_loss(words, tags, size):
        dataset = tiny_train.encode("file", (words, tags), state)
        return predict(model, dataset, size, decoder, loss)[1]

    known = [["Paris"], ["Jones", "left", "."]], [["B-LOC"], ["B-PER", "O", "O"]]
    unknown = [["Dunston", "in"], ["the", "Majestic", "Hotel", "."]], [["O", "NEW"], ["NEW"] * 4]
    expected = mean_loss(*known, 1)
    both = (known[0] + unknown[0], known[1] + unknown[1])
    assert mean_loss(*both, batch_size) == pytest.approx(expected, rel=1e-5)
    assert mean_loss(*unknown, batch_size) == 0


# Embedding files ---------------------------------------------------------------------------------

WRONG_EMBEDDINGS = {
    "missing": ("nothing", "No such file or directory"),
    "folder": ("folder", "Is a directory"),
    "empty": (b"", "found none"),
    "latin-1": (b"a 1 2\ncaf\xe9 1 2\n", "line 2: expected UTF-8 text"),
    "dimension": (b"a 1 2\nb 1 2 3\n", "line 2: expected a word and 2 numbers, found 4 fields"),
    "not a number": (b"a 1 2\nb 1 " + b"x" * 10_000, "line 2: expected a word and numbers"),
    "NaN": (b"a 1 2\nb 1 nan\n", "line 2: expected finite numbers, found 'b 1 nan'"),
}


@pytest.mark.parametrize("wrong", WRONG_EMBEDDINGS)
def test_a_wrong_embedding_file_is_one_line(tiny_train, monkeypatch, tmp_path, as_command, wrong):
    content, message = WRONG_EMBEDDINGS[wrong]
    path = tmp_path / "vectors.txt"
    put(path, content)
    monkeypatch.setattr(tiny_train, "emb_file", str(path))
    status, errors = as_command(tiny_train.main)
    assert status == 1 and len(errors) == 1
    assert errors[0].startswith(f"Error: {path}") and message in errors[0]
    assert len(errors[0]) < 1000


def test_embeddings_without_overlap_only_warn(tiny_train, monkeypatch, tmp_path, capsys):
    path = tmp_path / "vectors.txt"
    path.write_text("nothing 1 2\nknown 3 4\n")
    monkeypatch.setattr(tiny_train, "emb_file", str(path))
    tiny_train.main()
    output = capsys.readouterr().out
    assert f"{path}: vectors for 0 of 13 words in train_file's vocabulary" in output
    assert f"Warning: {path} has none of these words" in output
    assert load_checkpoint(tiny_train.last_file)["epoch"] == 2


# Checkpoints -------------------------------------------------------------------------------------


@pytest.fixture
def resumed(tiny_train, tiny_checkpoint, monkeypatch, tmp_path):
    """The module `train`, about to resume a copy of tiny_checkpoint; and the copy's path"""
    path = tmp_path / "copy.pt"
    shutil.copy(tiny_checkpoint, path)
    monkeypatch.setattr(tiny_train, "checkpoint", str(path))
    return tiny_train, path


def changed(path, change):
    """Apply a function to the dict that a checkpoint file holds."""
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)


def test_names_of_parameters_cannot_control_the_terminal(tiny_checkpoint, tmp_path, as_command):
    path = shutil.copy(tiny_checkpoint, tmp_path / "escapes.pt")
    changed(path, lambda state: state["model"].update({"\x1b[2J\n": torch.zeros(1)}))
    status, (error,) = as_command(lambda: Tagger(str(path)))
    assert status == 1 and "\\x1b[2J" in error and "\x1b" not in error


@pytest.mark.parametrize(
    "content", ["nothing", "folder", b"", b"PK\3\4", b"no checkpoint", b"\x80\x02."]
)
def test_what_is_no_checkpoint_is_one_line(tiny_train, monkeypatch, tmp_path, as_command, content):
    put(tmp_path / "wrong.pt", content)
    monkeypatch.setattr(tiny_train, "checkpoint", str(tmp_path / "wrong.pt"))
    status, errors = as_command(tiny_train.main)
    assert status == 1 and len(errors) == 1 and str(tmp_path / "wrong.pt") in errors[0]


@pytest.fixture
def small_checkpoint(tmp_path):
    """Path of a checkpoint with parts of every kind, but few."""
    weights = dict.fromkeys("abc", torch.arange(5.0))
    state = dict(epoch=3, score=0.5, scheme=None, word_map={"<pad>": 0}, model=weights, rng=[True])
    checkpoints.save_checkpoint(tmp_path / "small.pt", state)
    return tmp_path / "small.pt"


def test_checkpoints_cut_off_anywhere(small_checkpoint, tiny_checkpoint, tmp_path):
    path = tmp_path / "cut.pt"
    for whole, step in ((small_checkpoint, 3), (tiny_checkpoint, 5003)):
        content = whole.read_bytes()
        for length in range(0, len(content), step):
            path.write_bytes(content[:length])
            with pytest.raises(InputError, match="cut.pt: expected a checkpoint"):
                load_checkpoint(path)


def test_a_flipped_bit_is_noticed_wherever_it_matters(small_checkpoint, tmp_path):
    content, path = small_checkpoint.read_bytes(), tmp_path / "flipped.pt"
    state, generator, refused = load_checkpoint(small_checkpoint), random.Random(1), 0
    flips = [(place, generator.randrange(8)) for place in range(0, len(content), 5)]
    # The list of the archive's parts, at its end, is where the readers of zip files differ: in
    # what they make of bit 4 of a part's attributes, say, which marks a folder.
    flips += [(place, 4) for place in range(content.index(b"PK\1\2"), len(content))]
    for place, bit in flips:
        flipped = bytearray(content)
        flipped[place] ^= 1 << bit
        path.write_bytes(flipped)
        try:
            assert equal(load_checkpoint(path), state)
        except InputError:
            refused += 1
    assert refused > 100  # the others are in the gaps between the parts


def hostile(path):
    """An object whose pickle creates a file."""

    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(path),)

    return Hostile()


@pytest.mark.parametrize("kind", ["checkpoint", "old checkpoint", "pickle"])
def test_no_code_in_a_checkpoint_is_run(tiny_checkpoint, tmp_path, kind):
    path, trap = tmp_path / "hostile.pt", tmp_path / "created"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(hostile(trap)))
    else:
        state = load_checkpoint(tiny_checkpoint) | {"model": hostile(trap)}
        torch.save(state, path, _use_new_zipfile_serialization=kind == "checkpoint")
    with pytest.raises(InputError, match="hostile.pt: expected a checkpoint"):
        Tagger(path)
    assert not trap.exists()
    if kind != "pickle":
        torch.load(path, weights_only=False)  # without this care, the trap works
        assert trap.exists()


def test_every_part_is_described(tiny_checkpoint):
    assert set(load_checkpoint(tiny_checkpoint)) == set(PARTS)


class WithAttributes:
    """It is loaded as a dict that has attributes in place of its methods."""

    def __reduce__(self):
        methods = dict.fromkeys(("keys", "items", "values", "get", "copy"), 1)
        return collections.OrderedDict, ([("a", 1)],), methods


def nested(depth):
    """A list in a list in a list, and so on."""
    inner = []
    for _ in range(depth):
        inner = [inner]
    return inner


ODD_PARTS = {
    "missing": lambda state, part: state.pop(part),
    "a number": lambda state, part: state.update({part: 1j}),
    "a tensor": lambda state, part: state.update({part: torch.tensor(1)}),
    "true": lambda state, part: state.update({part: True}),
    "a type": lambda state, part: state.update({part: torch.float64}),
    "odd things": lambda state, part: state.update({part: [None, "a", {1: 2}]}),
    "odd entries": lambda state, part: state.update({part: {1: {"a": [2]}}}),
    "methods of its own": lambda state, part: state.update({part: WithAttributes()}),
    "nested": lambda state, part: state.update({part: nested(400)}),
    # What fits its kind, but not the other parts.
    "other format": lambda state, part: state.update(format=2),
    "no settings": lambda state, part: state["settings"].clear(),
    "maps": lambda state, part: state["word_map"].update(hotel=999),
    "one word more": lambda state, part: state["word_map"].update(x=len(state["word_map"])),
    "argument": lambda state, part: state["model_arguments"].pop("tagset_size"),
    "size": lambda state, part: state["model_arguments"].update(char_rnn_dim=7),
    "no weights": lambda state, part: state["model"].clear(),
    "other weights": lambda state, part: state["model"].update(x=torch.ones(1)),
    "no numbers": lambda state, part: next(iter(state["model"].values())).fill_(math.nan),
}


@pytest.mark.parametrize("odd", ODD_PARTS)
def test_a_checkpoint_with_an_odd_part_is_one_line(resumed, as_command, odd):
    train, path = resumed
    whole, number = torch.load(path, weights_only=True), list(ODD_PARTS).index(odd)
    for part in list(PARTS)[number % 3 :: 3 if number else 1] if number < 9 else ["one"]:
        state = copy.deepcopy(whole)
        ODD_PARTS[odd](state, part)
        torch.save(state, path)
        with pytest.raises(InputError) as refused:
            train.main() if part in FOR_TRAINING else Tagger(path)
        sentence = str(refused.value)
        assert sentence.startswith(f"{path}: expected ") and "\n" not in sentence
        assert len(sentence) < len(str(path)) + 300
    status, errors = as_command(train.main)
    assert status == 1 and errors == [f"Error: {sentence}"]


UNFIT_TO_RESUME = {
    "no momentum": lambda s: s["optimizer"].clear(),
    "deep momentum": lambda s: s["optimizer"].update(state=nested(400)),
    "random numbers of nothing": lambda s: s["rng"][0].clear(),
    "random numbers of no kind": lambda s: s["rng"][0].update(cpu=torch.ones(3)),
    "a weight too few": lambda s: s["weights"].pop(),
    "a weight of another size": lambda s: s["weights"].__setitem__(0, torch.ones(3)),
    "a weight of one number": lambda s: s["weights"].__setitem__(0, torch.ones(1)),
}


@pytest.mark.parametrize("unfit", UNFIT_TO_RESUME)
def test_checkpoints_that_can_only_tag(resumed, as_command, unfit):
    train, path = resumed
    changed(path, UNFIT_TO_RESUME[unfit])
    status, errors = as_command(train.main)
    assert status == 1 and len(errors) == 1
    assert errors[0].startswith(f"Error: {path}: expected a checkpoint")
    assert len(Tagger(path).tag([["Paris"]])[0]) == 1


# Resuming with other data -----------------------------------------------------------------------


def test_tags_that_only_new_training_data_have(resumed, monkeypatch, tmp_path, capsys):
    train, _ = resumed
    (tmp_path / "more.txt").write_text(TINY_CORPUS + "\nMore I-NEW\n")
    monkeypatch.setattr(train, "train_file", str(tmp_path / "more.txt"))
    train.main()
    assert "more.txt: tags unseen in training count as wrong" in capsys.readouterr().out


def test_training_data_without_a_known_tag(resumed, monkeypatch, tmp_path, capsys):
    """The Viterbi loss skips every sentence; the language models still learn."""
    train, path = resumed
    (tmp_path / "new.txt").write_text("Dunston NEW\nchecks NEW\n\nin NEW\n")
    monkeypatch.setattr(train, "train_file", str(tmp_path / "new.txt"))
    monkeypatch.setattr(train, "criterion", "accuracy")
    train.main()
    entry = load_checkpoint(train.last_file)["history"][-1]
    assert entry["epoch"] == 2 and entry["tag_loss"] == 0


# Memory, tables, names ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where",
    [
        "torch.load",
        "zipfile.ZipFile.testzip",
        "inference.LM_LSTM_CRF",
        "train.LM_LSTM_CRF",
        "torch.Tensor.isfinite",
        "machinery.average.WeightAverage.load",
        "train.ViterbiLoss.forward",
        "inference.ViterbiDecoder.decode",
        "machinery.vectors.gzip.GzipFile",
    ],
)
@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory")])
def test_memory_that_ends_anywhere_is_no_damage(
    resumed, monkeypatch, as_command, tmp_path, where, error
):
    """Whatever has no room for its numbers: no file is called damaged for it."""
    train, path = resumed
    if where.startswith(("train.LM", "machinery.vectors")):
        monkeypatch.setattr(train, "checkpoint", None)
        monkeypatch.setattr(train, "emb_file", str(tmp_path / "v.gz"))
        (tmp_path / "v.gz").write_bytes(gzip.compress(b"a 1 2\n"))

    def fail(*arguments, **keywords):
        raise error

    monkeypatch.setattr(where, fail)
    status, (line,) = as_command(train.main)
    assert status == 1 and line.startswith("Error: memory ended (")
    if "inference" in where or where in ("torch.load", "torch.Tensor.isfinite"):
        with pytest.raises(type(error)):
            Tagger(path).tag([["Paris"]])


@pytest.mark.parametrize("state", ["missing", "a row too few", "of nothing"])
def test_a_resumed_run_has_a_whole_table_even_if_nothing_is_left_to_train(
    tiny_train, monkeypatch, tmp_path, capsys, state
):
    """A kill may have come between the checkpoint and the table."""
    tiny_train.main()
    table = tmp_path / "last.csv"
    whole = table.read_text()
    contents = {"a row too few": whole[: whole.rindex("\n2,") + 1], "of nothing": ""}
    table.unlink() if state == "missing" else table.write_text(contents[state])
    monkeypatch.setattr(tiny_train, "checkpoint", tiny_train.last_file)
    tiny_train.main()
    assert table.read_text() == whole and f"epoch: {table}" in capsys.readouterr().out
    # Elsewhere, a checkpoint may have none: then none is named, nor written.
    (tmp_path / "other").mkdir()
    shutil.copy(tiny_train.last_file, tmp_path / "other" / "copy.pt")
    monkeypatch.setattr(tiny_train, "checkpoint", str(tmp_path / "other" / "copy.pt"))
    tiny_train.main()
    assert "copy.csv" not in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["copy.pt"]


def test_no_change_is_said_of_what_nobody_set(resumed, monkeypatch, capsys):
    """Without validation data, the criterion decides nothing."""
    train, _ = resumed
    for before, now in ((None, train.val_file), (train.val_file, None)):
        monkeypatch.setattr(train, "checkpoint", None)
        monkeypatch.setattr(train, "val_file", before)
        monkeypatch.setattr(train, "epochs", 1)
        train.main()
        monkeypatch.setattr(train, "checkpoint", train.last_file)
        monkeypatch.setattr(train, "val_file", now)
        capsys.readouterr()
        train.main()
        assert re.findall("Changed .*: ([a-z_]+) is", capsys.readouterr().out) == ["val_file"]


NO_FILES = {  # constants of train.py, or options of inference.py
    "checkpoint=pipe": "pipe: expected a file, found a device or a pipe",
    f"checkpoint={os.devnull}": f"{os.devnull}: expected a file, found a device",
    f"last_file={os.devnull}": f"{os.devnull}: expected a file or no file yet",
    "best_file=link_to_pipe": "link_to_pipe: expected a file or no file yet",
    "best_file=folder": "folder: expected a file or no file yet",
    "best_file=last.pt.lock": "lock of last_file: expected a file of its own",
    "train_file=best.pt.lock": "lock of best_file: expected a file of its own",
    "--checkpoint pipe": "pipe: expected a file, found a device or a pipe",
    "--checkpoint folder": "folder: ",
    "--errors pipe": "pipe: expected a file or no file yet",
    "--errors link_to_pipe": "link_to_pipe: expected a file or no file yet",
    f"--errors {os.devnull}": f"{os.devnull}: expected a file or no file yet",
    "--errors folder": "folder: expected a file or no file yet",
    "--errors folder/none/../../model.pt": "--errors: expected a file to write, found one to read",
    "--errors link_to_model": "--errors: expected a file to write, found one to read",
    "--errors other_name_of_model": "--errors: expected a file to write, found one to read",
    "--errors link_to_gold": "--errors: expected a file to write, found one to read",
    "--errors other_name_of_gold": "--errors: expected a file to write, found one to read",
    "--conll gold >> gold": "stdout: expected a file to write, found one to read: gold",
    "--conll gold --html >> link_to_gold": "stdout: expected a file to write",
    "--conll - --json < gold >> other_name_of_gold": "stdout: expected a file to write",
    "--evaluate gold >> model.pt": "stdout: expected a file to write, found one to read: model.pt",
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
@pytest.mark.parametrize("given", NO_FILES)
def test_what_is_written_is_a_file_that_nobody_reads(
    tiny_train, tiny_checkpoint, tiny_corpus, monkeypatch, tmp_path, as_command, given
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link_to_pipe").symlink_to("pipe")
    for name, source in (("model.pt", tiny_checkpoint), ("gold", tiny_corpus)):
        shutil.copy(source, tmp_path / name)
        (tmp_path / f"link_to_{name[:5].strip('.')}").symlink_to(name)
        os.link(name, f"other_name_of_{name[:5].strip('.')}")
    before = {path.name: path.is_file() and path.read_bytes() for path in tmp_path.iterdir()}
    if "=" in given:
        name, _, value = given.partition("=")
        monkeypatch.setattr(tiny_train, name, value)
        for other in {"last_file", "best_file"} - {name}:
            monkeypatch.setattr(tiny_train, other, other.replace("_file", ".pt"))
        status, errors = as_command(tiny_train.main)
    else:
        options, _, stdout = given.partition(" >> ")
        options, _, stdin = options.partition(" < ")
        more = ["--evaluate", "gold"] if "--errors" in options or "--check" in options else []
        model = [] if "--check" in options else ["--checkpoint", "model.pt"]
        monkeypatch.setattr(sys, "argv", ["inference.py", *more, *model, *options.split()])
        with open(stdin or "gold") as read, open(stdout or os.devnull, "a") as written:
            monkeypatch.setattr(sys, "stdin", read)
            monkeypatch.setattr(sys, "stdout", written)
            status, errors = as_command(inference.main)
            monkeypatch.setattr(sys, "stdout", sys.__stdout__)
    assert status == 1 and len(errors) == 1 and errors[0].startswith(f"Error: {NO_FILES[given]}")
    after = {path.name: path.is_file() and path.read_bytes() for path in tmp_path.iterdir()}
    assert after == before


@pytest.mark.parametrize(
    "given, found",
    [
        ("Paris is old", "expected a list of .*, found one: 'Paris is old'"),
        (b"Paris", "expected a list of .*, found one: b'Paris'"),
        (None, "expected a list of .*, found None"),
        (3, "expected a list of .*, found 3"),
        (math.nan, "expected a list of .*, found nan"),
        ({"a": ["b"]}, "expected a list of .*, found {'a': "),
        ([["a"], b"b"], "sentence 2: expected a list of words, found b'b'"),
        ([["a"], None], "sentence 2: expected a list of words, found None"),
        ([["a"], 3], "sentence 2: expected a list of words, found 3"),
        ([["a"], {"b"}], "sentence 2: expected a list of words, found {'b'}"),
        ([["a"], {"b": 1}], "sentence 2: expected a list of words, found {'b': 1}"),
        ([["a"], (word for word in "b")], "sentence 2: expected a list of words, found <generator"),
        ([("a", ("b",))], r"sentence 1, word 2: expected a string, found \('b',\)"),
        ([[["a"]]], "sentence 1, word 1: expected a string, found "),
    ],
)
def test_what_is_no_list_of_lists_of_words_is_named(tiny_checkpoint, given, found):
    tagger = Tagger(tiny_checkpoint)
    methods = tagger.tag, tagger.tag_with_confidence, tagger.entities, lambda s: tagger.nbest(s, 2)
    for method in (*methods, lambda sentences: list(tagger.stream(sentences))):
        with pytest.raises(TypeError, match=found):
            method(given)
    for count in ("2", 2.0, None, math.nan):
        with pytest.raises(InputError, match=f"nbest: expected a number .*, found {count!r}"):
            tagger.nbest([["a"]], count)
    two = tagger.tag([["a", "b"], ["b"]])
    assert (
        two
        == tagger.tag(iter([("a", "b"), ("b",)]))
        == tagger.tag(list(some) for some in ("ab", "b"))
    )


# Fuzzing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("files", [50, pytest.param(5000, marks=pytest.mark.slow)])
def test_mutated_files_are_used_or_refused(tiny_checkpoint, tmp_path, monkeypatch, files):
    """In its own process, where a crash in C++ code is an exit status like any other, and without
    touching what a user has trained."""
    pytest.importorskip("resource")
    monkeypatch.chdir(tmp_path)
    (tmp_path / train.best_file).write_text("a user's")
    team = Team(1, tmp_path, fuzz.main, tiny_checkpoint, tmp_path, files)
    statuses, output, errors = team.wait(300 + files)
    assert statuses == [0], errors
    print(output)
    assert output.count(" used, ") == 6
    assert list(tmp_path.glob("best*")) == [tmp_path / train.best_file]


# Names of files ----------------------------------------------------------------------------------


def test_escape_codes_in_the_names_of_files_do_not_reach_the_terminal(
    tiny_train, monkeypatch, tmp_path, as_command, run_inference, capsys
):
    folder = tmp_path / "a\x1b[31mb\ncolour"
    folder.mkdir()
    (folder / "data").write_text(TINY_CORPUS)
    (folder / "wrong").write_text("a\n")
    (folder / "vectors").write_text("a 1 2\nb 3 4\n")
    for name in ("train_file", "val_file", "test_file"):
        monkeypatch.setattr(tiny_train, name, str(folder / "data"))
    for name in ("last_file", "best_file"):
        monkeypatch.setattr(tiny_train, name, str(folder / f"{name}.pt"))
    monkeypatch.setattr(tiny_train, "emb_file", str(folder / "vectors"))
    said = []

    def train_with(**constants):
        for name, value in constants.items():
            monkeypatch.setattr(tiny_train, name, value)
        run_script(tiny_train.main)
        said.append("".join(capsys.readouterr()))

    train_with()
    train_with(seed=2)  # keeps the files of the first aside
    train_with(checkpoint=tiny_train.last_file, criterion="accuracy", epochs=3)
    train_with(epochs=0, constrain_tags=False)
    monkeypatch.setattr(tiny_train, "test_file", str(folder / "wrong"))
    status, errors = as_command(tiny_train.main)
    assert status == 1 and len(errors) == 1
    said += [*errors, report.how_to_resume(tiny_train.last_file, 0)]
    options = ["--checkpoint", tiny_train.best_file, "--evaluate", folder / "data"]
    _, errors, output = run_inference(*options, "--errors", folder / "errors")
    said += [*errors, output]
    text = "\n".join(said)
    assert text.count("a\\x1b[31mb\\ncolour") > 20
    assert "\x1b" not in text and "\ncolour" not in text
