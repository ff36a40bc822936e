"""The state of a run: how an epoch changes it, what its checkpoints hold, how it is resumed.

RunState alone changes it. A checkpoint is a dict of plain data, so that it can be loaded without
trusting the file; PARTS describes it.
"""

import hashlib
import itertools
import os

from torch import Tensor

from machinery.checkpoints import load_checkpoint, save_checkpoint, save_history
from machinery.constants import CONSTANTS, FIXED, MODEL, SCORE, TRAINING, names, plain_value
from machinery.errors import InputError, refusing_damage, visible
from machinery.files import history_file, keep_aside
from machinery.processes import by_first_process, gather, processes, rng_states

FORMAT = 6
READABLE = (5, 6)  # 5: best_file held everything, as last_file does
# What a run notes of every epoch, if it has it: without language models there is no lm_loss,
# without validation data there are no scores.
HISTORY = tuple(
    "epoch seconds lr lm_loss tag_loss val_loss accuracy macro_f1 entity_f1 precision recall "
    "best".split()
)
PLAIN = (bool, int, float, str, type(None))
# What is where in a checkpoint. {str: int} is a dict of such entries, [Tensor] a list of them.
PARTS = dict(
    format=int,
    run=str,  # a random name, which tells this run's files from another's
    settings={str: PLAIN},  # the constants that it depends on, and fingerprints of its data files
    model_arguments={str: PLAIN},  # those of LM_LSTM_CRF
    word_map={str: int},
    char_map={str: int},
    tag_map={str: int},
    scheme=(str, type(None)),  # of the tags: "IOB1", "IOB2", "BIOES", or None if they mark no spans
    rare_from=int,  # the first of the words that occur once; the others that do follow it
    epoch=int,  # how many are finished
    best_score=float,
    epochs_since_best=int,
    history=[{str: (int, float)}],  # of every epoch what HISTORY names
    model={str: Tensor},  # the state_dict to tag with: averaged weights where weights are averaged
    weights=[Tensor],  # the weights to train on; empty if they are the same
    averaged=int,  # how many steps are in the average
    optimizer=dict,  # its state_dict
    rng=[dict],  # for every process, what rng_states gives
)
# last_file has all parts; best_file lacks these, and the language models, which tagging never uses.
FOR_TRAINING = ("weights", "averaged", "optimizer", "rng")


# What does not change from epoch to epoch.
FIXED_PARTS = (
    "settings", "model_arguments", "word_map", "char_map", "tag_map", "scheme", "rare_from"
)  # fmt: skip


