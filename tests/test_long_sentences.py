"""Whatever recurs over words, in float32 against float64, in sentences of up to 10,000 words."""

import pytest
import torch
from oracle import tag_map_of

from inference import ViterbiDecoder
from models import ViterbiLoss


def long_sentence(words, scale):
    """scores (1, L, m, m) of a shaky tagger, targets and lengths, and a tag_map of 9 tags."""
    generator = torch.Generator().manual_seed(words)
    tag_map = tag_map_of(9)
    m = len(tag_map)
    scores = scale * torch.randn((1, words + 1, m, m), generator=generator)
    scores += 5 * scale  # sums grow with the sentence
    tags = torch.randint(1, m - 1, (words,), generator=generator).tolist()
    path = [tag_map["<start>"], *tags, tag_map["<end>"]]
    targets = torch.tensor([[i * m + j for i, j in zip(path, path[1:])]])  # noqa: B905
    return scores, targets, torch.tensor([words + 1]), tag_map


def found(scores, targets, lengths, tag_map):
    """The loss, its gradient, the best path with its probabilities, three paths and theirs."""
    loss, decoder = (part(tag_map).to(scores.dtype) for part in (ViterbiLoss, ViterbiDecoder))
    scores.requires_grad_()
    value = loss(scores, targets, lengths)
    value.backward()
    ((path, *_),) = [
        list(zip(*pairs, strict=True))
        for pairs in decoder.confident_paths(scores.detach(), lengths)
    ]
    marginals = [p for _, p in decoder.confident_paths(scores.detach(), lengths)[0]]
    (nbest,) = decoder.best_paths(scores.detach(), lengths, 3)
    return value.item(), scores.grad.double(), path, torch.tensor(marginals), nbest


@pytest.mark.parametrize("words", [10, 1000, 10_000])
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_float32_is_as_good_as_float64(words, scale):
    scores, *rest = long_sentence(words, scale)
    loss, gradient, path, marginals, nbest = found(scores.clone(), *rest)
    loss64, gradient64, path64, marginals64, nbest64 = found(scores.double(), *rest)
    assert loss == pytest.approx(loss64, rel=1e-4)
    assert (gradient - gradient64).abs().max() < 1e-4
    assert path == path64
    assert (marginals - marginals64).abs().max() < 1e-4
    # Probable paths are rare among so many: compared in logs they would hide what is printed.
    assert [tags for tags, _ in nbest] == [tags for tags, _ in nbest64]
    for (_, probability), (_, probability64) in zip(nbest, nbest64, strict=True):
        assert probability == pytest.approx(probability64, rel=1e-4, abs=1e-300)
