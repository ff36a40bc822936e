"""The constants of train.py: what each may be, in the file, in a notebook, on the command line."""

import ast
import contextlib
import fractions
import math
import pathlib
import sys

import pytest
import torch
from conftest import TINY_CORPUS, differences

import train
from machinery import device, runs
from machinery.checkpoints import load_checkpoint
from machinery.constants import CONSTANTS, assign, checked, plain_value
from machinery.errors import InputError

# The table ---------------------------------------------------------------------------------------


def test_the_table_has_every_constant_of_the_script(root):
    tree = ast.parse((root / "train.py").read_text(encoding="utf-8"))
    assigned = [
        target.id
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
    ]
    assert [name for name in assigned if name != "RECIPES"] == list(CONSTANTS)
    constants = vars(checked(vars(train), train.RECIPES))
    assert set(constants) == {*CONSTANTS, "from_recipe"}
    for recipe in train.RECIPES.values():
        assert all(getattr(train, name) is None for name in recipe)


def test_a_recipe_fills_in_what_is_none():
    given = vars(train) | dict(optimizer="sgd", lr=None, unk_rate=0.25)
    constants = checked(given, train.RECIPES)
    assert constants.lr == 0.015 and constants.unk_rate == 0.25 and constants.grad_clip == 5
    assert checked(given | dict(grad_clip=None), train.RECIPES).grad_clip is None


class Odd:
    """Neither a number nor a path."""

    def __repr__(self):
        return "x" * 1000


NEVER = [Odd(), print, {}, [], [1], b"a", "", "\0", 1j, torch.ones(2)]
NEVER += [math.nan, math.inf, -math.inf]
NO_NUMBER = [*NEVER, "0.5", "1", "a", True, None]
NO_WHOLE = [*NO_NUMBER, 0.5, 10**30, fractions.Fraction(1, 2)]
NO_FLAG = [*NEVER, None, "True", "", 2, -1, 0.5]
NO_PATH = [Odd(), {}, b"a", 1j, 1, 0.5, True, "", "\0", "a\0b", torch.ones(2), print]
WRONG = dict(
    train_file=[*NO_PATH, None, [], [None], ["a", ""], [["a"]]],
    val_file=[*NO_PATH, []],
    test_file=NO_PATH,
    emb_file=NO_PATH,
    checkpoint=NO_PATH,
    last_file=[*NO_PATH, None],
    best_file=[*NO_PATH, None],
    tag_scheme=[*NEVER, "IOB", "iob2", 2, True],
    optimizer=[*NEVER, None, "adam", "SGD"],
    criterion=[*NEVER, None, "f2", "F1"],
    word_column=[*NO_WHOLE, 10**6],
    tag_column=[*NO_WHOLE, 10**6],
    seed=[*NO_WHOLE, 2**64],
    highway_layers=[*NO_WHOLE, -1, 20_000],
    attention_heads=[*NO_WHOLE, -1],
    epochs=[*NO_WHOLE, -1],
    dropout=[*NO_NUMBER, -0.1, 1, 1.5],
    momentum=[*NO_NUMBER, -0.1, 1],
    weight_decay=[*NO_NUMBER, -0.1, 1],
    grad_clip=[wrong for wrong in NO_NUMBER if wrong is not None] + [0, 0.0, -5],
)
WRONG |= dict.fromkeys(
    "min_word_freq min_lm_freq min_char_freq char_emb_dim char_rnn_dim char_rnn_layers "
    "word_emb_dim word_rnn_dim word_rnn_layers batch_size eval_batch_size patience".split(),
    [*NO_WHOLE, 0, -1, 10**18],
)
WRONG |= dict.fromkeys(
    "caseless expand_vocab use_characters co_training bidirectional use_crf constrain_tags "
    "fine_tune_word_embeddings half_precision".split(),
    NO_FLAG,
)
WRONG |= dict.fromkeys(["lr", "lr_decay", "unk_rate", "averaging"], [*NO_NUMBER, -0.1])


def test_every_constant_has_wrong_values_here():
    assert set(WRONG) == set(CONSTANTS)


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_wrong_value_is_one_line(tiny_train, monkeypatch, as_command, tmp_path, name):
    """Before anything is read or written. Where None is wrong, a recipe may have a better value."""
    before = sorted(tmp_path.iterdir())
    for wrong in WRONG[name]:
        if wrong is None and name in train.RECIPES["adamw"]:
            continue
        with monkeypatch.context() as patch:
            patch.setattr(tiny_train, name, wrong)
            status, errors = as_command(tiny_train.main)
        assert status == 1 and len(errors) == 1, (wrong, errors)
        assert errors[0].startswith(f"Error: {name}: expected ") and ", found " in errors[0]
        assert len(errors[0]) < 250 and "\0" not in errors[0]
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", CONSTANTS)
def test_what_is_not_refused_is_plain(name):
    """Whatever is tried: the value that is used equals what was given, and can be saved."""
    others = [0, 1, 2, 10, 0.25, False, "a", "IOB2", "f1", "sgd", ["a", "b"], ("a",)]
    others += [fractions.Fraction(1, 4), torch.tensor(1), pathlib.PurePosixPath("a")]
    accepted = 0
    for value in others:
        with contextlib.suppress(InputError):
            plain = plain_value(name, value)
            accepted += 1
            assert type(plain) in (int, float, bool, str, list)
            value = list(value) if isinstance(value, tuple) else value
            value = str(value) if isinstance(value, pathlib.PurePath) else value
            again = plain_value(name, plain)
            assert plain == value == again and type(again) is type(plain)
    assert 0 < accepted < len(others)


