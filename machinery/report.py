"""What a run prints."""

import collections
import json
import os
import shlex
import statistics
import subprocess

from machinery.errors import visible
from machinery.files import history_file


def duration(seconds):
    """48 s, 1 min 36 s or 2 h 5 min"""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def summary(result):
    """The scores in a few words."""
    line = f"accuracy {result['accuracy']:.2%}, macro F1 {result['macro_f1']:.2%}"
    if "entity_f1" in result:
        line += (
            f", entity F1 {result['entity_f1']:.2%} (precision {result['precision']:.2%}, "
            f"recall {result['recall']:.2%})"
        )
    return line


def print_scores(name, result):
    """Print the scores of a file, and of each entity type."""
    print(f"{visible(name)}: {summary(result)}")
    for kind, of_kind in result.get("types", {}).items():
        print(
            f"    {visible(kind):12} precision {of_kind['precision']:7.2%}  "
            f"recall {of_kind['recall']:7.2%}  F1 {of_kind['f1']:7.2%}  "
            f"({of_kind['gold']:,} gold, {of_kind['predicted']:,} found)"
        )


def report_unknown_tags(path, dataset):
    """Say which tags of a file the model does not know."""
    counts = collections.Counter(tag for tags in dataset.tags for tag in tags)
    unknown = [f"{tag} ({count})" for tag, count in counts.items() if tag not in dataset.tag_map]
    if unknown:
        print(
            visible(
                f"{path}: tags unseen in training count as wrong; the loss skips their sentences: "
                f"{', '.join(sorted(unknown))}"
            )
        )


def print_model(model, arguments):
    """How large the model of a new run is."""
    words = arguments["corpus_vocab_size"]
    parts = [f"New run: {words:,} words"]
    if arguments["vocab_size"] > words:
        parts.append(f"{arguments['vocab_size'] - words:,} more of emb_file")
    if arguments["use_characters"]:
        parts.append(f"{arguments['charset_size']:,} characters")
    parts.append(f"{arguments['tagset_size'] - 2:,} tags")
    if arguments["co_training"]:
        parts.append(f"{arguments['lm_vocab_size']:,} words that the language models predict")
    parts.append(f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters")
    print(", ".join(parts))


def print_resuming(path, checkpoint, epochs):
    """Which checkpoint is resumed, or with `epochs` = 0 scored."""
    doing, epoch, best = "Resuming" if epochs > 0 else "Scoring", checkpoint["epoch"], ""
    if checkpoint["best_score"] >= 0:  # without validation data there is none
        criterion, since = checkpoint["settings"]["criterion"], checkpoint["epochs_since_best"]
        best = f"; best: {best_so_far(criterion, epoch - since, checkpoint['best_score'])}"
    print(f"{doing} {visible(path)} after epoch {epoch}{best}")


def print_text(state, title, loss, seconds):
    """How far the language models are with a text.

    :param state: TextRun
    :param loss: mean of the words read since the last such line
    :param seconds: those of a step
    """
    left = (state.steps - state.step) * seconds
    left = f"; {duration(left)} left" if left > 0 else ""
    print(f"{title}, step {state.step:,} of {state.steps:,}: loss {loss:.3f}{left}")


def print_epoch(state, epochs, patience, first_epoch):
    """Two lines that sum up an epoch: its losses and the time left, its scores and the best.

    :param state: RunState
    :param epochs, patience: constants of train.py
    :param first_epoch: how many were finished when this session began
    """
    history = state.history
    last, left = history[-1], epochs - state.epoch
    of_language_models = f"{last['lm_loss']:.3f} (language models) + " if "lm_loss" in last else ""
    each = statistics.mean(entry["seconds"] for entry in history[first_epoch:])
    at_most = f"; at most {duration(left * each)} left" if left > 0 else ""
    validation = f", validation {last['val_loss']:.3f}" if "val_loss" in last else ""
    print(
        f"epoch {state.epoch:3} of {epochs}, {last['seconds']:.1f} s: "
        f"loss {of_language_models}{last['tag_loss']:.3f} (tags){validation}{at_most}"
    )
    if "accuracy" in last:
        best = "the best so far"
        if state.epochs_since_best > 0:
            waited = f"patience {state.epochs_since_best} of {patience}"
            best = f"best: {best_of(state)}, {waited}"
        print(f"    {summary(last)}; {best}")


def best_so_far(criterion, epoch, score):
    """epoch 4 (entity F1 55.10%)"""
    return f"epoch {epoch} ({in_words(criterion)} {score:.2%})"


def best_of(state):
    """The same of a RunState."""
    return best_so_far(state.parts["settings"]["criterion"], state.best_epoch, state.best_score)


def in_words(criterion):
    """entity F1"""
    return criterion.replace("_f1", " F1")


def plural(count, noun):
    """1 epoch, 2 epochs"""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def print_end(state, epochs, patience, last_file, best_file):
    """Why training ended, how long it took, and where everything is.

    :param state: RunState
    :param best_file: None if it does not hold the best epoch
    """
    why = f"epochs = {epochs} is reached"
    if state.epochs_since_best >= patience and state.epoch < epochs:
        criterion = in_words(state.parts["settings"]["criterion"])
        why = f"no better {criterion} for {plural(state.epochs_since_best, 'epoch')}"
    seconds = sum(entry["seconds"] for entry in state.history)
    print(f"Ended after {plural(state.epoch, 'epoch')} in {duration(seconds)}: {why}")
    if state.best_score >= 0:
        where = "" if best_file is None else f", saved in {visible(best_file)}"
        print(f"Best: {best_of(state)}{where}")
    table = history_file(last_file)
    of_epochs = f"; losses and scores of every epoch: {table}" if os.path.exists(table) else ""
    print(visible(f"To resume: {last_file}{of_epochs}"))


def print_command(path):
    """The command that uses a checkpoint, on a line of its own, to be copied."""
    print("Tag a sentence with it:")
    print(visible(f'python inference.py --checkpoint {quoted(path)} "..."'))


def quoted(path):
    """A path as the system's shell takes it."""
    return subprocess.list2cmdline([path]) if os.name == "nt" else shlex.quote(path)


def how_to_resume(path, begin, text_model_file=None):
    """What to say after Ctrl-C of a run that began at time.time() = `begin`.

    :param path: the run's last_file
    :param text_model_file: None without text_file
    """
    if not _written_since(begin, path):
        if text_model_file is not None and _written_since(begin, text_model_file):
            return f"Stopped; the same command goes on from {constant(text_model_file)}"
        return "Stopped before an epoch had ended: no checkpoint was written"
    return f"Stopped; to go on after the last epoch that ended, set checkpoint = {constant(path)}"


def _written_since(begin, path):
    """Whether there is such a file, and it has been written since time.time() = `begin`."""
    return os.path.exists(path) and os.stat(path).st_mtime >= begin


def constant(path):
    r"""A path as it is written in a script, also a Windows one: r"C:\new\last.pt"."""
    raw = "\\" in path and '"' not in path and not path.endswith("\\")
    return f'r"{path}"' if raw else json.dumps(path, ensure_ascii=False)
