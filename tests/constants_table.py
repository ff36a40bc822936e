"""One row for each constant of train.py, from which the tests take their values. Its default stands
in train.py alone; a constant without a row here fails test_constants.py."""

import fractions
import math
from typing import NamedTuple

import torch


class Row(NamedTuple):
    role: str  # what another value means when a run is resumed
    other: object  # a legal value that is not the default; ... for the path of a file
    wrong: list  # values that are refused


class Odd:
    """Neither a number nor a path."""

    def __repr__(self):
        return "x" * 1000


NEVER = [Odd(), print, {}, [], [1], b"a", "", "\0", 1j, torch.ones(2)]
NEVER += [math.nan, math.inf, -math.inf]
NO_NUMBER = [*NEVER, "0.5", "1", "a", True, None]
NEGATIVE = [*NO_NUMBER, -0.1]
NO_RATE = [*NEGATIVE, 1]
NO_WHOLE = [*NO_NUMBER, 0.5, 10**30, fractions.Fraction(1, 2)]
NO_COUNT = [*NO_WHOLE, 0, -1, 10**18]
NO_FLAG = [*NEVER, None, "True", "", 2, -1, 0.5]
NO_PATH = [Odd(), {}, b"a", 1j, 1, 0.5, True, "", "\0", "a\0b", torch.ones(2), print]

ROWS = dict(
    train_file=Row("training", ..., [*NO_PATH, None, [], [None], ["a", ""], [["a"]]]),
    val_file=Row("score", ..., [*NO_PATH, []]),
    test_file=Row("free", ..., NO_PATH),
    word_column=Row("fixed", -2, [*NO_WHOLE, 10**6]),  # with two columns, 0 by another number
    tag_column=Row("fixed", 1, [*NO_WHOLE, 10**6]),
    emb_file=Row("free", ..., NO_PATH),
    min_word_freq=Row("fixed", 2, NO_COUNT),
    min_lm_freq=Row("fixed", 2, NO_COUNT),
    min_char_freq=Row("fixed", 3, NO_COUNT),
    caseless=Row("fixed", False, NO_FLAG),
    expand_vocab=Row("fixed", False, NO_FLAG),
    text_file=Row("free", ..., [*NO_PATH, [], [None], ["a", ""], [["a"]]]),
    text_epochs=Row("free", 2, NO_COUNT),
    tag_scheme=Row("fixed", "BIOES", [*NEVER, "IOB", "iob2", 2, True]),
    use_characters=Row("model", False, NO_FLAG),
    co_training=Row("model", False, NO_FLAG),
    highway_layers=Row("model", 2, [*NO_WHOLE, -1, 20_000]),
    bidirectional=Row("model", False, NO_FLAG),
    attention_heads=Row("model", 2, [*NO_WHOLE, -1]),
    use_crf=Row("model", False, NO_FLAG),
    constrain_tags=Row("score", False, NO_FLAG),
    char_emb_dim=Row("model", 6, NO_COUNT),
    char_rnn_dim=Row("model", 7, NO_COUNT),
    char_rnn_layers=Row("model", 2, NO_COUNT),
    word_emb_dim=Row("model", 8, NO_COUNT),
    word_rnn_dim=Row("model", 10, NO_COUNT),
    word_rnn_layers=Row("model", 2, NO_COUNT),
    dropout=Row("training", 0.25, [*NO_RATE, 1.5]),
    fine_tune_word_embeddings=Row("fixed", False, NO_FLAG),
    optimizer=Row("training", "sgd", [*NEVER, None, "adam", "SGD"]),
    lr=Row("training", 0.125, NEGATIVE),
    lr_decay=Row("training", 0.125, NEGATIVE),
    momentum=Row("training", 0.125, NO_RATE),
    weight_decay=Row("training", 0.125, NO_RATE),
    grad_clip=Row("training", 1.0, [v for v in NO_NUMBER if v is not None] + [0, 0.0, -5]),
    averaging=Row("training", 0.125, NEGATIVE),
    unk_rate=Row("training", 0.125, NEGATIVE),
    batch_size=Row("training", 3, NO_COUNT),
    eval_batch_size=Row("free", 3, NO_COUNT),
    half_precision=Row("training", True, NO_FLAG),
    epochs=Row("free", 2, [*NO_WHOLE, -1]),
    patience=Row("training", 3, NO_COUNT),
    criterion=Row("score", "accuracy", [*NEVER, None, "f2", "F1"]),
    seed=Row("training", 3, [*NO_WHOLE, 2**64]),
    checkpoint=Row("free", ..., NO_PATH),
    last_file=Row("free", ..., [*NO_PATH, None]),
    best_file=Row("free", ..., [*NO_PATH, None]),
    text_model_file=Row("free", ..., [*NO_PATH, None]),
)


def others(names):
    """{name: a legal value that is not the default} for names in a string."""
    return {name: ROWS[name].other for name in names.split()}
