"""ViterbiLoss and ViterbiDecoder against enumeration, pytorch-crf and worked examples."""

import itertools

import oracle
import pytest
import torch
from oracle import tag_map_of
from torchcrf import CRF as PytorchCRF

from inference import ViterbiDecoder
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


def test_a_long_sentence():
    """300 words: against the same recursion in float64 and a direct sum in scaled space."""
    scores, targets, lengths, tag_map = random_case(4, [301], scale=5.0)
    inner = scores[0].double()[:, 1:-1, 1:-1]
    alpha = scores[0, 0, 0, 1:-1].double()
    for t in range(1, 300):
        alpha = torch.logsumexp(alpha[:, None] + inner[t], dim=0)
    expected = torch.logsumexp(alpha + scores[0, 300, 1:-1, -1].double(), dim=0).item()
    found = log_partition(scores, lengths, tag_map).item()
    assert found == pytest.approx(expected, rel=1e-5)
    path = ViterbiDecoder(tag_map).decode(scores, lengths)[0]
    assert len(path) == 300 and set(path) <= {1, 2, 3, 4}
    best = torch.tensor(oracle.unrolled(path, tag_map))
    gold = torch.tensor(oracle.unrolled([1] * 300, tag_map))
    score = scores[0].flatten(1).gather(1, best[:, None]).sum()
    assert score < found
    assert score > scores[0].flatten(1).gather(1, gold[:, None]).sum()


def test_unknown_gold_tags_leave_their_sentence_out():
    scores, targets, lengths, tag_map = random_case(3, [4, 3, 2])
    loss = ViterbiLoss(tag_map)
    with_unknown = targets.clone()
    with_unknown[1, 1:3] = -1
    kept = [0, 2]
    torch.testing.assert_close(
        loss(scores, with_unknown, lengths), loss(scores[kept], targets[kept], lengths[kept])
    )
    assert loss(scores, torch.full_like(targets, -1), lengths) == 0


def test_against_pytorch_crf():
    """The same emissions and transitions: loss, gradients and best paths agree."""
    words_tags, lengths, features = 5, [7, 1, 4], 6
    tag_map = tag_map_of(words_tags)
    m = words_tags + 2
    torch.manual_seed(0)
    ours = CRF(features, m).double()
    torch.nn.init.normal_(ours.transition)
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


def test_best_score_is_never_above_the_log_partition():
    for seed, words_tags in itertools.product(range(5), (1, 3)):
        scores, _, lengths, tag_map = random_case(words_tags, [4], scale=50.0, seed=seed)
        best = max(oracle.all_paths(scores[0], 4, tag_map).values())
        assert best <= log_partition(scores, lengths, tag_map).item() + 1e-3


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
