"""ViterbiLoss and ViterbiDecoder against enumeration, pytorch-crf and worked examples: the loss,
the best path, the n best, probabilities, constraints; and what a Tagger makes of them."""

import itertools

import oracle
import pytest
import torch
from oracle import tag_map_of
from torch import nn
from torchcrf import CRF as PytorchCRF

from datasets import collate
from inference import Tagger, ViterbiDecoder
from machinery.errors import InputError
from models import CRF, ViterbiLoss


def random_case(words_tags, lengths, scale=2.0, seed=0, dtype=torch.float32):
    """scores (N, L, m, m), gold targets (N, L), lengths (N) and a tag_map, all random."""
    generator = torch.Generator().manual_seed(seed)
    tag_map = tag_map_of(words_tags)
    m = len(tag_map)
    shape = (len(lengths), max(lengths), m, m)
    scores = scale * torch.randn(shape, generator=generator, dtype=dtype)
    targets = torch.zeros(shape[:2], dtype=torch.int64)
    for n, length in enumerate(lengths):
        path = torch.randint(1, m - 1, (length - 1,), generator=generator).tolist()
        targets[n, :length] = torch.tensor(oracle.unrolled(path, tag_map))
    return scores, targets, torch.tensor(lengths), tag_map


def log_partition(scores, lengths, tag_map):
    """As ViterbiLoss computes it, (N)."""
    loss = ViterbiLoss(tag_map)
    alpha, _ = loss.forward_algorithm(scores)
    return loss.log_partition(alpha, lengths)


