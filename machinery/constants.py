"""The constants of train.py: what each may be, and what a new value means for a resumed run.

checked   the module's constants, brought to plain Python values, or refused in a sentence
assign    `python train.py epochs=20 lr=0.001` sets them from the command line
"""

import ast
import difflib
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


class Kind(NamedTuple):
    """What a value may be."""

    plain: type  # bool, int, float or str
    expected: str  # in words
    is_allowed: callable = bool  # a function of the plain value


class Constant(NamedTuple):
    """A row of the table."""

    role: str
    kind: Kind
    optional: bool = False  # it may be None
    several: bool = False  # it may be a list


def whole(lowest, highest=2**31 - 1):
    """The kind of a whole number."""
    words = f"a whole number from {lowest:,} to {highest:,}"
    return Kind(int, words, lambda value: lowest <= value <= highest)


def choice(*names):
    """The kind of a string that is one of some."""
    return Kind(str, f"one of {', '.join(map(repr, names))}", names.__contains__)


FLAG = Kind(bool, "True or False", lambda value: True)
PATH = Kind(str, "the path of a file", lambda value: value and "\0" not in value)
NAME = Kind(str, "a name")
COUNT, LAYERS, SIZE, COLUMN = whole(1), whole(1, 100), whole(1, 10**5), whole(-1000, 1000)
POSITIVE = Kind(float, "a number above 0", lambda value: 0 < value < float("inf"))
NOT_NEGATIVE = Kind(float, "a number from 0 on", lambda value: 0 <= value < float("inf"))
BELOW_1 = Kind(float, "a number from 0 to below 1", lambda value: 0 <= value < 1)
SHARE = Kind(float, "a number from 0 to 1", lambda value: 0 <= value <= 1)

CONSTANTS = dict(
    train_file=Constant(TRAINING, PATH, several=True),
    val_file=Constant(SCORE, PATH, optional=True),
    test_file=Constant(FREE, PATH, optional=True),
    word_column=Constant(FIXED, COLUMN),
    tag_column=Constant(FIXED, COLUMN),
    emb_file=Constant(FREE, PATH, optional=True),
    min_word_freq=Constant(FIXED, COUNT),
    min_lm_freq=Constant(FIXED, COUNT),
    min_char_freq=Constant(FIXED, COUNT),
    caseless=Constant(FIXED, FLAG),
    expand_vocab=Constant(FIXED, FLAG),
    text_file=Constant(FREE, PATH, optional=True, several=True),
    text_epochs=Constant(FREE, whole(1, 1000)),
    tag_scheme=Constant(FIXED, choice("IOB2", "BIOES"), optional=True),
    use_characters=Constant(MODEL, FLAG),
    co_training=Constant(MODEL, FLAG),
    highway_layers=Constant(MODEL, whole(0, 100)),
    bidirectional=Constant(MODEL, FLAG),
    attention_heads=Constant(MODEL, whole(0, 1000)),
    use_crf=Constant(MODEL, FLAG),
    constrain_tags=Constant(SCORE, FLAG),
    char_emb_dim=Constant(MODEL, SIZE),
    char_rnn_dim=Constant(MODEL, SIZE),
    char_rnn_layers=Constant(MODEL, LAYERS),
    word_emb_dim=Constant(MODEL, SIZE),
    word_rnn_dim=Constant(MODEL, SIZE),
    word_rnn_layers=Constant(MODEL, LAYERS),
    dropout=Constant(TRAINING, BELOW_1),
    fine_tune_word_embeddings=Constant(FIXED, FLAG),
    optimizer=Constant(TRAINING, NAME),  # `checked` says which: train.py alone knows them
    lr=Constant(TRAINING, NOT_NEGATIVE),
    lr_decay=Constant(TRAINING, NOT_NEGATIVE),
    momentum=Constant(TRAINING, BELOW_1),
    weight_decay=Constant(TRAINING, BELOW_1),
    grad_clip=Constant(TRAINING, POSITIVE, optional=True),
    averaging=Constant(TRAINING, BELOW_1),
    unk_rate=Constant(TRAINING, SHARE),
    batch_size=Constant(TRAINING, whole(1, 10**6)),
    eval_batch_size=Constant(FREE, whole(1, 10**6)),
    half_precision=Constant(TRAINING, FLAG),
    epochs=Constant(FREE, whole(0, 10**6)),
    patience=Constant(TRAINING, COUNT),
    criterion=Constant(SCORE, choice("f1", "entity_f1", "macro_f1", "accuracy")),
    seed=Constant(TRAINING, whole(-(2**63), 2**64 - 1)),
    checkpoint=Constant(FREE, PATH, optional=True),
    last_file=Constant(FREE, PATH),
    best_file=Constant(FREE, PATH),
    text_model_file=Constant(FREE, PATH),
)


def names(*roles):
    """The names of the constants with one of these roles."""
    return [name for name, constant in CONSTANTS.items() if constant.role in roles]


def plain_value(name, value):
    """The value of a constant as a plain Python value: a NumPy number as a float, 1 as True.

    :raises InputError: it is nothing that the constant may be
    """
    _, kind, optional, several = CONSTANTS[name]
    if value is None and optional:
        return None
    is_list = several and isinstance(value, (list, tuple)) and len(value) > 0
    try:
        plain = [_plain(kind, each) for each in (value if is_list else [value])]
    except (ArithmeticError, RuntimeError, TypeError, ValueError):
        lists = ", or a list of paths" if several else ""
        expected = f"{kind.expected}{lists}{', or None' if optional else ''}"
        found = repr(value)
        found = found if len(found) <= 60 else f"{found[:57]}..."
        raise InputError(f"{name}: expected {expected}, found {found}") from None
    return plain if is_list else plain[0]


def _plain(kind, value):
    """:raises ArithmeticError, RuntimeError, TypeError, ValueError: it is not of this kind"""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    plain = kind.plain(value)
    # int(2.5), float("1") and str(1) are not equal to what they come from; True would be, to 1.
    is_flag = isinstance(value, bool) and kind.plain is not bool
    if is_flag or plain != value or not kind.is_allowed(plain):
        raise ValueError
    return plain


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
