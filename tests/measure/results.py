"""Scores over several seeds, and those of a baseline that looks words up.

    python tests/measure/results.py ner 1 2 3                  the sample corpus
    python tests/measure/results.py chunks 1 2 3
    python tests/measure/results.py pos 1 2 3
    python tests/measure/results.py ncbi_disease 1 --data FOLDER --set half_precision=True

FOLDER holds a folder for each corpus (train.txt, dev.txt, test.txt: word first, tag last) and, for
use with them, glove/ with one text file of vectors.

Trains as train.py's constants say, once for every seed, in a temporary folder, and prints the test
scores, their mean and deviation. The baseline gives each word its most frequent tag in the training
data, and unseen words O, or the most frequent tag where there is no O.
"""

import argparse
import collections
import os
import pathlib
import statistics

from training import ROOT, parsed, train, trained

from machinery.checkpoints import save_history
from machinery.spans import scores
from utils import read_words_tags

TASKS = {"ner": (3, "entity_f1"), "chunks": (2, "entity_f1"), "pos": (1, "accuracy")}
CORPORA = {"ncbi_disease": "entity_f1", "wnut17": "entity_f1", "ud_english_ewt": "accuracy"}


def choose(task, folder):
    """The constants of a task, and the score that is reported for it."""
    if task in TASKS:
        os.chdir(ROOT)
        column, score = TASKS[task]
        return dict(tag_column=column), score
    corpus, score = folder / task, CORPORA[task]
    (vectors,) = map(str, (folder / "glove").glob("*.txt"))
    files = dict(train_file="train.txt", val_file="dev.txt", test_file="test.txt")
    paths = {name: str(corpus / file) for name, file in files.items()}
    return dict(**paths, emb_file=vectors, criterion=score), score


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
    parser.add_argument("--history", metavar="FILE", help="where to keep the last seed's history")
    arguments = parsed(parser)
    constants, name = choose(arguments.task, arguments.data)
    column = constants.get("tag_column", train.tag_column)
    train_data, (words, tags) = (
        read_words_tags(constants.get(file, getattr(train, file)), 0, column)
        for file in ("train_file", "test_file")
    )
    baseline = scores(tags, look_up(train_data, words))[name]
    found = []
    for seed in arguments.seeds:
        result, history = trained(**constants, seed=seed)
        found.append(result[name])
        if arguments.history:
            save_history(arguments.history, history)
        print(f"{arguments.task}, seed {seed}: {name} {found[-1]:.2%}", flush=True)
    deviation = statistics.stdev(found) if len(found) > 1 else 0.0
    print(
        f"{arguments.task}: {name} {statistics.mean(found):.2%} ± {deviation:.2%} over "
        f"{len(found)} seeds; looking words up: {baseline:.2%}"
    )


if __name__ == "__main__":
    main()
