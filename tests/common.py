"""What the tests share: a tiny corpus and model, scripts run here, real data if there is any."""

import contextlib
import csv
import os
import pathlib
import re
import shutil
import sys

import pytest
import torch

import inference
import train
from machinery.checkpoints import load_checkpoint
from machinery.errors import run_script

ROOT = pathlib.Path(__file__).resolve().parent.parent

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


@pytest.fixture(scope="session")
def root():
    """The repository's folder."""
    return ROOT


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window, one for all tests."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("needs Chromium and its driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    service = webdriver.chrome.service.Service(driver)
    opened = webdriver.Chrome(options=options, service=service)
    yield opened
    opened.quit()


@pytest.fixture
def tiny_corpus(tmp_path):
    """Path of a file with four sentences in two columns."""
    path = tmp_path / "tiny.txt"
    path.write_text(TINY_CORPUS, encoding="utf-8")
    return path


def tiny_constants(corpus, folder):
    """train.py's constants for a tiny model of a corpus, its checkpoints in a folder."""
    return dict(
        train_file=str(corpus),
        val_file=str(corpus),
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
        last_file=str(pathlib.Path(folder) / "last.pt"),
        best_file=str(pathlib.Path(folder) / "best.pt"),
    )


def set_constants(patch, constants):
    """Set train.py's constants, for as long as `patch` lasts."""
    for name, value in constants.items():
        patch.setattr(train, name, value)


@pytest.fixture
def tiny_train(monkeypatch, tmp_path, tiny_corpus):
    """The module `train`, its constants set to a tiny model and the tiny corpus."""
    set_constants(monkeypatch, tiny_constants(tiny_corpus, tmp_path))
    return train


@pytest.fixture
def with_embeddings(tiny_train, monkeypatch, tmp_path):
    """tiny_train with a file of vectors that are not trained."""
    path = tmp_path / "vectors.txt"
    path.write_text("hotel 1 1 1\nleft 2 2 2\nzebra 3 3 3\n")
    monkeypatch.setattr(tiny_train, "emb_file", str(path))
    monkeypatch.setattr(tiny_train, "min_word_freq", 2)
    monkeypatch.setattr(tiny_train, "min_lm_freq", 2)
    monkeypatch.setattr(tiny_train, "fine_tune_word_embeddings", False)
    return tiny_train


@pytest.fixture
def stop_after(monkeypatch):
    """:return: a function that trains as train's constants say, but is killed after an epoch"""

    class Killed(BaseException):
        pass

    def stop(epoch):
        def print_epoch(state, *_):
            if state.epoch == epoch:
                raise Killed

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(train.report, "print_epoch", print_epoch)
            train.main()

    return stop


@pytest.fixture
def on_cpu(monkeypatch):
    """Exactness to the last bit is promised on a CPU: some CUDA kernels add in any order."""
    monkeypatch.setattr(train, "default_device", lambda: torch.device("cpu"))


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory):
    """Path of what tiny_train saves after an epoch, made once; not to be changed."""
    folder = tmp_path_factory.mktemp("checkpoint")
    (folder / "tiny.txt").write_text(TINY_CORPUS, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        set_constants(patch, tiny_constants(folder / "tiny.txt", folder) | dict(epochs=1))
        train.main()
    return folder / "last.pt"


def save_only(patch, epoch):
    """Let a run save its last epoch alone, which is faster."""
    save = train.runs.RunState.save
    patch.setattr(train.runs.RunState, "save", lambda s, *files: s.epoch < epoch or save(s, *files))


@pytest.fixture(scope="session")
def learned(tmp_path_factory):
    """Path of a checkpoint that knows the tiny corpus, not to be changed; and what main gave."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.txt").write_text(TINY_CORPUS, encoding="utf-8")
    constants = tiny_constants(folder / "tiny.txt", folder)
    constants |= dict(
        epochs=40, lr=0.1, dropout=0.0, val_file=None, test_file=constants["val_file"]
    )
    with pytest.MonkeyPatch.context() as patch:
        save_only(patch, 40)
        set_constants(patch, constants)
        return constants["best_file"], train.main()


@pytest.fixture
def as_command(capsys):
    """Runs a main function as a script would; :return: its exit status and lines on stderr"""

    def run(main, *arguments):
        capsys.readouterr()
        status = 0
        try:
            run_script(main, *arguments)
        except SystemExit as end:
            status = end.code
        return status, capsys.readouterr().err.splitlines()

    return run


@pytest.fixture
def run_inference(monkeypatch, capsys, tmp_path):
    """Runs inference.py in this process; :return: status, lines on stderr, what it printed"""

    def run(*arguments, stdin=None):
        monkeypatch.setattr(sys, "argv", ["inference.py", *map(str, arguments)])
        capsys.readouterr()
        with contextlib.ExitStack() as stack:
            if stdin is not None:
                (tmp_path / "stdin").write_bytes(stdin)
                stdin = stack.enter_context(open(tmp_path / "stdin"))
                stack.enter_context(monkeypatch.context()).setattr(sys, "stdin", stdin)
            status = 0
            try:
                run_script(inference.main)
            except SystemExit as end:
                status = end.code
        output, errors = capsys.readouterr()
        return status, errors.splitlines(), output

    return run


@pytest.fixture
def edited_script(root, tmp_path, tiny_corpus):
    """train.py in a folder of its own, with constants edited as a user would edit them.

    :return: a function from constants to its path
    """

    def edited(**constants):
        text = (root / "train.py").read_text(encoding="utf-8")
        small = dict(char_rnn_dim=6, word_rnn_dim=8, epochs=1)
        small |= dict.fromkeys(("train_file", "val_file", "test_file"), str(tiny_corpus))
        for name, value in (small | constants).items():
            text, found = re.subn(rf"(?m)^{name} = [^#\n]*", f"{name} = {value!r}  ", text)
            assert found == 1, name
        (tmp_path / "train.py").write_text(text, encoding="utf-8")
        return tmp_path / "train.py"

    return edited


def rows(path):
    """A CSV file as a list of dicts of strings."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def equal(a, b):
    """Whether two checkpoints' parts are the same to the last bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def differences(first, second):
    """The parts of two checkpoint files that differ, but for the run's name and its seconds."""
    first, second = load_checkpoint(first), load_checkpoint(second)
    for entry in first["history"] + second["history"]:
        del entry["seconds"]
    in_one = first.keys() ^ second.keys()
    in_both = (first.keys() & second.keys()) - {"run"}
    return sorted(in_one | {name for name in in_both if not equal(first[name], second[name])})


@pytest.fixture(scope="session")
def computes_bfloat16():
    """Skips where PyTorch cannot run an LSTM in bfloat16, as on processors without AVX-512."""
    try:
        with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
            torch.nn.LSTM(2, 2)(torch.zeros(1, 1, 2))
    except RuntimeError as error:
        pytest.skip(f"needs a processor that computes LSTMs in bfloat16 ({str(error)[:60]})")


@pytest.fixture(scope="session")
def real_data():
    """The folder with real corpora and a slice of GloVe."""
    folder = os.environ.get("TAGGER_DATA")
    if not folder or not pathlib.Path(folder).is_dir():
        pytest.skip("needs real data: set TAGGER_DATA to its folder")
    return pathlib.Path(folder)
