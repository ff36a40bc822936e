"""What the language models have learned from text without tags, and the file that keeps it.

The file serves every run with the same text and sizes. While the text is read it also holds what
is needed to go on after Ctrl-C or a crash.
"""

import os

from torch import Tensor

from machinery.checkpoints import load_checkpoint, save_checkpoint
from machinery.errors import refusing_damage
from machinery.runs import PLAIN, check_map, check_parts, fingerprint, set_aside

FORMAT = 1
# What is where in the file, as in runs.PARTS.
PARTS = dict(
    text_format=int,
    settings={str: PLAIN},  # as text_settings gives them
    char_map={str: int},
    step=int,  # how many are taken
    steps=int,  # of how many
    model={str: Tensor},  # TextModel's state_dict; once the text is read, without output layers
)
# Only while the text is read: as in a run's checkpoint.
FOR_LEARNING = dict(weights=[Tensor], averaged=int, optimizer=dict)
# The constants that it depends on. The seed is none of them: what was learned with one serves all.
SIZES = (
    "char_emb_dim", "char_rnn_dim", "char_rnn_layers", "highway_layers", "caseless",
    "min_char_freq", "text_epochs",
)  # fmt: skip


class TextRun:
    """How far the language models are with a text.

    :param settings: as text_settings gives them
    :param model: TextModel, on the device where it learns
    :param average: WeightAverage of the model
    :param optimizer: one of PyTorch's
    :param steps: how many it takes in all
    """

    def __init__(self, settings, char_map, model, average, optimizer, steps):
        self.settings, self.char_map = settings, char_map
        self.model, self.average, self.optimizer = model, average, optimizer
        self.step, self.steps = 0, steps

    def state_dict(self):
        """What the file holds; once the text is read, only what a tagger starts from."""
        with self.average.applied():
            model = self.model.state_dict()  # of the averaged weights, also after the block
        state = dict(
            text_format=FORMAT,
            settings=self.settings,
            char_map=self.char_map,
            step=self.step,
            steps=self.steps,
        )
        if self.step == self.steps:
            return state | dict(model={k: v for k, v in model.items() if "_text_out" not in k})
        return state | dict(
            model=model,
            weights=[weight.data for weight in self.average.trained],
            averaged=self.average.steps,
            optimizer=self.optimizer.state_dict(),
        )

    def load_state_dict(self, path, state):
        """Go on from an unfinished file.

        :raises InputError: it is damaged
        """
        with refusing_damage(path):
            if state["steps"] != self.steps or len(state["weights"]) != len(self.average.trained):
                raise ValueError("it is of another text or model")
            self.model.load_state_dict(state["model"])
            self.average.load(state["weights"], state["averaged"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step = state["step"]

    def save(self, path):
        """Write the file; it is loaded once before it takes its name."""
        save_checkpoint(path, self.state_dict(), load_text_model)


def text_settings(constants, words):
    """What must be the same for a file to serve a run: the text, and the constants in SIZES."""
    return {name: getattr(constants, name) for name in SIZES} | dict(text=fingerprint(words, []))


def load_text_model(path):
    """What a text model's file holds.

    :raises InputError: the file is none, or damaged
    :raises OSError: the file cannot be read
    """
    state = load_checkpoint(path)
    with refusing_damage(path):
        state["model"] = dict(state["model"])  # it was saved as an OrderedDict
        _check(state)
    return state


def _check(state):
    """:raises KeyError, ValueError, ...: a part is missing or is no plain data of its kind"""
    if state["text_format"] != FORMAT:
        raise ValueError("it is none of a text model, or of another version")
    check_parts(state, PARTS | (FOR_LEARNING if state["step"] < state["steps"] else {}))
    if not 0 < state["step"] <= state["steps"]:
        raise ValueError("it has taken more steps than there are, or none")
    check_map(state, "char_map", len(state["model"]["char_embeddings.weight"]))


def load_if_same(path, settings):
    """What the file holds if it was made with these settings; None if there is no file.

    A file with other settings is kept under another name.
    """
    if not os.path.exists(path):
        return None
    state = load_text_model(path)
    if state["settings"] == settings:
        return state
    before = state["settings"]
    changed = ", ".join(
        f"{name} is {value!r}, was {before.get(name)!r}"
        for name, value in settings.items()
        if before.get(name) != value
    )
    set_aside(f"is from another text or model ({changed})", path)
    return None
