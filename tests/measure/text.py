"""How much data does a tagger need, and what does text without tags save?

    python tests/measure/text.py --data FOLDER --out results.csv --sizes 250 1000 --seeds 1 2 3

Trains on the first sentences of ncbi_disease, with and without text, and appends a line to the
table for each run; runs that are there already are skipped, so that it goes on where it stopped.
The text is every second sentence of pubmed_text: about 25 minutes of one core. Each run keeps its
epoch that is best on the validation file, and the test file scores it.
"""

import argparse
import csv
import gzip
import itertools
import os
import pathlib
import statistics
import tempfile
import time

from training import train

EPOCHS = {250: 24, 500: 16, 1000: 12, 2000: 8, 5424: 6}  # some 6,000 sentences and more
COLUMNS = "text", "vectors", "sentences", "seed", "dev", "test", "seconds"


def half_of_text(data, folder):
    """Write every second sentence of the text; return the new file's name."""
    path = folder / "half_of_pubmed_text.txt"
    if not path.exists():
        with gzip.open(data / "pubmed_text/sentences.txt.gz", "rt", encoding="utf-8") as lines:
            path.write_text("".join(itertools.islice(lines, 0, None, 2)), encoding="utf-8")
    return path


def first_sentences(data, folder, count):
    """Write the first sentences of the training data; return the new file's name."""
    path = folder / f"ncbi_disease_{count}.txt"
    blocks = (data / "ncbi_disease/train.txt").read_text(encoding="utf-8").strip().split("\n\n")
    path.write_text("\n\n".join(blocks[:count]) + "\n", encoding="utf-8")
    return path


def run(data, folder, text, vectors, count, seed):
    """Train once; return the scores on the validation and the test file."""
    corpus = data / "ncbi_disease"
    with tempfile.TemporaryDirectory() as own:
        vars(train).update(
            train_file=str(first_sentences(data, folder, count)),
            val_file=str(corpus / "dev.txt"),
            test_file=str(corpus / "test.txt"),
            emb_file=str(data / "glove/glove.6B.100d.slice.txt.gz") if vectors else None,
            text_file=str(half_of_text(data, folder)) if text else None,
            text_model_file=str(folder / "text_model.pt"),
            epochs=EPOCHS[count],
            seed=seed,
            last_file=f"{own}/last.pt",
            best_file=f"{own}/best.pt",
        )
        test = train.main()["entity_f1"]
        with open(f"{own}/last.csv", encoding="utf-8", newline="") as history:
            dev = max(float(epoch["entity_f1"]) for epoch in csv.DictReader(history))
    return dev, test


def print_table(rows):
    """The mean test score and its deviation for each kind of run."""
    kinds = sorted({(int(row["sentences"]), row["vectors"], row["text"]) for row in rows})
    for kind in kinds:
        of_kind = [
            row for row in rows if (int(row["sentences"]), row["vectors"], row["text"]) == kind
        ]
        cells = []
        for column in ("dev", "test"):
            values = [100 * float(row[column]) for row in of_kind]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            cells.append(f"{column} {statistics.mean(values):.1f} ± {spread:.1f}")
        count, vectors, text = kind
        print(
            f"{count:5} sentences, vectors {vectors}, text {text}: {', '.join(cells)}, "
            f"{len(of_kind)} seeds"
        )


def main():
    """Run what the table lacks, then print it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("text.csv"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[250, 1000], choices=EPOCHS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--text", nargs="+", default=["no", "yes"], choices=["no", "yes"])
    parser.add_argument("--vectors", nargs="+", default=["yes"], choices=["no", "yes"])
    given = parser.parse_args()
    folder = given.out.resolve().parent
    if not given.out.exists():
        given.out.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    for choice in itertools.product(given.vectors, given.sizes, given.seeds, given.text):
        vectors, count, seed, text = choice
        key = text, vectors, str(count), str(seed)
        with open(given.out, encoding="utf-8", newline="") as table:
            if key in {tuple(row[name] for name in COLUMNS[:4]) for row in csv.DictReader(table)}:
                continue
        begin = time.perf_counter()
        scores = run(given.data, folder, text == "yes", vectors == "yes", count, seed)
        cells = *key, *(f"{score:.4f}" for score in scores), f"{time.perf_counter() - begin:.0f}"
        with open(given.out, "a", encoding="utf-8") as table:
            table.write(",".join(cells) + "\n")
            table.flush()
            os.fsync(table.fileno())
    with open(given.out, encoding="utf-8", newline="") as table:
        print_table(list(csv.DictReader(table)))


if __name__ == "__main__":
    main()
