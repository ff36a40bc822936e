"""The state of a run: recorded, resumed, compared."""

import hashlib
import itertools
import math

import torch

from machinery.checkpoints import load_checkpoint
from machinery.errors import InputError
from machinery.processes import gather, processes, rank


def fingerprint(words, tags):
    """A line that tells one file's sentences from another's: counts, and a digest of all text."""
    digest = hashlib.sha256()
    for sentence in itertools.chain(words, tags):
        digest.update("\n".join((*sentence, "\n")).encode())
    count = sum(map(len, words))
    return f"{len(words):,} sentences, {count:,} words, {digest.hexdigest()[:12]}"


def resume_momentum(path, state, optimizer):
    """Put momentum where it stood.

    :raises InputError: the checkpoint's are not of this model
    """
    try:
        # The file's momentum, but the learning rate and all else from the constants.
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({**state["optimizer"], "param_groups": groups})
        for parameter, kept in optimizer.state.items():
            if kept["momentum_buffer"].shape != parameter.shape:
                raise ValueError("the momentum has another size than the parameter")
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{path}: cannot be resumed, it may be damaged ({error!r})") from None


def rng_states():
    """Where this process's random number generators stand: dropout draws from them."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_rng_states(path, states, seed, epoch):
    """Put the random number generators where they stood.

    Generators that have none to go on from, as with another number of processes or of GPUs, begin
    with numbers that no other process and no earlier epoch had.

    :param path: where the states come from
    :param states: what rng_states gave in each process
    :raises InputError: they are no such states
    """
    digest = hashlib.sha256(f"{seed} {epoch} {rank()}".encode()).digest()
    torch.manual_seed(int.from_bytes(digest[:4], "big"))
    if len(states) != processes():
        return
    try:
        own = states[rank()]
        torch.set_rng_state(own["cpu"])
        if torch.cuda.is_available() and len(own["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(own["cuda"])
    except (KeyError, RuntimeError, TypeError) as error:
        raise InputError(f"{path}: cannot be resumed, it may be damaged ({error!r})") from None


def differences(before, now):
    """{name: (value before, value now)} of what differs, as they would be written in Python"""
    both = {name: (repr(before.get(name)), repr(value)) for name, value in now.items()}
    return {name: (old, new) for name, (old, new) in both.items() if old != new}


def load_if_of_run(path, run, epoch=math.inf):
    """The checkpoint at `path`, if it is of this run and not from after `epoch`; else None."""
    try:
        state = load_checkpoint(path)
    except (InputError, OSError):
        return None
    return state if state["run"] == run and state["epoch"] <= epoch else None


def record_epoch(state, score, model, optimizer, entry):
    """Take a finished epoch into `state`; epochs_since_best is 0 if its score is the best so far.

    :param entry: as history_entry gives it
    """
    improved = score > state["best_score"]
    state["epoch"] += 1
    state["best_score"] = max(score, state["best_score"])
    state["epochs_since_best"] = 0 if improved else state["epochs_since_best"] + 1
    state["history"].append(dict(epoch=state["epoch"], **entry, best=int(improved)))
    state.update(model=model.state_dict(), optimizer=optimizer.state_dict())
    state["rng"] = gather(rng_states())
