"""A rehearsal for GPUs: what runs on one, with tensors that have a device, but no numbers.

An operation on fake tensors of two devices raises, and so does one on a tensor that was made on the
CPU because nobody named a device. "meta" plays the GPU everywhere; where PyTorch is built for CUDA,
fake tensors also take the ways that are CUDA's own, even without a GPU.
"""

import contextlib
import types

import pytest
import torch
from test_family import FAMILY, MAPS, batch_of, model_of
from torch import nn

import train
from inference import ViterbiDecoder
from machinery.average import WeightAverage
from models import LanguageModelLoss, ViterbiLoss

fake_tensor = pytest.importorskip("torch._subclasses.fake_tensor", reason="needs fake tensors")

SENTENCES = [["a", "b"], ["c"]]  # short: each operation on fake tensors takes a millisecond
# Each part of the model is in one of these, and missing in another.
MODELS = {
    "all parts": dict(attention_heads=2),
    "no language models, no highway layers": dict(co_training=False, highway_layers=0),
    "no characters": FAMILY["3: no characters"],
    "LSTM tagger": FAMILY["1: LSTM tagger"],
}
BUILT_FOR_CUDA = torch.backends.cuda.is_built()
NEEDS_BUILD = pytest.mark.skipif(not BUILT_FOR_CUDA, reason="needs a CUDA build of PyTorch")


def zeros(shape):
    """Nested lists of zeros, as tolist() would give them."""
    return [zeros(shape[1:]) for _ in range(shape[0])] if shape else 0


@pytest.fixture(params=["meta", pytest.param("cuda", marks=NEEDS_BUILD)])
def device(request, monkeypatch):
    """All tensors are fake while the test runs, and made on the CPU unless a device is named."""
    monkeypatch.setattr(fake_tensor.FakeTensor, "tolist", lambda tensor: zeros(tensor.shape))
    if request.param == "meta":  # which autocast does not know
        monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    with fake_tensor.FakeTensorMode(), torch.backends.cudnn.flags(enabled=False):
        yield torch.device(request.param)


def fake_batch():
    """A batch of fake tensors, on the CPU as the data loader gives it."""
    with fake_tensor.unset_fake_temporarily():
        real = batch_of(SENTENCES)
    return type(real)(*(torch.zeros(tensor.shape, dtype=tensor.dtype) for tensor in real))


def model_on(device, constants):
    with device:  # a model that is made on the CPU cannot be moved to "meta"
        return model_of(**constants)


def all_on(device, tensors):
    return all(tensor.device.type == device.type for tensor in tensors)


@pytest.mark.parametrize("constants", MODELS.values(), ids=MODELS)
def test_losses_and_decoders_make_no_tensor_elsewhere(device, constants):
    batch = fake_batch().to(device)
    model = model_on(device, constants)
    loss = ViterbiLoss(MAPS[2]).to(device)
    scores, *lm_scores = model(batch)
    lm_loss = LanguageModelLoss(MAPS[0], len(MAPS[0]))(*lm_scores, batch)
    none = ViterbiLoss(MAPS[2], "none").to(device)
    of_each = none(scores, batch.tags, batch.word_lengths)
    alpha, before = loss.forward_algorithm(scores.detach())
    steps = loss.step_probabilities(scores.detach(), before, batch.word_lengths)
    assert all_on(device, [lm_loss, of_each, loss.log_partition(alpha, batch.word_lengths), steps])

    with torch.inference_mode():
        scores, _, _ = model.eval()(batch)
    for scheme in (None, "IOB2"):
        decoder = ViterbiDecoder(MAPS[2], scheme).to(device)
        for answer in (decoder.decode, decoder.confident_paths):
            assert len(answer(scores, batch.word_lengths)) == len(SENTENCES)
        assert len(decoder.best_paths(scores, batch.word_lengths, 3)) == len(SENTENCES)


class Loader(list):
    batch_sampler = types.SimpleNamespace(set_epoch=lambda epoch: None)


@pytest.mark.parametrize("constants", MODELS.values(), ids=MODELS)
def test_neither_does_training(device, monkeypatch, constants):
    model = model_on(device, constants)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if device.type == "cuda" and not torch.cuda.is_available():  # going back needs the driver
        monkeypatch.setattr(torch.Tensor, "backward", lambda loss: None)
    monkeypatch.setattr(train, "check_finite", lambda *_: None)  # fake numbers are neither
    state = types.SimpleNamespace(
        epoch=0,
        model=model,
        parts=dict(rare_from=2),
        optimizer=torch.optim.SGD(trained, lr=1.0),
        average=WeightAverage(model, 0.9),
    )
    settings = types.SimpleNamespace(
        lr=1.0, lr_decay=0.0, unk_rate=0.5, grad_clip=5.0, half_precision=False
    )
    settings.co_training = constants.get("co_training", True)
    losses = LanguageModelLoss(MAPS[0], len(MAPS[0])), ViterbiLoss(MAPS[2]).to(device)
    train.train_epoch(model, Loader([fake_batch()]), *losses, settings, state)
    gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
    assert state.average.steps == 1 and all_on(device, state.average.average + gradients)
    assert len(gradients) == len(trained) or device.type == "cuda"


def test_a_tensor_elsewhere_would_raise(device):
    linear = nn.Linear(2, 2, device=device)
    assert linear(torch.zeros(2, device=device)).device.type == device.type
    with pytest.raises(RuntimeError, match="device"):
        linear(torch.zeros(2))
