"""What the tests share: the slow mark, a tiny corpus and model, real data if there is any."""

import os
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import train  # noqa: E402  (only found after the line above)

TINY_CORPUS = """\
Dunston B-PER
checks O
in O
at O
the O
Majestic B-LOC
Hotel I-LOC
. O

Paris B-LOC
welcomes O
Dunston B-PER
Jones I-PER
. O

The O
hotel O
in O
Paris B-LOC
is O
majestic O
. O

Jones B-PER
left O
. O
"""


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes minutes; runs only with --slow")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow: runs with --slow"))


@pytest.fixture(scope="session")
def root():
    """The repository's folder."""
    return ROOT


@pytest.fixture
def tiny_corpus(tmp_path):
    """Path of a file with four sentences in two columns."""
    path = tmp_path / "tiny.txt"
    path.write_text(TINY_CORPUS, encoding="utf-8")
    return path


@pytest.fixture
def tiny_train(monkeypatch, tmp_path, tiny_corpus):
    """The module `train`, its constants set to a tiny model and the tiny corpus."""
    constants = dict(
        train_file=str(tiny_corpus),
        val_file=str(tiny_corpus),
        test_file=None,
        emb_file=None,
        min_word_freq=1,
        min_char_freq=1,
        char_emb_dim=5,
        char_rnn_dim=6,
        word_emb_dim=7,
        word_rnn_dim=8,
        batch_size=2,
        epochs=2,
        checkpoint=None,
        last_file=str(tmp_path / "last.pt"),
        best_file=str(tmp_path / "best.pt"),
    )
    for name, value in constants.items():
        monkeypatch.setattr(train, name, value)
    return train


@pytest.fixture(scope="session")
def real_data():
    """The folder with real corpora and a slice of GloVe."""
    folder = os.environ.get("TAGGER_DATA")
    if not folder or not pathlib.Path(folder).is_dir():
        pytest.skip("needs real data: set TAGGER_DATA to its folder")
    return pathlib.Path(folder)
