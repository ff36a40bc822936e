"""What makes a CPU wait for a GPU, counted on the CPU: almost nothing in training and tagging."""

import collections
import types

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import train
from inference import ViterbiDecoder
from machinery import runs
from machinery.average import WeightAverage
from machinery.constants import checked
from utils import read_words_tags

# Each needs to know a value, or how many there are, before the next line can run.
WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "is_nonzero", "equal"}


class Waits(TorchDispatchMode):
    """Counts operations that need a tensor's values on the CPU, and copies to the CPU."""

    def __init__(self):
        super().__init__()
        self.counts = collections.Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        mask = name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1])
        # The backward of a change of type names the device as well, where the tensor is already.
        kwargs = kwargs or {}
        to_cpu = name == "_to_copy" and kwargs.get("device") == torch.device("cpu")
        to_cpu = to_cpu and kwargs.get("dtype") in (None, args[0].dtype)
        if name in WAITS or mask or to_cpu:
            self.counts[name] += 1
        return function(*args, **kwargs)


class Loader(list):
    """Batches that are ready, in a loader's clothes."""

    batch_sampler = types.SimpleNamespace(set_epoch=lambda epoch: None)


@pytest.fixture
def run(tiny_train, monkeypatch):
    """The state of a run, its model and its batches."""
    monkeypatch.setattr(tiny_train, "averaging", 0)  # its count of steps is always on the CPU
    monkeypatch.setattr(tiny_train, "min_word_freq", None)
    constants = checked(vars(tiny_train), tiny_train.RECIPES)
    data = read_words_tags(tiny_train.train_file)
    settings = runs.kept_settings(constants, "f1", data, data)
    state, model = tiny_train.new_run(constants, settings, data)
    dataset = tiny_train.encode("tiny", data, state)
    return constants, state, model, list(tiny_train.data_loader(dataset, 2, True))


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_training_step_waits_only_where_losses_are_read(run, optimizer):
    constants, state, model, batches = run
    constants = checked(vars(train) | vars(constants) | dict(optimizer=optimizer), train.RECIPES)
    torch_optimizer = train.new_optimizer(model, constants)
    losses = (
        train.LanguageModelLoss(state["word_map"], state["model_arguments"]["lm_vocab_size"]),
        train.ViterbiLoss(state["tag_map"]),
    )
    found = []
    for steps in (10, 19, 20):
        loader = Loader((batches * 10)[:steps])
        with Waits() as waits:
            of_run = runs.RunState(state, model, WeightAverage(model, 0), torch_optimizer)
            train.train_epoch(model, loader, *losses, constants, of_run)
        found.append(waits.counts.total())
    at_the_end = len(list(model.parameters()))  # all weights are checked once an epoch
    assert found[0] > at_the_end
    # Whether 10 or 20 steps: what is read is read every tenth step, and after the last.
    of_one_reading = found[0] - at_the_end
    assert found[1:] == [found[0] + of_one_reading] * 2 and of_one_reading <= 4


def test_decoding_waits_once_for_a_batch(run, monkeypatch):
    constants, state, model, batches = run
    decoder = ViterbiDecoder(state["tag_map"], state["scheme"])
    with torch.inference_mode():
        scores, _, _ = model(batches[0])
    lists, tolist = [], torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda self: lists.append(1) or tolist(self))
    with Waits() as waits:
        decoder.decode(scores, batches[0].word_lengths)
    assert waits.counts.total() == 0 and len(lists) == 1