class RunState:
    """How far a run is: its model and optimizer, its epochs, the best of them.

    :param parts: dict with FIXED_PARTS
    :param model: on the device where it is trained
    :param average: WeightAverage of the model
    :param optimizer: one of PyTorch's
    """

    def __init__(self, parts, model, average, optimizer):
        self.parts = parts
        self.model, self.average, self.optimizer = model, average, optimizer
        self.name = gather(os.urandom(16).hex())[0]
        self.epoch = 0  # how many are finished
        self.best_score, self.epochs_since_best, self.history = -1.0, 0, []
        self.rng = [rng_states()]
        self.is_saved = self.is_measured_anew = False

    @property
    def best_epoch(self):
        """The number of the best epoch, counted from 1; 0 before the first."""
        return self.epoch - self.epochs_since_best

    def record(self, score, entry):
        """Take a finished epoch into the state.

        :param score: the one that decides; None without validation data: the last is the best
        :param entry: dict for the history, without "epoch" and "best"
        """
        improved = score is None or score > self.best_score
        self.epoch += 1
        self.best_score = self.best_score if score is None else max(score, self.best_score)
        self.epochs_since_best = 0 if improved else self.epochs_since_best + 1
        entry = gather(entry)[0]  # the processes' clocks differ, and histories are compared
        self.history.append(dict(epoch=self.epoch, **entry, best=int(improved)))
        self.rng = gather(rng_states())

    def state_dict(self):
        """What a checkpoint holds; its tensors are the run's own, so save it at once."""
        with self.average.applied():
            model = self.model.state_dict()  # of the averaged weights, also after the block
        weights = [weight.data for weight in self.average.trained] if self.average.average else []
        return dict(
            format=FORMAT,
            run=self.name,
            **self.parts,
            epoch=self.epoch,
            best_score=self.best_score,
            epochs_since_best=self.epochs_since_best,
            history=list(self.history),
            model=model,
            weights=weights,
            averaged=self.average.steps,
            optimizer=self.optimizer.state_dict(),
            rng=self.rng,
        )

    def load_state_dict(self, state):
        """Go on from a checkpoint, whose tagging weights the model has.

        Without an optimizer, nothing will be trained, and the model keeps those weights.

        :param state: as load_run gives it
        :raises ValueError, RuntimeError, ...: its weights are not of this model
        """
        self.name, self.epoch, self.history = state["run"], state["epoch"], state["history"]
        self.best_score, self.epochs_since_best = state["best_score"], state["epochs_since_best"]
        self.rng = state.get("rng", [])
        if self.optimizer is None:
            return
        self.average.load(state["weights"], state["averaged"])
        if self.parts["settings"]["optimizer"] == state["settings"]["optimizer"]:
            # The file's momentum, but the learning rate and the rest from the constants. Another
            # optimizer starts anew.
            groups = self.optimizer.state_dict()["param_groups"]
            self.optimizer.load_state_dict({**state["optimizer"], "param_groups": groups})

    def resume(self, path, state, settings, last_file):
        """Load a checkpoint to train on, and say which constants are not as they were.

        Where scores can no longer be compared with earlier ones, the search for the best epoch
        restarts; `save` keeps the best so far under another name. A run that was
        killed may have saved an epoch that its table lacks, so the table is written again.

        :param settings: as kept_settings gives them
        :raises InputError: it is for tagging, or its weights are not of this model
        """
        if not can_resume(state):
            raise InputError(
                f"{path}: expected a checkpoint to resume, found one for tagging alone, without "
                "the optimizer; resume from the run's last_file"
            )
        self.parts["settings"] = settings
        with refusing_damage(path):
            self.load_state_dict(state)
        if changes_scores(state["settings"], settings):
            self.best_score, self.epochs_since_best = -1.0, 0
            self.is_measured_anew = True
        if os.path.realpath(path) == os.path.realpath(last_file):
            save_history(history_file(last_file), self.history, HISTORY)

    def save(self, best_model, best_file, last_file):
        """Write the checkpoints and the history. Each is loaded once before it takes its name.

        At the first time, files that this run does not come from are renamed.

        :param best_model: function that gives the part of a model's state_dict that tagging needs
        """
        table = history_file(last_file)
        if not self.is_saved:
            if self.is_measured_anew:
                set_aside("is the best by another measure", best_file)
            elif not load_if_ancestor(best_file, self.name, self.history):
                set_aside("is from another run", best_file)
            if not load_if_ancestor(last_file, self.name, self.history):
                set_aside("is from another run", last_file, table)
            self.is_saved = True
        state = self.state_dict()
        # The best first: after a crash between the two, resuming the last finds the best again.
        if self.epochs_since_best == 0:
            best = {name: part for name, part in state.items() if name not in FOR_TRAINING}
            save_checkpoint(best_file, best | dict(model=best_model(state["model"])), load_run)
        save_checkpoint(last_file, state, load_run)
        save_history(table, state["history"], HISTORY)


def kept_settings(constants, criterion, train_data, val_data):
    """What a checkpoint keeps of the constants; of data files, what is in them.

    :param constants: as `checked` gives them
    :param criterion: the score that decides; constants.criterion may leave it to the tags
    :param train_data, val_data: (words, tags); None for val_data if there is none
    """
    settings = {name: getattr(constants, name) for name in names(MODEL, FIXED, SCORE, TRAINING)}
    settings["criterion"] = criterion
    settings["train_file"] = fingerprint(*train_data)
    settings["val_file"] = None if val_data is None else fingerprint(*val_data)
    return settings | dict(processes=processes())


def fingerprint(words, tags):
    """A line that tells one file's sentences from another's: counts, and a digest of all text."""
    digest = hashlib.sha256()
    for sentence in itertools.chain(words, tags):
        digest.update("\n".join((*sentence, "\n")).encode())
    count = sum(map(len, words))
    return f"{len(words):,} sentences, {count:,} words, {digest.hexdigest()[:12]}"


# ------------------------------------------------------------------------------------------------
# Loading and resuming
# ------------------------------------------------------------------------------------------------


def load_run(path):
    """The state of a run from its checkpoint, checked: later code relies on its parts.

    :raises InputError: the file is no checkpoint of this project, or damaged
    :raises OSError: the file cannot be read
    """
    state = load_checkpoint(path)
    if type(state.get("format")) is int and state["format"] not in READABLE:
        raise InputError(
            f"{path}: expected checkpoint format {FORMAT}, found {state['format']}; use the "
            "version of this project that wrote it, or train again"
        )
    with refusing_damage(path):
        state["model"] = dict(state["model"])  # it was saved as an OrderedDict
        _check(state)
    return state


