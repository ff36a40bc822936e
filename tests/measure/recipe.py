"""What each part of the training recipe brings, one part after the other.

    python tests/measure/recipe.py                            the sample corpus, seeds 1 to 3
    python tests/measure/recipe.py --seeds 1 --worker 1 2     one of two such processes
    python tests/measure/recipe.py --set half_precision=True  with other constants of train.py

Trains train.py's model of named entities with the paper's recipe, then with one part of ours after
the other, and prints a table of the test scores. Everything else is as train.py says.

It may be stopped and started again at any time: finished runs are in --results, one per line.
"""

import argparse
import os
import statistics

from training import ROOT, Finished, parsed, trained

PAPER = dict(optimizer="sgd")
ROWS = dict(PAPER, grad_clip=None, min_word_freq=1, unk_rate=0.5)
STEPS = {
    "the paper's: SGD at 0.015, gradients clipped to a norm of 5": PAPER,
    "gradients are not clipped": dict(PAPER, grad_clip=None),
    "every word has a row; words seen once are `<unk>` half of the time": ROWS,
    "SGD at 0.03": dict(ROWS, lr=0.03),
    "AdamW at 0.002 instead, gradients clipped to a norm of 5": dict(averaging=0),
    "the weights are averaged: ours": {},
}


def table(rows):
    """Print what is known, a line for each step."""
    print("| recipe | test entity F1 |\n|---|---:|")
    for step in STEPS:
        found = [100 * row["score"] for row in rows if row["step"] == step]
        if not found:
            continue
        deviation = f" ± {statistics.stdev(found):.1f}" if len(found) > 1 else ""
        print(f"| {step} | {statistics.mean(found):.1f}{deviation}% ({len(found)}) |")


def main():
    parser = argparse.ArgumentParser(description="Measure what each part of the recipe brings.")
    parser.add_argument("--seeds", type=int, nargs="+", default=(1, 2, 3))
    parser.add_argument("--results", default="recipe.jsonl", metavar="FILE")
    parser.add_argument("--worker", type=int, nargs=2, default=(1, 1), metavar=("I", "OF"))
    arguments = parsed(parser)
    finished = Finished(arguments.results)
    os.chdir(ROOT)
    worker, workers = arguments.worker
    runs = [(step, seed) for seed in arguments.seeds for step in STEPS]
    for step, seed in runs[worker - 1 :: workers]:
        if finished.find(step=step, seed=seed) is None:
            print(f"{step}, seed {seed}", flush=True)
            score = trained(seed=seed, **STEPS[step])[0]["entity_f1"]
            finished.keep(dict(step=step, seed=seed, score=score))
    table(finished.rows())


if __name__ == "__main__":
    main()
