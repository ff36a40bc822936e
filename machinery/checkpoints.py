"""Checkpoint files: written whole, read safely, checked."""

import csv
import errno
import io
import os
import pickle
import warnings
import zipfile

import torch

from machinery.errors import END, PAD, START, UNK, InputError, visible
from machinery.processes import by_first_process
from machinery.spans import are_spans

CHECKPOINT_FORMAT = 3

# What a run notes of every epoch; the language models' loss and the entities' scores may be absent.
HISTORY = tuple(
    "epoch seconds lr lm_loss tag_loss val_loss accuracy macro_f1 entity_f1 precision recall "
    "best".split()
)


@by_first_process
def save_checkpoint(path, state):
    """Write a dict of plain data (numbers, strings, lists, dicts, tensors) to `path`.

    :raises OSError: the file cannot be written; the old one is as it was
    """
    _replace(path, "checkpoint", lambda file: torch.save(state, file))


def history_file(path):
    """The name of the table that belongs to a checkpoint: beside it, with its name."""
    return os.path.splitext(path)[0] + ".csv"


@by_first_process
def save_history(path, history):
    """Write a row for every epoch as CSV, its columns named after HISTORY.

    The checkpoint holds the same. So where the table cannot be written, because a spreadsheet keeps
    it open, say, that is no reason to stop: it is said, and the next epoch tries again.

    :param history: list of a dict for every epoch
    """
    text = io.StringIO(newline="")
    columns = [name for name in HISTORY if any(name in entry for entry in history)]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    try:
        _replace(path, "history", lambda file: file.write(text.getvalue().encode()))
    except OSError as error:
        print(f"Warning: {error.filename}: {error.strerror}")


def _replace(path, what, write):
    """Write a file anew.

    A crash at any moment leaves either the old file or the new one, both whole: the new one is
    written beside the old, brought to the disk, and then takes the name in one step.

    :param what: what an error calls the file
    :param write: function that writes to an open file
    :raises OSError: the file cannot be written; the old one is as it was
    """
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    temporary = f"{path}.tmp"
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        # Where writing fails, torch.save raises a RuntimeError while it handles the OSError.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        reason = f"{cause.strerror}; the {what} could not be saved, the one before is as it was"
        raise OSError(cause.errno, reason, str(path)) from error
    finally:
        if os.path.exists(temporary):  # the disk was full, say: leave no half of a file behind
            os.remove(temporary)


@by_first_process
def check_can_save(path):
    """Find out before hours of work whether save_checkpoint can write to `path`.

    :raises OSError: it cannot
    """
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    temporary = f"{path}.tmp"
    open(temporary, "wb").close()
    os.remove(temporary)


def load_checkpoint(path):
    """Read what save_checkpoint wrote, to the CPU, wherever it was trained.

    :raises InputError: the file is no checkpoint of this project, or damaged
    :raises OSError: the file cannot be read
    """
    with open(path, "rb") as file:
        try:
            _check_archive(file)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the error that follows says enough
                # weights_only: plain data is read, code that a hostile file carries is never run.
                state = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file raises many kinds
            reason = visible(str(error).strip().partition("\n")[0][:120])
            if isinstance(error, pickle.UnpicklingError):
                reason = "it holds more than plain data; no code in it was run"
            raise InputError(
                f"{path}: expected a checkpoint, found a file that cannot be loaded ({reason})"
            ) from None
    if not isinstance(state, dict) or type(state.get("format")) is not int:
        raise InputError(f"{path}: expected a checkpoint of train.py, found other data")
    if state["format"] != CHECKPOINT_FORMAT:
        raise InputError(
            f"{path}: expected checkpoint format {CHECKPOINT_FORMAT}, found {state['format']}"
        )
    if wrong := _wrong_part(state):
        raise InputError(f"{path}: expected a checkpoint of train.py, found one {wrong}")
    return state


def _check_archive(file):
    """Refuse what torch.load would not notice: flipped bits, and files that unpack to far more
    than they are.

    :param file: a zip archive, opened in binary mode; read from its beginning afterwards
    """
    size = file.seek(0, os.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > size:
            raise zipfile.BadZipFile("its parts are larger than the file")
        if any(member.external_attr & 0x10 for member in members):
            raise zipfile.BadZipFile("it has folders, which torch.load reads as any bytes")
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
    file.seek(0)


def _wrong_part(state):
    """What a checkpoint lacks, in words, or None: later code relies on these parts."""
    kinds = {
        dict: "settings training model_arguments word_map char_map tag_map model optimizer",
        list: "history rng",
        int: "epoch epochs_since_best",
        bool: "constrain_tags",
        float: "best_score",
        str: "run",
    }
    for kind, names in kinds.items():
        for name in names.split():
            if not isinstance(state.get(name), kind):
                return f"without {name!r} ({kind.__name__})"
    if not isinstance(state["settings"].get("caseless"), bool):
        return "whose settings do not say whether it is caseless"
    for name, size_name, special in (
        ("word_map", "vocab_size", {PAD, END, UNK}),
        ("char_map", "charset_size", {PAD, END, UNK}),
        ("tag_map", "tagset_size", {START, END}),
    ):
        size = state["model_arguments"].get(size_name)
        if not _numbers_from_0(state[name]) or not special <= state[name].keys():
            return f"whose {name} does not number its entries from 0"
        if type(size) is not int or size != len(state[name]):
            return f"whose {name} has {len(state[name]):,} entries where {size_name} is {size!r}"
    if not _is_history(state["history"], state["epoch"]):
        return "whose history is not that of its epochs"
    schemes = ("IOB1", "IOB2", "BIOES") if are_spans(set(state["tag_map"]) - {START, END}) else ()
    if (scheme := state.get("scheme", "")) not in (None, *schemes):
        return f"whose tags are not written in scheme {scheme!r}"


def _is_history(history, epochs):
    """Whether a list has a dict for every epoch, with what save_history and print_epoch need."""
    needed = set(HISTORY) - {"lm_loss", "entity_f1", "precision", "recall"}
    spans_too = {"entity_f1", "precision", "recall"}
    return len(history) == epochs and all(
        isinstance(entry, dict)
        and needed <= entry.keys() <= set(HISTORY)
        and len(spans_too & entry.keys()) in (0, 3)
        and all(_is_number(value) for value in entry.values())
        and entry["epoch"] == number
        and 0 <= entry["seconds"] < 1e9
        for number, entry in enumerate(history, 1)
    )


def _is_number(value):
    """Whether a value is a float, or an integer that others than Python can read, too."""
    return type(value) is float or (type(value) is int and abs(value) < 2**63)


def _numbers_from_0(mapping):
    """Whether a dict is {string: 0, string: 1, ...}"""
    return all(
        type(entry) is str and type(index) is int and index == position
        for position, (entry, index) in enumerate(mapping.items())
    )


def keep_aside(*paths):
    """Keep files that belong together under the first free names of the kind stem.1.pt.

    :return: {path: its new name}, those that exist
    """
    number = 1
    while any(map(os.path.exists, free := [_numbered(path, number) for path in paths])):
        number += 1
    kept = {path: name for path, name in zip(paths, free, strict=True) if os.path.exists(path)}
    for path, name in kept.items():
        try:
            os.link(path, name)  # both names, until `path` is written: at no moment is it missing
        except OSError:  # not on every file system
            os.rename(path, name)
    return kept


def _numbered(path, number):
    """stem.1.pt"""
    stem, suffix = os.path.splitext(path)
    return f"{stem}.{number}{suffix}"