def _check(state):
    """:raises KeyError, ValueError, ...: a part is missing or is no plain data of its kind"""
    for_tagging = {name: kind for name, kind in PARTS.items() if name not in FOR_TRAINING}
    check_parts(state, PARTS if can_resume(state) else for_tagging)
    for name in names(FIXED, SCORE):  # a constant of the model or of training may be newer
        plain_value(name, state["settings"][name])
    for name, size in dict(word="vocab_size", char="charset_size", tag="tagset_size").items():
        check_map(state, f"{name}_map", state["model_arguments"][size])


def check_parts(state, parts):
    """Check that a file holds plain data of the kinds that `parts` names, and finite weights.

    :param parts: dict as PARTS
    :raises ValueError: it does not
    """
    for name, kind in parts.items():
        if name not in state or not _is_of(kind, state[name]):
            raise ValueError(f"without {name!r}")
    if not all(tensor.isfinite().all() for tensor in state["model"].values()):
        raise ValueError("its weights are not finite")


def check_map(state, name, size):
    """:raises ValueError: a map does not number its entries from 0 to size - 1, in order"""
    if list(state[name].values()) != list(range(size)):
        raise ValueError(f"its {name} does not number what its model knows")


def _is_of(kind, value):
    """Whether a value is of a kind of PARTS; True is no int."""
    if isinstance(kind, tuple):
        return any(_is_of(one, value) for one in kind)
    if isinstance(kind, list):
        return type(value) is list and all(_is_of(kind[0], each) for each in value)
    if isinstance(kind, dict):
        ((of_key, of_value),) = kind.items()
        return type(value) is dict and all(
            _is_of(of_key, key) and _is_of(of_value, each) for key, each in value.items()
        )
    return type(value) is kind


def can_resume(state):
    """Whether a checkpoint has what training needs: it is a last_file, not a best_file."""
    return any(name in state for name in FOR_TRAINING)


def check_same_model(path, before, settings):
    """Refuse to go on with another model.

    :param before: the settings of the checkpoint; what it lacks is newer, and not compared
    :param settings: dict of the constants; those that nobody set, from_recipe, are not compared
    :raises InputError: a constant that the model depends on is not what it was
    """
    for name in names(MODEL, FIXED):
        if (
            name in before
            and name not in settings["from_recipe"]
            and settings[name] != before[name]
        ):
            raise InputError(
                f"{path} was trained with {name} = {before[name]!r}: "
                f"expected the same to resume it, found {settings[name]!r}"
            )


def unset_before(before, from_recipe):
    """The settings of a checkpoint that hold on resuming, since nobody set them anew."""
    return {name: before[name] for name in names(FIXED) if name in from_recipe and name in before}


def note_decoder(path, before, constrain_tags):
    """Say if a checkpoint is scored with other paths allowed than it tags with."""
    if before["constrain_tags"] != constrain_tags:
        print(
            f"{visible(path)} was trained with constrain_tags = {before['constrain_tags']}, which "
            f"inference.py keeps to; the scores below are with {constrain_tags}"
        )


def changes_scores(before, settings):
    """Say which settings are not as they were, and whether scores can no longer be compared."""
    changed = [name for name, value in settings.items() if value != before.get(name, value)]
    if settings["val_file"] is None or before["val_file"] is None:
        changed = [name for name in changed if name != "criterion"]  # then it decides nothing
    for name in changed:
        print(
            f"Changed since the checkpoint was written: {name} is {settings[name]!r}, "
            f"was {before[name]!r}"
        )
    restarts = any(name in CONSTANTS and CONSTANTS[name].role == SCORE for name in changed)
    if restarts:
        print("Scores are no longer comparable: the search for the best epoch restarts")
    return restarts


def load_if_ancestor(path, run, history):
    """The checkpoint at `path` if a run with this history went through it; else None.

    Of a run that was resumed twice from one epoch, each branch has epochs of its own: their losses
    and durations, in the history, differ.
    """
    try:
        other = load_run(path)
    except (InputError, OSError):
        return None
    return other if other["run"] == run and other["history"] == history[: other["epoch"]] else None


@by_first_process
def set_aside(why, *paths):
    """Keep files that belong together under other names, and say so."""
    for old, new in keep_aside(*paths).items():
        print(visible(f"{old} {why}: kept as {new}"))
