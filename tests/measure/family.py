"""Train every model of the family on real data under one budget, and print a table.

    python tests/measure/family.py FOLDER
    python tests/measure/family.py FOLDER --worker 1 2    one of two processes that share the work
    python tests/measure/family.py FOLDER --speed         measure how fast each trains, alone
    python tests/measure/family.py FOLDER --set half_precision=True    other constants of train.py

FOLDER holds ncbi_disease/ and ud_english_ewt/ (train.txt, dev.txt, test.txt: word first, tag last)
and glove/ with word vectors, of which the longest are read. Each model is trained on the first
2,000 sentences of train.txt for 8 epochs, once for each of three seeds; the epoch that is best on
dev.txt is scored on test.txt. For the speed, the models train in turns, three times 20 batches of
ncbi_disease each.

You may stop and restart it at any time: --results keeps what is finished, one line per run.
"""

import argparse
import pathlib
import statistics
import tempfile
import time

from training import Finished, First, changed, parsed, train, trained, vectors_in

SENTENCES, EPOCHS, SEEDS = 2000, 8, (1, 2, 3)
SPEED_BATCHES, SPEED_ROUNDS = 20, 3
CORPORA = {"ncbi_disease": "entity_f1", "ud_english_ewt": "accuracy"}

NO_CO_TRAINING = dict(co_training=False)
NO_CHARACTERS = dict(co_training=False, use_characters=False)
ONE_DIRECTION = dict(use_crf=False, bidirectional=False)
FAMILY = {
    "LM-LSTM-CRF": {},
    "no highway layers": dict(highway_layers=0),
    "(a) no co-training": NO_CO_TRAINING,
    "(a) and self-attention": dict(**NO_CO_TRAINING, attention_heads=6),
    "(b) no characters either": NO_CHARACTERS,
    "(b) and self-attention": dict(**NO_CHARACTERS, attention_heads=6),
    "(c) no CRF either": dict(**NO_CHARACTERS, use_crf=False),
    "LSTM tagger: (c) in one direction": dict(**NO_CHARACTERS, **ONE_DIRECTION),
    "LSTM tagger with characters": dict(**NO_CO_TRAINING, **ONE_DIRECTION),
}


def first_sentences(path, count, to):
    """Write the first sentences of a column file to another; None: all."""
    sentences = path.read_text(encoding="utf-8").strip().split("\n\n")[:count]
    to.write_text("\n\n".join(sentences) + "\n", encoding="utf-8")


def run(folder, corpus, model, seed, batches=None):
    """Train one model; :return: dict of what the table needs

    :param batches: train on no more than these, for one epoch, to measure speed; None: no limit
    """
    speeds, parameters = [], []
    train_epoch = train.train_epoch

    def timed(model, loader, *arguments):
        if batches:
            loader = First(loader, batches)
        begin = time.perf_counter()
        losses = train_epoch(model, loader, *arguments)
        sentences_seen = min(len(loader) * train.batch_size, SENTENCES)
        speeds.append(sentences_seen / (time.perf_counter() - begin))
        parameters.append(sum(p.numel() for p in model.parameters() if p.requires_grad))
        return losses

    with tempfile.TemporaryDirectory() as scratch, changed(train_epoch=timed):
        files = {part: pathlib.Path(scratch) / f"{part}.txt" for part in ("train", "dev", "test")}
        for part, to in files.items():
            count = SENTENCES if part == "train" else 20 if batches else None
            first_sentences(folder / corpus / to.name, count, to)
        scores, _ = trained(
            train_file=str(files["train"]),
            val_file=str(files["dev"]),
            test_file=str(files["test"]),
            emb_file=vectors_in(folder),
            criterion=CORPORA[corpus],
            epochs=1 if batches else EPOCHS,
            seed=seed,
            **FAMILY[model],
        )
    return dict(
        corpus=corpus,
        model=model,
        seed=seed,
        score=scores[CORPORA[corpus]],
        parameters=parameters[0],
        speed=statistics.median(speeds),
    )


def table(rows):
    """Print what is known, one line per model."""
    print(
        "| model | parameters trained | sentences/s | ncbi_disease, F1 (%) "
        "| ud_english_ewt, accuracy (%) |"
    )
    print("|---|---:|---:|---:|---:|")
    for model in FAMILY:
        cells = dict.fromkeys(CORPORA, "")
        for corpus in CORPORA:
            found = [row for row in rows if (row["model"], row["corpus"]) == (model, corpus)]
            if found:
                scores = [100 * row["score"] for row in found]
                deviation = f" ± {statistics.stdev(scores):.1f}" if len(scores) > 1 else ""
                missing = f" ({len(scores)} seeds)" if len(scores) < len(SEEDS) else ""
                cells[corpus] = f"{statistics.mean(scores):.1f}{deviation}{missing}"
        timed = [row for row in rows if (row["model"], row["corpus"]) == (model, "")]
        size = f"{timed[0]['parameters'] / 1e6:.2f} M" if timed else ""
        speed = f"{statistics.median(row['speed'] for row in timed):.0f}" if timed else ""
        print(f"| {model} | {size} | {speed} | {' | '.join(cells.values())} |")


def main():
    parser = argparse.ArgumentParser(description="Compare the models of the family.")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--results", default="family.jsonl", metavar="FILE")
    parser.add_argument("--worker", type=int, nargs=2, default=(1, 1), metavar=("I", "OF"))
    parser.add_argument("--speed", action="store_true")
    arguments = parsed(parser)

    finished = Finished(arguments.results)
    if arguments.speed:
        for _ in range(SPEED_ROUNDS):
            for model in FAMILY:
                row = run(arguments.folder, "ncbi_disease", model, 1, SPEED_BATCHES)
                finished.keep({**row, "corpus": ""})
        return table(finished.rows())

    worker, workers = arguments.worker
    runs = [(c, m, seed) for seed in SEEDS for c in CORPORA for m in FAMILY]
    for corpus, model, seed in runs[worker - 1 :: workers]:
        if finished.find(corpus=corpus, model=model, seed=seed) is None:
            print(f"{model}, {corpus}, seed {seed}", flush=True)
            finished.keep(run(arguments.folder, corpus, model, seed))
    table(finished.rows())


if __name__ == "__main__":
    main()