def test_what_cannot_be_loaded_is_said_after_the_first_epoch(
    tiny_train, monkeypatch, as_command, tmp_path
):
    """Not when the checkpoint is needed, hours later."""
    kept = runs.kept_settings
    monkeypatch.setattr(
        runs, "kept_settings", lambda *given: kept(*given) | dict(lr=fractions.Fraction(1, 2))
    )
    status, errors = as_command(tiny_train.main)
    assert status == 1 and len(errors) == 1
    assert ".pt: expected a checkpoint of train.py, found a damaged or different file" in errors[0]
    assert not list(tmp_path.glob("*.pt"))


# On the command line -----------------------------------------------------------------------------


@pytest.fixture
def script(tiny_train, monkeypatch, as_command):
    """Runs `python train.py ...` in this process; :return: exit status and lines on stderr"""

    def run(*arguments):
        with monkeypatch.context() as patch:
            for name in CONSTANTS:
                patch.setattr(tiny_train, name, getattr(tiny_train, name))  # put back afterwards
            patch.setattr(sys, "argv", ["train.py", *arguments])
            return as_command(tiny_train.script)

    return run


def test_constants_by_name(script, tmp_path):
    last = tmp_path / "named.pt"
    given = ["epochs=1", "lr=1e-3", "tag_scheme=BIOES", "val_file=None", f"last_file={last}"]
    assert script(*given, "grad_clip=None", "highway_layers= 2") == (0, [])
    settings = load_checkpoint(last)["settings"]
    assert (settings["lr"], settings["tag_scheme"], settings["val_file"]) == (1e-3, "BIOES", None)
    assert settings["grad_clip"] is None and settings["highway_layers"] == 2


@pytest.mark.parametrize(
    "argument, value",
    [
        ("train_file=['a.txt', 'b.txt']", ["a.txt", "b.txt"]),
        ("train_file=data/a b=c.txt", "data/a b=c.txt"),
        ("criterion='accuracy'", "accuracy"),
        ("seed=-5", -5),
        ("lr=" + "(" * 10_000, "(" * 10_000),
        ("lr={[]: 1}", "{[]: 1}"),
        ("lr=", ""),
    ],
)
def test_values_are_literals_or_strings(argument, value):
    module = {}
    assign(module, [argument])
    assert module == {argument.partition("=")[0]: value}


@pytest.mark.parametrize(
    "argument, message",
    [
        ("epoch=3", "found 'epoch=3'; did you mean epochs?"),
        ("word_dim=3", "found 'word_dim=3'; did you mean word_rnn_dim?"),
        ("--epochs=3", "found '--epochs=3'; did you mean epochs?"),
        ("epochs", "found 'epochs'; did you mean epochs?"),
        ("RECIPES={}", "expected a constant of train.py and its value, such as epochs=20, found"),
        ("20", "found '20'"),
        ("epochs=three", "epochs: expected a whole number from 0 to 1,000,000, found 'three'"),
        ("lr=", "lr: expected a number from 0 on, found ''"),
        ("last_file=1", "last_file: expected the path of a file, found 1"),
    ],
)
def test_a_wrong_argument_is_one_line(script, tmp_path, argument, message):
    status, errors = script(argument)
    assert status == 1 and len(errors) == 1
    assert errors[0].startswith("Error: ") and errors[0].endswith(message) or message in errors[0]
    assert not list(tmp_path.glob("*.pt"))


# Files of data -----------------------------------------------------------------------------------


def test_several_training_files_are_one(tiny_train, monkeypatch, tmp_path, on_cpu):
    first, second = TINY_CORPUS.split("\n\n", 1)
    for name, text in (("first", first + "\n"), ("second", second)):
        (tmp_path / f"{name}.txt").write_text(text)
    tiny_train.main()
    files = [str(tmp_path / "first.txt"), tmp_path / "second.txt"]
    monkeypatch.setattr(tiny_train, "train_file", files)
    monkeypatch.setattr(tiny_train, "last_file", str(tmp_path / "two.pt"))
    tiny_train.main()
    assert differences(tmp_path / "last.pt", tmp_path / "two.pt") == []


