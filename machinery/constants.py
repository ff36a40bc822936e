"""The constants of train.py: what each may be, and what a new value means for a resumed run.

checked   the module's constants, brought to plain Python values, or refused in a sentence
assign    `python train.py epochs=20 lr=0.001` sets them from the command line
"""

import ast
import difflib
import math
import operator
import os
import types
from typing import NamedTuple

from machinery.errors import InputError

# What a new value of a constant means when a checkpoint is resumed.
MODEL = "model"  # another network: refused; these are arguments of LM_LSTM_CRF
FIXED = "fixed"  # another encoding of the data: refused
SCORE = "score"  # scores that cannot be compared: said, and the search for the best epoch restarts
TRAINING = "training"  # training goes on in another way: said
FREE = "free"  # nothing that a score or the weights depend on


class Constant(NamedTuple):
    """What a constant may be, in words and as a function that gives its plain value."""

    expected: str
    plain: callable  # raises TypeError or ValueError for values that it cannot be
    role: str


def flag(role):
    """True or False, or what is equal to them, such as 1 or a NumPy bool."""

    def plain(value):
        if isinstance(value, str) or value not in (0, 1):
            raise ValueError
        return bool(value)

    return Constant("True or False", plain, role)


def whole(role, lowest, highest=2**31 - 1):
    """An integer, of whatever library."""

    def plain(value):
        if isinstance(value, bool) or not lowest <= operator.index(value) <= highest:
            raise ValueError
        return operator.index(value)

    return Constant(f"a whole number from {lowest:,} to {highest:,}", plain, role)


def number(role, expected, allowed):
    """A finite number for which `allowed` is true, of whatever library."""

    def plain(value):
        if isinstance(value, (bool, str, bytes)) or not math.isfinite(value := float(value)):
            raise ValueError
        if not allowed(value):
            raise ValueError
        return value

    return Constant(f"a number {expected}", plain, role)


def choice(role, *names):
    """One of some strings."""

    def plain(value):
        if not isinstance(value, str) or value not in names:
            raise ValueError
        return str(value)

    return Constant(f"one of {', '.join(map(repr, names))}", plain, role)


def text(role):
    """A string."""

    def plain(value):
        if not isinstance(value, str) or not value:
            raise ValueError
        return str(value)

    return Constant("a name", plain, role)


def path(role=FREE):
    """The name of a file."""

    def plain(value):
        value = os.fspath(value)
        if not isinstance(value, str) or not value or "\0" in value:
            raise ValueError
        return str(value)

    return Constant("the path of a file", plain, role)


def paths(role):
    """The name of a file, or a list of names."""
    one = path().plain

    def plain(value):
        if not isinstance(value, (list, tuple)):
            return one(value)
        if not value:
            raise ValueError
        return [one(name) for name in value]

    return Constant("the path of a file, or a list of paths", plain, role)


def optional(constant):
    """What `constant` may be, or None."""
    expected, plain, role = constant
    return Constant(f"{expected}, or None", lambda v: None if v is None else plain(v), role)


POSITIVE = "above 0", lambda value: value > 0
NOT_NEGATIVE = "from 0 on", lambda value: value >= 0
BELOW_1 = "from 0 to below 1", lambda value: 0 <= value < 1
SHARE = "from 0 to 1", lambda value: 0 <= value <= 1

