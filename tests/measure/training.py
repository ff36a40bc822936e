"""What the programs that measure share: training with some of train.py's constants changed."""

import contextlib
import pathlib
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
