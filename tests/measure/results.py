"""Scores over several seeds, and those of a baseline that looks words up.

    python tests/measure/results.py ner 1 2 3                  the sample corpus
    python tests/measure/results.py ner 1 2 3 --data FOLDER    with FOLDER's word vectors
    python tests/measure/results.py chunks 1 2 3
    python tests/measure/results.py pos 1 2 3
    python tests/measure/results.py conll2000 1 --data FOLDER --set half_precision=True
    python tests/measure/results.py conll2000 1 --data FOLDER --no-vectors
    python tests/measure/results.py ncbi_disease 1 --data FOLDER --train-on-dev

FOLDER holds a folder for each corpus (train.txt, dev.txt, test.txt: word first, tag last) and
glove/ with word vectors, of which the longest are read; --set emb_file=... names others.

Trains as train.py's constants say, once for every seed, in a temporary folder, and prints the
scores of the best epoch, their mean and deviation. With --train-on-dev, the validation data are
trained on too, and the last epoch counts. The baseline gives each word its most frequent tag in the
training data, and unseen words O, or the most frequent tag where there is no O.

It may be stopped and started again at any time: finished runs are in --results, one per line.
"""

import argparse
import collections
import os
import pathlib
import statistics
import time

from training import ROOT, Finished, parsed, train, trained, vectors_in

from machinery.checkpoints import save_history
from machinery.spans import scores
from utils import read_words_tags

TASKS = {"ner": (3, "entity_f1"), "chunks": (2, "entity_f1"), "pos": (1, "accuracy")}
CORPORA = {
    "conll2000": "entity_f1",
    "ncbi_disease": "entity_f1",
    "wnut17": "entity_f1",
    "ud_english_ewt": "accuracy",
}


def choose(task, folder, with_vectors, train_on_dev):
    """The constants of a task, and the score that is reported for it."""
    constants = {}
    if with_vectors and folder is not None and train.emb_file is None:
        constants["emb_file"] = vectors_in(folder.absolute())
    if task in TASKS:
        os.chdir(ROOT)
        column, score = TASKS[task]
        constants |= dict(tag_column=column)
    else:
        corpus, score = folder / task, CORPORA[task]
        files = dict(train_file="train.txt", val_file="dev.txt", test_file="test.txt")
        constants |= {name: str(corpus / file) for name, file in files.items()}
        constants["criterion"] = score
    if train_on_dev:
        of_task = vars(train) | constants
        both = [of_task["train_file"], of_task["val_file"]]
        constants |= dict(train_file=both, val_file=None)
    return constants, score


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


def baseline(constants, name):
    """The score of looking words up."""
    constants = vars(train) | constants
    files = constants["train_file"]
    files = [files] if isinstance(files, str) else files
    parts = [read_words_tags(file, 0, constants["tag_column"]) for file in files]
    train_data = [[s for part in parts for s in part[column]] for column in (0, 1)]
    words, tags = read_words_tags(constants["test_file"], 0, constants["tag_column"])
    return scores(tags, look_up(train_data, words))[name]


def run(constants, name, history_file):
    """Train once; :return: dict of what is printed, and the validation score of every epoch"""
    begin = time.perf_counter()
    result, history = trained(**constants)
    if history_file:
        save_history(history_file, history)
    of_epochs = [entry.get(name, 0.0) for entry in history]
    best = max(of_epochs) if constants.get("val_file", train.val_file) else None
    seconds, day = time.perf_counter() - begin, time.strftime("%Y-%m-%d")
    return dict(test=result[name], dev=best, of_epochs=of_epochs, seconds=seconds, day=day)


def main():
    parser = argparse.ArgumentParser(description="Train and score, seed by seed.")
    parser.add_argument("task", choices=[*TASKS, *CORPORA])
    parser.add_argument("seeds", type=int, nargs="+")
    parser.add_argument("--data", type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--no-vectors", action="store_true")
    parser.add_argument("--train-on-dev", action="store_true")
    parser.add_argument("--history", metavar="FILE", help="where to keep the last seed's history")
    parser.add_argument("--results", default="results.jsonl", metavar="FILE")
    arguments = parsed(parser)
    finished, rows = Finished(arguments.results), []
    constants, name = choose(
        arguments.task, arguments.data, not arguments.no_vectors, arguments.train_on_dev
    )
    vectors = pathlib.Path(constants.get("emb_file") or train.emb_file or "none").name
    key = dict(task=arguments.task, vectors=vectors, constants=sorted(arguments.constants))
    key["train_on_dev"] = arguments.train_on_dev
    for seed in arguments.seeds:
        row = finished.find(**key, seed=seed)
        if row is None:
            row = run(constants | dict(seed=seed), name, arguments.history)
            row = finished.keep(key | dict(seed=seed) | row)
        rows.append(row)
        dev = "" if row["dev"] is None else f"validation {row['dev']:.2%}, "
        print(f"{arguments.task}, seed {seed}: {name} {dev}test {row['test']:.2%}", flush=True)
    found = [row["test"] for row in rows]
    deviation = statistics.stdev(found) if len(found) > 1 else 0.0
    print(
        f"{arguments.task}, vectors {vectors}: {name} {statistics.mean(found):.2%} ± "
        f"{deviation:.2%} over {len(found)} seeds; looking words up: "
        f"{baseline(constants, name):.2%}"
    )


if __name__ == "__main__":
    main()