def enumerated_loss(scores, targets, lengths, tag_map):
    """Mean loss by enumeration."""
    losses = []
    for score, target, length in zip(scores, targets, lengths.tolist(), strict=True):
        m = len(tag_map)
        steps = enumerate(target[:length].tolist())
        gold = sum(score[t, index // m, index % m].double().item() for t, index in steps)
        losses.append(oracle.log_partition(score, length, tag_map) - gold)
    return sum(losses) / len(losses)


@pytest.mark.parametrize("words_tags, lengths", [(1, [2, 1]), (3, [5, 1, 3, 2]), (4, [4, 4, 6])])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
def test_loss_and_best_paths_by_enumeration(words_tags, lengths, scale):
    scores, targets, lengths, tag_map = random_case(words_tags, lengths, scale)
    loss = ViterbiLoss(tag_map)(scores, targets, lengths).item()
    assert loss == pytest.approx(
        enumerated_loss(scores, targets, lengths, tag_map), rel=1e-4, abs=1e-4
    )
    expected = [
        oracle.best_path(score, length, tag_map)
        for score, length in zip(scores, lengths.tolist(), strict=True)
    ]
    assert ViterbiDecoder(tag_map).decode(scores, lengths) == expected


@pytest.mark.parametrize("seed", range(30))
def test_no_path_is_better_than_the_decoded_one_of_many_that_are_equal(seed):
    scores, _, lengths, tag_map = random_case(3, [5, 1, 4, 2], scale=1.0, seed=seed)
    scores = scores.round()  # few different values make ties likely
    found = ViterbiDecoder(tag_map).decode(scores, lengths)
    for score, length, path in zip(scores, lengths.tolist(), found, strict=True):
        paths = oracle.all_paths(score, length, tag_map)
        assert paths[tuple(path)] == max(paths.values())


def test_gradient_by_finite_differences():
    scores, targets, lengths, tag_map = random_case(2, [3, 1, 4], dtype=torch.float64)
    loss = ViterbiLoss(tag_map).double()
    scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: loss(s, targets, lengths), (scores,))


def test_probability_of_each_step_is_the_gradient_of_the_log_partition():
    scores, _, lengths, tag_map = random_case(3, [4, 2, 1], dtype=torch.float64)
    scores.requires_grad_()
    log_partition(scores, lengths, tag_map).sum().backward()  # by autograd alone
    loss = ViterbiLoss(tag_map)
    found = loss.step_probabilities(scores.detach(), loss.forward_algorithm(scores)[1], lengths)
    torch.testing.assert_close(found, scores.grad.nan_to_num())
    for n, length in enumerate(lengths.tolist()):
        paths = oracle.all_paths(scores[n], length, tag_map)
        probability = torch.tensor(list(paths.values()), dtype=torch.float64).softmax(0)
        expected = torch.zeros_like(scores[n])
        for path, p in zip(paths, probability, strict=True):
            for t, index in enumerate(oracle.unrolled(path, tag_map)):
                expected[t].view(-1)[index] += p
        torch.testing.assert_close(found[n].detach(), expected)


def test_equal_scores_count_the_paths():
    tag_map = tag_map_of(3)
    found = log_partition(torch.zeros(3, 6, 5, 5), torch.tensor([1, 3, 6]), tag_map)
    assert found.exp().tolist() == pytest.approx([1, 3**2, 3**5])


@pytest.mark.parametrize("position", range(5))
def test_invalid_steps_are_neither_predicted_nor_counted(position):
    """However high the score of <start> inside a sentence, or of <end> before its end."""
    scores, targets, lengths, tag_map = random_case(3, [5, 3])
    start, end = tag_map["<start>"], tag_map["<end>"]
    tempting = scores.clone()
    tempting[:, position, :, start] = 1e4
    for n, length in enumerate(lengths.tolist()):
        if position != length - 1:
            tempting[n, position, :, end] = 1e4
        if position > 0:
            tempting[n, position, start] = 1e4
        tempting[n, position, end] = 1e4
        if position == 0:
            tempting[n, 0, 1:] = 1e4
        if position == length - 1:
            tempting[n, position, :, :end] = 1e4
    loss, decoder = ViterbiLoss(tag_map), ViterbiDecoder(tag_map)
    assert loss(tempting, targets, lengths) == loss(scores, targets, lengths)
    assert decoder.decode(tempting, lengths) == decoder.decode(scores, lengths)


def test_tag_map_says_where_start_and_end_are():
    scores, targets, lengths, tag_map = random_case(3, [5, 2, 4])
    order = [2, 4, 0, 3, 1]  # the new index of each old tag
    moved_map = {tag: order[index] for tag, index in tag_map.items()}
    back = torch.tensor(order).argsort()
    moved = scores[:, :, back][..., back]
    moved_targets = torch.tensor(order)[targets // 5] * 5 + torch.tensor(order)[targets % 5]
    torch.testing.assert_close(
        ViterbiLoss(moved_map)(moved, moved_targets, lengths),
        ViterbiLoss(tag_map)(scores, targets, lengths),
    )
    moved_paths = ViterbiDecoder(moved_map).decode(moved, lengths)
    paths = ViterbiDecoder(tag_map).decode(scores, lengths)
    assert moved_paths == [[order[tag] for tag in path] for path in paths]


def test_pads_count_for_nothing():
    scores, targets, lengths, tag_map = random_case(3, [5, 2, 1])
    loss, decoder = ViterbiLoss(tag_map), ViterbiDecoder(tag_map)
    one_by_one = [
        loss(scores[n : n + 1, :length], targets[n : n + 1, :length], lengths[n : n + 1])
        for n, length in enumerate(lengths.tolist())
    ]
    noisy = torch.cat((scores, torch.full((3, 2, 5, 5), 1e5)), dim=1)
    noisy_targets = torch.cat((targets, torch.full((3, 2), 7)), dim=1)
    torch.testing.assert_close(loss(noisy, noisy_targets, lengths), sum(one_by_one) / 3)
    assert decoder.decode(noisy, lengths) == decoder.decode(scores, lengths)
    assert [len(path) for path in decoder.decode(noisy, lengths)] == [4, 1, 0]


def test_against_pytorch_crf():
    """The same emissions and transitions: loss, gradients and best paths agree."""
    words_tags, lengths, features = 5, [7, 1, 4], 6
    tag_map = tag_map_of(words_tags)
    m = words_tags + 2
    torch.manual_seed(0)
    ours = CRF(features, m).double()
    nn.init.normal_(ours.transition)
    theirs = PytorchCRF(words_tags, batch_first=True).double()
    with torch.no_grad():
        theirs.start_transitions.copy_(ours.transition[0, 1:-1])
        theirs.end_transitions.copy_(
            # The score of <end> includes its emission, which is the same for every path here.
            ours.transition[1:-1, -1]
        )
        theirs.transitions.copy_(ours.transition[1:-1, 1:-1])
        ours.emission.weight[-1] = 0
        ours.emission.bias[-1] = 0

    x = torch.randn(3, 8, features, dtype=torch.float64)
    words = torch.randint(1, m - 1, (3, 7))
    targets = torch.zeros(3, 8, dtype=torch.int64)
    for n, length in enumerate(lengths):
        path = oracle.unrolled(words[n, :length].tolist(), tag_map)
        targets[n, : length + 1] = torch.tensor(path)
    mask = torch.arange(7) < torch.tensor(lengths).unsqueeze(1)

    our_lengths = torch.tensor(lengths) + 1
    loss = ViterbiLoss(tag_map)(ours(x), targets, our_lengths)
    emissions = ours.emission(x)[:, :7, 1:-1]
    their_loss = -theirs(emissions, words - 1, mask, reduction="mean")
    torch.testing.assert_close(loss, their_loss)

    (gradient,) = torch.autograd.grad(loss, ours.transition)
    start, end, inner = torch.autograd.grad(
        their_loss, (theirs.start_transitions, theirs.end_transitions, theirs.transitions)
    )
    torch.testing.assert_close(gradient[1:-1, 1:-1], inner)
    torch.testing.assert_close(gradient[0, 1:-1], start)
    torch.testing.assert_close(gradient[1:-1, -1], end)

    decoded = ViterbiDecoder(tag_map).decode(ours(x), our_lengths)
    assert decoded == [[tag + 1 for tag in path] for path in theirs.decode(emissions, mask)]


# Worked examples of an LSTM-CRF walk-through -----------------------------------------------------


def test_worked_log_partition():
    """Three tags, none of them <start> or <end>; row 0 of the transitions plays <start>'s part,
    column 1 <end>'s."""
    emissions = torch.tensor(
        [[-0.4554, 0.4215, 0.12], [0.4058, -0.5081, 0.21], [0.2058, 0.5081, 0.02]]
    )
    transitions = torch.tensor([[0.3, 0.1, 0.1], [0.8, 0.2, 0.2], [0.3, 0.7, 0.7]])
    tag_map = tag_map_of(3)
    scores = torch.zeros(1, 4, 5, 5)
    scores[0, 0, 0, 1:4] = transitions[0] + emissions[0]
    scores[0, 1:3, 1:4, 1:4] = transitions + emissions[1:].unsqueeze(1)
    scores[0, 3, 1:4, 4] = transitions[:, 1]
    alpha, _ = ViterbiLoss(tag_map).forward_algorithm(scores)
    worked = [[-0.1554, 0.5215, 0.2200], [2.2908, 1.1990, 1.9171], [3.6038, 3.8639, 3.3758]]
    found = alpha[0, :3, 1:4].float()
    torch.testing.assert_close(found, torch.tensor(worked), atol=1e-4, rtol=0)
    found = log_partition(scores, torch.tensor([4]), tag_map).item()
    assert found == pytest.approx(5.0607, abs=5e-5)
    assert found == pytest.approx(oracle.log_partition(scores[0], 4, tag_map))


def test_worked_best_path(worked_viterbi):
    scores, tag_map, ranking = worked_viterbi
    assert ViterbiDecoder(tag_map).decode(scores, torch.tensor([4])) == [[2, 3, 4]]
    paths = oracle.all_paths(scores[0], 4, tag_map)
    assert sorted(paths, key=paths.get, reverse=True)[: len(ranking)] == list(ranking)
    assert [paths[path] for path in ranking] == pytest.approx(list(ranking.values()), abs=5e-5)


def test_reductions_and_sentences_with_unknown_tags():
    """One loss per sentence; the sum and the mean are theirs; what has no gold path counts not."""
    scores, targets, lengths, tag_map = random_case(3, [5, 1, 3, 2])
    each = ViterbiLoss(tag_map, reduction="none")(scores, targets, lengths)
    for n in range(4):
        alone = slice(n, n + 1), slice(lengths[n])
        one = ViterbiLoss(tag_map)(scores[alone], targets[alone], lengths[n : n + 1])
        torch.testing.assert_close(each[n], one)
    targets[2, 1] = -1
    targets[1, 1] = -1  # a pad: it says nothing of the sentence
    loss = ViterbiLoss(tag_map, reduction="none")
    assert loss.known(targets, lengths).tolist() == [True, True, False, True]
    each[2] = 0
    torch.testing.assert_close(loss(scores, targets, lengths), each)
    total, mean = (ViterbiLoss(tag_map, kind)(scores, targets, lengths) for kind in ("sum", "mean"))
    torch.testing.assert_close(total, each.sum())
    torch.testing.assert_close(mean, each.sum() / 3)
    assert ViterbiLoss(tag_map)(scores, torch.full_like(targets, -1), lengths) == 0


@pytest.fixture
def worked_viterbi():
    """A worked example: scores (1, 4, 5, 5), tag_map, and the best paths with their scores."""
    never = -1e4
    transitions = torch.tensor(
        [
            [never, -9.3, 0.6, 0.1, 0.6],
            [never, never, never, never, never],
            [never, -2, -6, 0.9, 0.1],
            [never, 0.2, -4, -5, 0.3],
            [never, 0.5, 0.3, -6.0, 0.2],
        ]
    )
    emissions = torch.tensor(
        [
            [-0.2196, -1.4047, 0.9992, 0.1948, 0.11],
            [-0.2401, 0.4565, 0.3464, -0.1856, 0.2622],
            [-0.3361, 0.1828, -0.3463, -0.2874, 0.2696],
            [0, 0, 0, 0, 0],
        ]
    )
    tag_map = {"<start>": 0, "<end>": 1, "a": 2, "b": 3, "c": 4}
    ranking = {
        (2, 3, 4): 3.3832,
        (2, 4, 4): 2.9310,
        (4, 2, 4): 2.2260,
        (4, 2, 3): 2.1690,
        (4, 4, 4): 2.1418,
        (3, 4, 4): 1.8266,
        (2, 4, 2): -0.0849,
        (4, 4, 2): -0.8741,
        (3, 4, 2): -1.1893,
        (3, 2, 4): -2.4892,
        (3, 2, 3): -2.5462,
    }
    return (emissions.unsqueeze(1) + transitions).unsqueeze(0), tag_map, ranking


# N best, confidence, constraints ------------------------------------------------------------------


def test_nbest_and_their_probabilities_by_enumeration():
    scores, _, lengths, tag_map = random_case(3, [4, 1, 3, 2])
    paths, path_scores = ViterbiDecoder(tag_map).decode_nbest(scores, lengths, 11)
    for n, length in enumerate(lengths.tolist()):
        expected = oracle.all_paths(scores[n], length, tag_map)
        ranking = sorted(expected, key=expected.get, reverse=True)[:11]
        assert [tuple(path[: length - 1]) for path in paths[n].tolist()][: len(ranking)] == ranking
        torch.testing.assert_close(
            path_scores[n, : len(ranking)].float(),
            torch.tensor([expected[path] for path in ranking]),
        )
        assert (path_scores[n, len(ranking) :] == float("-inf")).all()
    assert (
        ViterbiDecoder(tag_map).decode_nbest(scores[:1, :1], torch.tensor([1]), 2)[0].numel() == 0
    )


def test_nbest_gives_the_worked_ranking(worked_viterbi):
    scores, tag_map, ranking = worked_viterbi
    paths, found = ViterbiDecoder(tag_map).decode_nbest(scores, torch.tensor([4]), len(ranking))
    assert [tuple(path) for path in paths[0].tolist()] == list(ranking)
    assert found[0].tolist() == pytest.approx(list(ranking.values()), abs=5e-5)


@pytest.fixture
def tagger(tiny_train, monkeypatch):
    """A tagger with random scores, which make nothing certain."""
    tiny_train.main()
    tagger = Tagger(tiny_train.last_file, "cpu")
    torch.manual_seed(1)
    nn.init.normal_(tagger.model.crf.emission.weight, std=5)
    nn.init.normal_(tagger.model.crf.transition)
    return tagger


SENTENCES = [["Dunston", "checks", "in"], [], ["Paris"]]


def enumerated(tagger, words, constrain):
    """{tags: probability} of a sentence."""
    dataset = tagger.dataset([words])
    with torch.no_grad():
        scores = tagger.model.eval()(collate([dataset[0]]))[0]
    if constrain:
        scores = tagger.decoder.constrain(scores)
    paths = oracle.all_paths(scores[0], len(words) + 1, dataset.tag_map)
    values = torch.tensor(list(paths.values()), dtype=torch.float64).softmax(0).tolist()
    names = tagger.tag_names
    return {tuple(names[t] for t in path): p for path, p in zip(paths, values, strict=True)}


@pytest.mark.parametrize("constrain", [True, False])
def test_confidence_is_the_probability_of_the_tag_by_enumeration(tagger, constrain):
    if not constrain:
        tagger.decoder = ViterbiDecoder(tagger.maps[2])
    found = tagger.tag_with_confidence(SENTENCES)
    assert [[tag for tag, _ in pairs] for pairs in found] == tagger.tag(SENTENCES)
    for words, pairs in zip(SENTENCES, found, strict=True):
        paths = enumerated(tagger, words, constrain)
        for i, (tag, probability) in enumerate(pairs):
            expected = sum(p for path, p in paths.items() if path[i] == tag)
            assert probability == pytest.approx(expected, rel=1e-4)
            assert 0 < probability < 1


@pytest.mark.parametrize("constrain", [True, False])
def test_nbest_of_the_tagger_by_enumeration(tagger, constrain):
    if not constrain:
        tagger.decoder = ViterbiDecoder(tagger.maps[2])
    found = tagger.nbest(SENTENCES, 4)
    assert found[1] == [([], pytest.approx(1))]
    for words, paths in zip(SENTENCES, found, strict=True):
        expected = enumerated(tagger, words, constrain)
        ranking = sorted(expected, key=expected.get, reverse=True)[: len(paths)]
        assert [tuple(tags) for tags, _ in paths] == ranking
        assert [p for _, p in paths] == pytest.approx(
            [expected[tags] for tags in ranking], rel=1e-4
        )
    assert [paths[0][0] for paths in found] == tagger.tag(SENTENCES)


def test_nbest_of_long_sentences(tagger):
    """A path of many words is less probable than the smallest positive float."""
    words = 1000 * ["Paris", "zzz"]
    ((best, first), (_, second)) = tagger.nbest([words], 2)[0]
    assert best == tagger.tag([words])[0] and first == second == 0
    with pytest.raises(InputError, match="nbest: expected a number from 1 to 1,000, found 0"):
        tagger.nbest([words], 0)


def test_probabilities_are_never_above_one():
    """Sums of exponentials may round to a little more."""
    tag_map = {"<start>": 0, "a": 1, "b": 2, "<end>": 3}
    scores, lengths = torch.full((1, 3, 4, 4), -80.0), torch.tensor([3])
    scores[:, :, :, 1] = 40.0
    scores[:, 2, :, 3] = 40.0

    class Rounded(ViterbiDecoder):
        """Of every probability, what rounding might make of it."""

        def step_probabilities(self, *arguments):
            return super().step_probabilities(*arguments) * (1 + 1e-6)

        def log_partition(self, *arguments):
            return super().log_partition(*arguments) - 1e-4

    decoder = Rounded(tag_map)
    (pairs,), (paths,) = (
        decoder.confident_paths(scores, lengths),
        decoder.best_paths(scores, lengths, 1),
    )
    assert pairs == [(1, 1.0), (1, 1.0)] and paths == [([1, 1], 1.0)]


def test_constraints_rule_out_what_the_scheme_forbids_and_nothing_else():
    tags = ["<start>", "B-A", "B-B", "I-A", "I-B", "O", "<end>"]
    tag_map = {tag: i for i, tag in enumerate(tags)}
    for seed in range(5):
        scores, _, lengths, _ = random_case(5, [4, 2], seed=seed)
        decoded = ViterbiDecoder(tag_map, "IOB2").decode(scores, lengths)
        for score, length, found in zip(scores, lengths.tolist(), decoded, strict=True):
            paths = oracle.all_paths(score, length, tag_map)
            allowed = {
                path: value
                for path, value in paths.items()
                if all(
                    tags[tag][0] != "I" or (before and tags[before][1:] == tags[tag][1:])
                    for before, tag in itertools.pairwise((0, *path))
                )
            }
            assert 1 < len(allowed) < len(paths)
            assert found == list(max(allowed, key=allowed.get))


# Long sentences -----------------------------------------------------------------------------------


def all_results(scores, targets, lengths, tag_map):
    """The loss, its gradient, the best path with its probabilities, three paths and theirs."""
    loss, decoder = (part(tag_map).to(scores.dtype) for part in (ViterbiLoss, ViterbiDecoder))
    scores.requires_grad_()
    value = loss(scores, targets, lengths)
    value.backward()
    (pairs,) = decoder.confident_paths(scores.detach(), lengths)
    path, marginals = zip(*pairs, strict=True)
    (nbest,) = decoder.best_paths(scores.detach(), lengths, 3)
    return value.item(), scores.grad.double(), path, torch.tensor(marginals), nbest


@pytest.mark.parametrize(
    "words, scale",
    [
        (10, 1.0),
        (10, 4.0),
        (1000, 1.0),
        (3000, 4.0),
        pytest.param(10_000, 4.0, marks=pytest.mark.slow),
    ],
)
def test_float32_is_as_good_as_float64(words, scale):
    """The loss, its gradient, paths and probabilities of a shaky tagger's scores."""
    scores, *rest = random_case(9, [words + 1], scale, seed=words)
    scores += 5 * scale  # sums grow with the sentence
    loss, gradient, path, marginals, nbest = all_results(scores.clone(), *rest)
    loss64, gradient64, path64, marginals64, nbest64 = all_results(scores.double(), *rest)
    assert loss == pytest.approx(loss64, rel=1e-4)
    assert (gradient - gradient64).abs().max() < 1e-4
    assert path == path64
    assert (marginals - marginals64).abs().max() < 1e-4
    # Probable paths are rare among so many: compared in logs they would hide what is printed.
    assert [tags for tags, _ in nbest] == [tags for tags, _ in nbest64]
    for (_, probability), (_, probability64) in zip(nbest, nbest64, strict=True):
        assert probability == pytest.approx(probability64, rel=1e-4, abs=1e-300)
