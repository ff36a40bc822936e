"""Large data: time and peak memory of reading embeddings, and of training on a large corpus.

    python tests/measure/large.py embeddings         400,000 words of 100 dimensions, made here
    python tests/measure/large.py embeddings FILE    any file that load_embeddings reads
    python tests/measure/large.py corpus             1,000,000 sentences of 25 words, 1,000 steps

Each measurement runs in a process of its own. Its memory is counted from after PyTorch's import.
The corpus is trained on by train.main, with a small model; its first epoch ends after 1,000 steps.
"""

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time

from training import ROOT, First, changed, train, trained

from machinery.errors import END, PAD, UNK
from utils import load_embeddings

WORDS, DIM = 400_000, 100  # those of GloVe's smallest files
CORPUS_WORDS = 10_000  # of them, that a corpus knows
SENTENCES, SENTENCE = 1_000_000, 25
STEPS = 1_000


def peak():
    """The most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write_vectors(path):
    """Write a file like GloVe's: WORDS words, DIM numbers of five significant digits each."""
    generator = random.Random(1)
    numbers = [f"{generator.gauss(0, 0.4):.5g}" for _ in range(200_003)]
    with open(path, "w") as file:
        for i in range(WORDS):
            begin = generator.randrange(len(numbers) - DIM)
            file.write(f"word{i} {' '.join(numbers[begin : begin + DIM])}\n")


def write_corpus(path, sentences):
    """Write sentences of SENTENCE words, and one of 5,000; every fifth word is an entity."""
    kinds = ("B-PER", "B-LOC", "B-ORG", "B-MISC")
    with open(path, "w") as file:
        for i in range(sentences):
            numbers = range(i * SENTENCE, (i + 1) * SENTENCE)
            file.writelines(f"word{k % 50_000} {'O' if k % 5 else kinds[k % 4]}\n" for k in numbers)
            file.write("\n")
        file.writelines("long O\n" for _ in range(5_000))


def measure_embeddings(path, expand_vocab):
    """Print how long load_embeddings takes and how much memory, compared with the matrix."""
    words = (PAD, END, UNK, *(f"word{i * (WORDS // CORPUS_WORDS)}" for i in range(CORPUS_WORDS)))
    word_map = {word: index for index, word in enumerate(words)}
    before, begin = peak(), time.perf_counter()
    embeddings, *_ = load_embeddings(path, word_map, expand_vocab)
    seconds, taken = time.perf_counter() - begin, peak() - before
    matrix = embeddings.numel() * 4 / 2**20
    print(
        f"expand_vocab = {expand_vocab}: {seconds:.1f} s; {taken:.0f} MiB more at the peak, the "
        f"matrix {tuple(embeddings.shape)} is {matrix:.0f} MiB, ratio {taken / matrix:.2f}"
    )


def measure_corpus(path, steps):
    """Train on a file as train.py does, for at most `steps` steps; print time and memory."""
    read, train_epoch, begin = train.read, train.train_epoch, time.perf_counter()

    def timed_read(*arguments):
        since = time.perf_counter()
        data = read(*arguments)
        print(f"read in {time.perf_counter() - since:.0f} s, peak {peak():,.0f} MiB", flush=True)
        return data

    def first_steps(model, loader, *rest):
        print(f"set up in {time.perf_counter() - begin:.0f} s, peak {peak():,.0f} MiB", flush=True)
        return train_epoch(model, First(loader, steps), *rest)

    sizes = dict.fromkeys(("char_rnn_dim", "word_rnn_dim", "word_emb_dim"), 20)
    with changed(read=timed_read, train_epoch=first_steps):
        trained(
            train_file=path,
            val_file=str(ROOT / "data" / "valid.txt"),
            test_file=None,
            epochs=1,
            **sizes,
        )
    print(f"{steps:,} steps trained, peak {peak():,.0f} MiB")


def child(*arguments):
    """Run a measurement in a process of its own."""
    status = subprocess.run([sys.executable, __file__, *map(str, arguments)]).returncode
    if status:
        sys.exit(status)


def main():
    parser = argparse.ArgumentParser(description="Measure reading and training on large data.")
    parser.add_argument("what", choices=["embeddings", "corpus"])
    parser.add_argument("file", nargs="?", help="embeddings of your own")
    parser.add_argument("--sentences", type=int, default=SENTENCES, help="of the corpus")
    parser.add_argument("--steps", type=int, default=STEPS, help="of training")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure == "corpus":
        return measure_corpus(arguments.file, arguments.steps)
    if arguments.measure:
        return measure_embeddings(arguments.file, arguments.measure == "True")
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.file or f"{folder}/made.txt"
        if arguments.what == "corpus":
            write_corpus(path, arguments.sentences)
            child("corpus", path, "--measure", "corpus", "--steps", arguments.steps)
        else:
            if not arguments.file:
                write_vectors(path)
            for expand_vocab in (True, False):
                child("embeddings", path, "--measure", expand_vocab)


if __name__ == "__main__":
    main()
