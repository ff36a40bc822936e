"""The slow, obvious way to do what the CRF does: enumerate every valid path in float64."""

import itertools

import torch

START, END = "<start>", "<end>"


def tag_map_of(words_tags):
    """A tag_map with <start> first, so many word tags, and <end> last."""
    tags = [START, *(f"tag_{i + 1}" for i in range(words_tags)), END]
    return {tag: index for index, tag in enumerate(tags)}


def all_paths(scores, length, tag_map):
    """{tags of the words: score of the path} over all valid paths of one sentence.

    :param scores: (L, m, m)
    :param length: words, <end> included
    """
    word_tags = [index for tag, index in tag_map.items() if tag not in (START, END)]
    scores = scores.detach().double().tolist()
    paths = {}
    for path in itertools.product(word_tags, repeat=length - 1):
        steps = itertools.pairwise((tag_map[START], *path, tag_map[END]))
        paths[path] = sum(scores[t][i][j] for t, (i, j) in enumerate(steps))
    return paths


def log_partition(scores, length, tag_map):
    """Log of the sum of exp(score) over all valid paths of one sentence."""
    values = torch.tensor(list(all_paths(scores, length, tag_map).values()), dtype=torch.float64)
    return torch.logsumexp(values, dim=0).item()


def best_path(scores, length, tag_map):
    """The valid path with the highest score, a list of tags."""
    paths = all_paths(scores, length, tag_map)
    return list(max(paths, key=paths.get))


def unrolled(path, tag_map):
    """Targets of a path of word tags: previous * m + current, <end> included."""
    steps = itertools.pairwise((tag_map[START], *path, tag_map[END]))
    return [previous * len(tag_map) + current for previous, current in steps]