CONSTANTS = dict(
    train_file=paths(TRAINING),
    val_file=optional(path(SCORE)),
    test_file=optional(path()),
    word_column=whole(FIXED, -1000, 1000),
    tag_column=whole(FIXED, -1000, 1000),
    emb_file=optional(path()),
    min_word_freq=whole(FIXED, 1),
    min_lm_freq=whole(FIXED, 1),
    min_char_freq=whole(FIXED, 1),
    caseless=flag(FIXED),
    expand_vocab=flag(FIXED),
    tag_scheme=optional(choice(FIXED, "IOB2", "BIOES")),
    use_characters=flag(MODEL),
    co_training=flag(MODEL),
    highway_layers=whole(MODEL, 0, 100),
    bidirectional=flag(MODEL),
    attention_heads=whole(MODEL, 0, 1000),
    use_crf=flag(MODEL),
    constrain_tags=flag(SCORE),
    char_emb_dim=whole(MODEL, 1, 10**5),
    char_rnn_dim=whole(MODEL, 1, 10**5),
    char_rnn_layers=whole(MODEL, 1, 100),
    word_emb_dim=whole(MODEL, 1, 10**5),
    word_rnn_dim=whole(MODEL, 1, 10**5),
    word_rnn_layers=whole(MODEL, 1, 100),
    dropout=number(TRAINING, *BELOW_1),
    fine_tune_word_embeddings=flag(FIXED),
    optimizer=text(TRAINING),  # `checked` says which: train.py alone knows the optimizers
    lr=number(TRAINING, *NOT_NEGATIVE),
    lr_decay=number(TRAINING, *NOT_NEGATIVE),
    momentum=number(TRAINING, *BELOW_1),
    weight_decay=number(TRAINING, *BELOW_1),
    grad_clip=optional(number(TRAINING, *POSITIVE)),
    averaging=number(TRAINING, *BELOW_1),
    unk_rate=number(TRAINING, *SHARE),
    batch_size=whole(TRAINING, 1, 10**6),
    eval_batch_size=whole(FREE, 1, 10**6),
    half_precision=flag(TRAINING),
    epochs=whole(FREE, 0, 10**6),
    patience=whole(TRAINING, 1),
    criterion=choice(SCORE, "f1", "entity_f1", "macro_f1", "accuracy"),
    seed=whole(TRAINING, -(2**63), 2**64 - 1),
    checkpoint=optional(path()),
    last_file=path(),
    best_file=path(),
)


def names(*roles):
    """The names of the constants with one of these roles."""
    return [name for name, constant in CONSTANTS.items() if constant.role in roles]


def plain_value(name, value):
    """The value of a constant as a plain Python value: a NumPy number as a float, 1 as True.

    :raises InputError: it is nothing that the constant may be
    """
    expected, plain, _ = CONSTANTS[name]
    try:
        return plain(value)
    except (ArithmeticError, RuntimeError, TypeError, ValueError):
        found = repr(value)
        found = found if len(found) <= 60 else f"{found[:57]}..."
        raise InputError(f"{name}: expected {expected}, found {found}") from None


def is_plain(name, value):
    """Whether it is what plain_value gives."""
    try:
        plain = plain_value(name, value)
    except InputError:
        return False
    return plain == value and type(plain) is type(value)


def checked(module, recipes):
    """The constants of a module, as plain values; those that are None, from the recipe.

    :param module: dict from name to value
    :param recipes: dict from optimizer to a dict of values
    :return: Constants, an attribute for each, and `from_recipe`, the names of those that were None
    :raises InputError: a constant has a value that it cannot have
    """
    values = {name: module[name] for name in CONSTANTS}
    optimizer = values["optimizer"]
    if not isinstance(optimizer, str) or optimizer not in recipes:
        expected = ", ".join(map(repr, recipes))
        raise InputError(f"optimizer: expected one of {expected}, found {repr(optimizer)[:60]}")
    recipe = {name: value for name, value in recipes[optimizer].items() if values[name] is None}
    plain = {name: plain_value(name, value) for name, value in (values | recipe).items()}
    return Constants(**plain, from_recipe=frozenset(recipe))


class Constants(types.SimpleNamespace):
    """The constants of a run. They do not change: what a run finds out has names of its own."""

    def __setattr__(self, name, value):
        raise AttributeError(f"{name}: the constants of a run do not change")


def assign(module, arguments):
    """Set constants from arguments such as "epochs=20"; what is no Python literal is a string.

    :param module: dict from name to value, changed
    :raises InputError: no constant has this name; whether it may have this value, `checked` says
    """
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals or name not in CONSTANTS:
            close = difflib.get_close_matches(name, CONSTANTS, n=1)
            meant = f"; did you mean {close[0]}?" if close else ""
            raise InputError(
                f"expected a constant of train.py and its value, such as epochs=20, found "
                f"{argument[:60]!r}{meant}"
            )
        try:
            value = ast.literal_eval(text)
        except (MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
            value = text
        module[name] = value
