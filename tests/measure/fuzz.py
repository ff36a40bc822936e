"""Feed mutated files to the reader, the embeddings and the checkpoint loader.

    python tests/measure/fuzz.py CHECKPOINT FOLDER FILES

Makes FILES files of every kind; each must be used without an error, or be refused with an
InputError. Anything else ends this process with a traceback, or, in PyTorch's C++ code, with a
signal; the mutated file is then left in FOLDER. Memory is limited to a few GB.
"""

import collections
import contextlib
import gzip
import io
import pathlib
import random
import resource
import sys
import zipfile

from training import train  # finds common, too

# isort: split
from common import TINY_CORPUS

from datasets import WCDataset, collate
from inference import Tagger, restore_model
from machinery import report, runs
from machinery.average import WeightAverage
from machinery.checkpoints import save_history
from machinery.constants import checked
from machinery.errors import InputError
from machinery.files import history_file
from machinery.processes import set_rng_states
from utils import create_maps, load_embeddings, read_words_tags

CONLLU = "# text = a b\n" + "".join(
    f"{number}\t{word}\t_\tNOUN\tNN\t_\t0\troot\t_\t_\n"
    for number, word in (("1", "a"), ("2-3", "b"))
)
VECTORS = "4 3\nparis 0.1 -2.5e-3 3\nhotel 1 2 3\n. . . 4 5 6\n\u00e9t\u00e9 7 8 9\n"


def mutated(generator, content):
    """The bytes with one to four faults, such as a disk, a network or a person might make."""
    content = bytearray(content)
    for _ in range(generator.randint(1, 4)):
        begin, end = sorted(generator.choices(range(len(content) + 1), k=2))
        end = min(end, begin + generator.choice((1, 8, 1000)))
        fault = generator.choice(("flip", "truncate", "delete", "repeat", "insert", "swap"))
        if fault == "flip" and content:
            content[begin % len(content)] ^= 1 << generator.randrange(8)
        elif fault == "truncate":
            del content[end:]
        elif fault == "delete":
            del content[begin:end]
        elif fault == "repeat":
            content[begin:begin] = content[begin:end] * generator.randint(1, 3)
        elif fault == "insert":
            some = (generator.randbytes(generator.randint(1, 9)), b"\n", b" ", b"\t", b"\0", b"nan")
            content[begin:begin] = generator.choice(some)
        elif fault == "swap":
            content[begin:end] = content[begin:end][::-1]
    return bytes(content)


def zipped(content):
    """A zip archive with one file."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("vectors.txt", content)
    return made.getvalue()


def use_corpus(path):
    """Read, encode and pad a column file."""
    words, tags = read_words_tags(path)
    data = WCDataset(words, tags, *create_maps(words, tags, 1, 1))
    collate([data[i] for i in range(len(data))])


def use_conllu(path):
    """Read a CoNLL-U file."""
    read_words_tags(path, 1, 3)


def use_vectors(path):
    """Read word embeddings."""
    load_embeddings(path, {"<pad>": 0, "<end>": 1, "<unk>": 2, "paris": 3})


def use_checkpoint(path):
    """Tag with a checkpoint, and get ready to resume it."""
    Tagger(path, device="cpu").tag([["Paris", "is"], []])
    state = runs.load_run(path)
    # All files are our own: resuming may rename a best file, and must not find a user's.
    files = dict(checkpoint=str(path), last_file=str(path), best_file=f"{path}.best")
    constants = checked(vars(train) | files, train.RECIPES)
    vars(constants).update(state["settings"])
    model = restore_model(state, path)
    average = WeightAverage(model, constants.averaging)
    optimizer = train.new_optimizer(model, constants)
    settings = runs.kept_settings(constants, "f1", ([], []), None)
    parts = {name: state[name] for name in runs.FIXED_PARTS}
    run = runs.RunState(parts, model, average, optimizer)
    run.resume(str(path), state, settings, constants.last_file)
    set_rng_states(path, state["rng"], 1, state["epoch"])
    report.print_end(run, constants.epochs, constants.patience, str(path), None)
    save_history(history_file(path), state["history"], runs.HISTORY)


def main(checkpoint, folder, files):
    """Print how many files of each kind were used and how many refused."""
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    valid = pathlib.Path(checkpoint).read_bytes()
    kinds = {
        "corpus": (use_corpus, mutated, TINY_CORPUS.encode()),
        "CoNLL-U": (use_conllu, mutated, CONLLU.encode()),
        "embeddings": (use_vectors, mutated, VECTORS.encode()),
        "embeddings.gz": (use_vectors, mutated, gzip.compress(VECTORS.encode())),
        "embeddings.zip": (use_vectors, mutated, zipped(VECTORS)),
        "checkpoint": (use_checkpoint, mutated, valid),
    }
    for kind, (use, mutate, content) in kinds.items():
        generator, counts = random.Random(kind), collections.Counter()
        path = (pathlib.Path(folder) / "mutated").with_suffix(pathlib.Path(kind).suffix)
        for number in range(files + 1):
            path.write_bytes(mutate(generator, content) if number else content)
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    use(path)
                counts["used"] += 1
            except InputError as error:
                assert len(str(error).splitlines()) == 1 and str(path) in str(error), error
                assert number, "the file without a fault is refused"
                counts["refused"] += 1
        print(f"{kind}: {counts['used']:,} used, {counts['refused']:,} refused", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
