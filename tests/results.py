"""Scores over several seeds, beside those of looking words up.

    python tests/results.py ner 1 2 3                                  the sample corpus
    python tests/results.py chunks 1 2 3
    python tests/results.py pos 1 2 3
    python tests/results.py ncbi_disease 1 --data FOLDER --epochs 12   a corpus in FOLDER

FOLDER holds a folder for each corpus (train.txt, dev.txt, test.txt: word first, tag last) and, for
use with them, glove/ with one text file of vectors.

Trains as train.py's constants say, once for every seed, in a temporary folder, and prints the test
scores, their mean and deviation. The look-up baseline gives each word the tag that it has most
often in training, and a word that training lacks the most frequent tag, or O.
"""

import argparse
import collections
import os
import pathlib
import shutil
import statistics
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import train  # noqa: E402  (only found after the line above)
from machinery.spans import scores  # noqa: E402
from utils import read_words_tags  # noqa: E402

TASKS = {"ner": (3, "entity_f1"), "chunks": (2, "entity_f1"), "pos": (1, "accuracy")}
CORPORA = {"ncbi_disease": "entity_f1", "wnut17": "entity_f1", "ud_english_ewt": "accuracy"}


def choose(task, folder):
    """Set train.py's constants to a task; :return: the score that is reported for it"""
    if task in TASKS:
        os.chdir(ROOT)
        train.tag_column, score = TASKS[task]
        return score
    corpus = folder / task
    train.train_file, train.val_file = str(corpus / "train.txt"), str(corpus / "dev.txt")
    train.test_file = str(corpus / "test.txt")
    (train.emb_file,) = map(str, (folder / "glove").glob("*.txt"))
    train.criterion = CORPORA[task]
    return CORPORA[task]


def look_up(train_data, words):
    """The tags of the baseline."""
    counts = collections.defaultdict(collections.Counter)
    for sentence, tags in zip(*train_data, strict=True):
        for word, tag in zip(sentence, tags, strict=True):
            counts[word][tag] += 1
    total = collections.Counter()
    for of_word in counts.values():
        total.update(of_word)
    default = "O" if "O" in total else total.most_common(1)[0][0]
    return [
        [counts[word].most_common(1)[0][0] if word in counts else default for word in sentence]
        for sentence in words
    ]


def main():
    parser = argparse.ArgumentParser(description="Train and score, seed by seed.")
    parser.add_argument("task", choices=[*TASKS, *CORPORA])
    parser.add_argument("seeds", type=int, nargs="+")
    parser.add_argument("--data", type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--epochs", type=int, default=train.epochs)
    parser.add_argument("--history", metavar="FILE", help="where to keep the last seed's history")
    arguments = parser.parse_args()
    name, train.epochs = choose(arguments.task, arguments.data), arguments.epochs

    train_data = read_words_tags(train.train_file, 0, train.tag_column)
    words, tags = read_words_tags(train.test_file, 0, train.tag_column)
    baseline = scores(tags, look_up(train_data, words))[name]
    found = []
    for train.seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            train.last_file, train.best_file = f"{folder}/last.pt", f"{folder}/best.pt"
            found.append(train.main()[name])
            if arguments.history:
                shutil.copy(f"{folder}/last.csv", arguments.history)
        print(f"{arguments.task}, seed {train.seed}: {name} {found[-1]:.2%}", flush=True)
    deviation = statistics.stdev(found) if len(found) > 1 else 0.0
    print(
        f"{arguments.task}: {name} {statistics.mean(found):.2%} ± {deviation:.2%} over "
        f"{len(found)} seeds; looking words up: {baseline:.2%}"
    )


if __name__ == "__main__":
    main()
