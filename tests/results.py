"""Scores on the sample corpus over several seeds, beside those of looking words up.

    python tests/results.py ner 1 2 3
    python tests/results.py chunks 1 2 3
    python tests/results.py pos 1 2 3

Trains as train.py's constants say, once for every seed, in a temporary folder, and prints the test
scores, their mean and deviation. The look-up baseline gives each word the tag that it has most
often in training, and a word that training lacks the most frequent tag, or O.
"""

import collections
import os
import pathlib
import statistics
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import train  # noqa: E402  (only found after the line above)
from utils import read_words_tags, scores  # noqa: E402

TASKS = {"ner": (3, "entity_f1"), "chunks": (2, "entity_f1"), "pos": (1, "accuracy")}


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


def main(task, seeds):
    """Print the scores of a task."""
    train.tag_column, name = TASKS[task]
    os.chdir(ROOT)
    train_data = read_words_tags(train.train_file, 0, train.tag_column)
    words, tags = read_words_tags(train.test_file, 0, train.tag_column)
    baseline = scores(tags, look_up(train_data, words))[name]
    found = []
    for train.seed in map(int, seeds):
        with tempfile.TemporaryDirectory() as folder:
            train.last_file, train.best_file = f"{folder}/last.pt", f"{folder}/best.pt"
            found.append(train.main()[name])
        print(f"{task}, seed {train.seed}: {name} {found[-1]:.2%}", flush=True)
    deviation = statistics.stdev(found) if len(found) > 1 else 0.0
    print(
        f"{task}: {name} {statistics.mean(found):.2%} ± {deviation:.2%} over {len(found)} seeds; "
        f"looking words up: {baseline:.2%}"
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
