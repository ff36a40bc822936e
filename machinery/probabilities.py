"""How probable tags are, and what tag schemes forbid: the second reading of inference.py.

confident_paths and best_paths take a ViterbiDecoder, a ViterbiLoss and the scores of a batch. They
count only paths that the decoder's scheme allows.
"""

import math

import torch

from machinery.errors import END, START
from machinery.spans import may_follow

BARELY = -1e6  # added to the score of what the tag scheme forbids


@torch.inference_mode()
def confident_paths(decoder, loss, scores, lengths):
    """The best path of each sentence, each tag with its marginal probability.

    That is the probability of all paths together that have this tag at this word: the sum over the
    tags before it of the probabilities of the transitions to it, which are a gradient
    (ViterbiLoss.step_probabilities).

    :param scores: (N, L, m, m), as CRF gives them
    :param lengths: (N) words of each sentence, <end> included
    :return: list of N lists of lengths[n] - 1 pairs (tag index, probability)
    """
    paths = decoder.decode(scores, lengths)
    scores = decoder.constrain(scores)
    _, before = loss.forward_algorithm(scores)
    steps = loss.step_probabilities(scores, before, lengths)
    marginals = steps.sum(2).clamp(max=1).tolist()  # (N, L, m)
    return [
        [(tag, of_word[tag]) for tag, of_word in zip(path, of_sentence, strict=False)]
        for path, of_sentence in zip(paths, marginals, strict=True)  # <end> and pads come last
    ]


@torch.inference_mode()
def best_paths(decoder, loss, scores, lengths, count):
    """The best `count` paths of each sentence, and the probability of each.

    :param scores, lengths: as in confident_paths
    :return: list of N lists of pairs (list of tag indices, probability), the best first; shorter
        where there are no more
    """
    paths, path_scores = decode_nbest(decoder, scores, lengths, count)
    alpha, _ = loss.forward_algorithm(decoder.constrain(scores))
    logs = path_scores - loss.log_partition(alpha, lengths).unsqueeze(1)  # (N, count)
    # Not "probability > 0": in a long sentence, that of every path may be too small a number.
    exist = (logs > BARELY / 2).tolist()
    probabilities = logs.exp().clamp(max=1).tolist()
    ends = (lengths - 1).tolist()
    return [
        [
            (path[:end], probability)
            for path, probability, exists in zip(*of_sentence, strict=True)
            if exists
        ]
        for end, *of_sentence in zip(ends, paths.tolist(), probabilities, exist, strict=True)
    ]


@torch.inference_mode()
def decode_nbest(decoder, scores, lengths, count):
    """The best `count` paths of each sentence, the best first.

    The Viterbi algorithm again, with the scores of the best `count` paths to each tag, not of one:
    the paths to the next tag continue any of them. Here, where each came from is noted.

    :param scores, lengths: as in confident_paths
    :return: paths (N, count, L - 1), of which lengths[n] - 1 tags count, and their scores
        (N, count), -inf where a sentence has fewer paths
    """
    scores = decoder.constrain(scores).double()  # sums over long sentences keep their decimals
    m = scores.size(2)
    penalty = decoder.word_penalty.to(scores.device).unsqueeze(1)  # (m, 1)
    best = scores.new_full((len(scores), m, count), -math.inf)
    best[:, decoder.start, 0] = 0
    at_end, back_pointers = [], []
    for step in scores.unbind(1):
        paths = (best.unsqueeze(3) + step.unsqueeze(2)).flatten(1, 2)  # (N, m * count, m)
        best, previous = paths.topk(count, dim=1)  # (N, count, m)
        at_end.append(best[:, :, decoder.end])
        back_pointers.append(previous.flatten(1))  # (N, count * m)
        best = best.transpose(1, 2) + penalty  # (N, m, count)
    last = (lengths - 1).view(1, -1, 1).expand(-1, -1, count)
    path_scores = torch.stack(at_end).gather(0, last).squeeze(0)  # (N, count)

    rank = torch.arange(count, device=scores.device).expand(len(scores), -1)  # (N, count)
    tag = torch.full_like(rank, decoder.end)
    found = []
    for t in range(scores.size(1) - 1, 0, -1):
        previous = back_pointers[t].gather(1, rank * m + tag)
        going = t < lengths.unsqueeze(1)
        tag = torch.where(going, previous // count, tag)
        rank = torch.where(going, previous % count, rank)
        found.append(tag)
    if not found:
        return rank.new_empty(*rank.shape, 0), path_scores
    return torch.stack(found[::-1], dim=2), path_scores


def step_penalty(tag_map, scheme):
    """(m, m) what to add to the score of tag j after tag i: 0, or very little if the scheme
    forbids it. It is finite, so that a sentence gets tags even where nothing else is left."""
    outer = {START: "O", END: "O"}
    names = [outer.get(tag, tag) for tag in sorted(tag_map, key=tag_map.get)]
    return torch.tensor(
        [[0.0 if may_follow(i, j, scheme) else BARELY for j in names] for i in names]
    )
