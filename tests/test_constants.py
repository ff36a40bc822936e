"""The constants of train.py: what each may be, in the file, in a notebook, on the command line."""

import ast
import contextlib
import fractions
import pathlib
import sys

import pytest
import torch
from common import TINY_CORPUS, differences
from constants_table import ROWS

import train
from machinery import runs
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
    assert [name for name in assigned if name.islower()] == list(CONSTANTS)
    constants = vars(checked(vars(train), train.RECIPES))
    assert set(constants) == {*CONSTANTS, "from_recipe"}
    for recipe in train.RECIPES.values():
        assert all(getattr(train, name) is None for name in recipe)


def test_every_constant_has_a_row():
    """Among the tests, too: another value of each, what that means, and wrong ones."""
    assert list(ROWS) == list(CONSTANTS)
    assert {n: row.role for n, row in ROWS.items()} == {n: c.role for n, c in CONSTANTS.items()}
    plain = {name: row.other for name, row in ROWS.items() if row.other is not ...}
    assert {name: plain_value(name, value) for name, value in plain.items()} == plain
    assert not [name for name, value in plain.items() if getattr(train, name) == value]


def test_a_recipe_fills_in_what_is_none():
    given = vars(train) | dict(optimizer="sgd", lr=None, unk_rate=0.25)
    constants = checked(given, train.RECIPES)
    assert constants.lr == 0.015 and constants.unk_rate == 0.25 and constants.grad_clip == 5
    assert checked(given | dict(grad_clip=None), train.RECIPES).grad_clip is None


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_wrong_value_is_one_line(tiny_train, monkeypatch, as_command, tmp_path, name):
    """Before anything is read or written. Where None is wrong, a recipe may have a better value."""
    before = sorted(tmp_path.iterdir())
    for wrong in ROWS[name].wrong:
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
    tried = [0, 1, 2, 10, 0.25, False, "a", "IOB2", "f1", "sgd", ["a", "b"], ("a",)]
    tried += [fractions.Fraction(1, 4), torch.tensor(1), pathlib.PurePosixPath("a")]
    accepted = 0
    for value in tried:
        with contextlib.suppress(InputError):
            plain = plain_value(name, value)
            accepted += 1
            assert type(plain) in (int, float, bool, str, list)
            value = list(value) if isinstance(value, tuple) else value
            value = str(value) if isinstance(value, pathlib.PurePath) else value
            again = plain_value(name, plain)
            assert plain == value == again and type(again) is type(plain)
    assert 0 < accepted < len(tried)


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
    assert ("The model of epoch 3:" in output) == test_file and "validation" not in output
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
