"""What the programs that measure share: training with some of train.py's constants changed."""

import contextlib
import json
import pathlib
import re
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import train  # noqa: E402  (only found after the line above)
from machinery.checkpoints import load_checkpoint  # noqa: E402
from machinery.constants import assign  # noqa: E402


def parsed(parser):
    """The arguments of a program that measures; with --set, constants of train.py."""
    parser.add_argument("--set", nargs="+", default=[], metavar="CONSTANT=VALUE", dest="constants")
    arguments = parser.parse_args()
    assign(vars(train), arguments.constants)
    return arguments


@contextlib.contextmanager
def changed(**constants):
    """train.py has these values of its constants, or functions, for as long as the block lasts."""
    before = {name: getattr(train, name) for name in constants}
    vars(train).update(constants)
    try:
        yield
    finally:
        vars(train).update(before)


def trained(**constants):
    """Train with these constants, and all others as in train.py; the files are temporary.

    :return: the scores, as train.main gives them; the run's history, a list of a dict per epoch
    """
    with tempfile.TemporaryDirectory() as folder:
        files = dict(last_file=f"{folder}/last.pt", best_file=f"{folder}/best.pt")
        with changed(**files | constants):
            return train.main(), load_checkpoint(train.last_file)["history"]


def vectors_in(folder):
    """Path of the word vectors in folder/glove; of several files, that of the longest vectors."""

    def dimensions(path):
        found = re.search(r"(\d+)d\b", path.name)
        return int(found[1]) if found else 0

    return str(max((folder / "glove").iterdir(), key=dimensions))


class Finished:
    """The runs that are finished, one line of JSON each, so that a program may be stopped."""

    def __init__(self, path):
        self.path = pathlib.Path(path).absolute()

    def rows(self):
        """List of dicts, also those that another process has added meanwhile."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]

    def find(self, **values):
        """The first row with these values; None if there is none."""
        return next((row for row in self.rows() if values.items() <= row.items()), None)

    def keep(self, row):
        """Add a row, and give it back."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        return row


class First:
    """The first batches of a data loader."""

    def __init__(self, loader, batches):
        self.loader, self.batches = loader, batches
        self.batch_sampler = loader.batch_sampler

    def __len__(self):
        return min(self.batches, len(self.loader))

    def __iter__(self):
        for _, batch in zip(range(len(self)), self.loader, strict=False):
            yield batch