@pytest.mark.parametrize("test_file", [True, False])
def test_without_validation_data_the_last_epoch_counts(
    tiny_train, monkeypatch, capsys, on_cpu, tmp_path, stop_after, test_file
):
    for name, value in dict(val_file=None, epochs=3, patience=1).items():
        monkeypatch.setattr(tiny_train, name, value)
    monkeypatch.setattr(tiny_train, "test_file", tiny_train.train_file if test_file else None)
    result = tiny_train.main()
    assert (result is not None) == test_file
    output = capsys.readouterr().out.replace(str(tmp_path), "")
    assert "The model of epoch 3:" in output and "validation" not in output
    assert "best" not in output.replace("best.pt", "").lower()
    only_in_last = {"model", "weights", "averaged", "optimizer", "rng"}
    assert set(differences(tiny_train.last_file, tiny_train.best_file)) == only_in_last
    history = load_checkpoint(tiny_train.last_file)["history"]
    assert [set(entry) for entry in history] == [
        {"epoch", "seconds", "lr", "lm_loss", "tag_loss", "best"}
    ] * 3

    monkeypatch.setattr(tiny_train, "last_file", str(tmp_path / "resumed.pt"))
    stop_after(2)
    monkeypatch.setattr(tiny_train, "checkpoint", tiny_train.last_file)
    tiny_train.main()
    assert differences(tmp_path / "last.pt", tiny_train.last_file) == []


# Changed on resuming -----------------------------------------------------------------------------

OTHER = dict(
    word_column=-2,  # the same column, by another number
    tag_column=1,
    min_word_freq=2,
    min_lm_freq=2,
    min_char_freq=2,
    caseless=False,
    expand_vocab=False,
    tag_scheme="BIOES",
    use_characters=False,
    co_training=False,
    highway_layers=2,
    bidirectional=False,
    attention_heads=2,
    use_crf=False,
    constrain_tags=False,
    char_emb_dim=6,
    char_rnn_dim=7,
    char_rnn_layers=2,
    word_emb_dim=8,
    word_rnn_dim=10,
    word_rnn_layers=2,
    dropout=0.25,
    fine_tune_word_embeddings=False,
    optimizer="sgd",
    lr=0.125,
    lr_decay=0.125,
    momentum=0.125,
    weight_decay=0.125,
    grad_clip=1.0,
    averaging=0.125,
    unk_rate=0.125,
    batch_size=3,
    eval_batch_size=3,
    half_precision=True,
    epochs=2,
    patience=3,
    criterion="accuracy",
    seed=3,
)


def test_what_another_value_means():
    """Written out, since the other tests go by the table."""
    roles = dict(
        model="use_characters co_training highway_layers bidirectional attention_heads use_crf "
        "char_emb_dim char_rnn_dim char_rnn_layers word_emb_dim word_rnn_dim word_rnn_layers",
        fixed="word_column tag_column min_word_freq min_lm_freq min_char_freq caseless "
        "expand_vocab tag_scheme fine_tune_word_embeddings",
        score="val_file constrain_tags criterion",
        free="test_file emb_file eval_batch_size epochs checkpoint last_file best_file",
    )
    expected = {name: role for role, names in roles.items() for name in names.split()}
    assert {n: c.role for n, c in CONSTANTS.items()} == dict.fromkeys(
        CONSTANTS, "training"
    ) | expected


def test_every_constant_but_paths_has_another_value_here():
    paths = {"checkpoint", *(name for name in CONSTANTS if name.endswith("_file"))}
    assert set(OTHER) == set(CONSTANTS) - paths


@pytest.mark.parametrize("name", OTHER)
def test_another_value_on_resuming(
    tiny_train, tiny_checkpoint, monkeypatch, tmp_path, capsys, as_command, request, name
):
    """Another model is refused; what decides scores or training is said; the rest is free."""
    role = CONSTANTS[name].role
    if name == "half_precision":
        request.getfixturevalue("computes_bfloat16")
    monkeypatch.setattr(device, "_has_bfloat16", lambda _: True)
    monkeypatch.setattr(tiny_train, "checkpoint", str(tiny_checkpoint))
    monkeypatch.setattr(tiny_train, "epochs", 1)
    monkeypatch.setattr(tiny_train, name, OTHER[name])
    if role in ("model", "fixed"):
        status, errors = as_command(tiny_train.main)
        assert status == 1 and len(errors) == 1
        assert f"expected the same to resume it, found {OTHER[name]!r}" in errors[0]
        return
    monkeypatch.setattr(tiny_train, "fine_tune_word_embeddings", True)  # whatever the recipe says
    tiny_train.main()
    output = capsys.readouterr().out
    said = [line.split()[6] for line in output.splitlines() if line.startswith("Changed")]
    if name == "optimizer":  # and what its recipe says
        assert said == ["optimizer", "lr", "lr_decay", "averaging", "unk_rate"]
    else:
        assert said == [name] * (role != "free")
    assert ("the search for the best epoch restarts" in output) == (role == "score")
