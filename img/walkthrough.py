"""The numbers of the README's example, computed with the project's own code from img/example.py.

python img/walkthrough.py        prints every block as the README has to show it
"""

import itertools
import math
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import torch  # noqa: E402  (these are only found after the line above)
from example import (  # noqa: E402
    EMISSION,
    INSIDE,
    SCORES,
    TAG_NAMES,
    TAGS,
    TRANSITION,
    WITH_INSIDE,
    WORDS,
    maps,
    with_inside,
)

from inference import ViterbiDecoder  # noqa: E402
from models import ViterbiLoss  # noqa: E402
from utils import create_input_tensors  # noqa: E402

M = len(TAG_NAMES)
START, *INNER, END = range(M)
LOC, PER, O = INNER  # noqa: E741
TOKENS = [*WORDS, "<end>"]
LENGTHS = torch.tensor([len(TOKENS)])
WRONG = [LOC, O, O]  # each word's best tag by its emission
GOLD = [TAG_NAMES.index(tag) for tag in TAGS]


def table(header, *rows):
    """A table in Markdown; <start> and <end> as code."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(coded(str(cell)) for cell in row)} |" for row in lines)


def coded(text):
    """Text with <start> and <end> as code."""
    return text.replace("<start>", "`<start>`").replace("<end>", "`<end>`")


def decimal(value):
    """A score with one digit after the point."""
    return f"{float(value):.1f}"


def sums(parts):
    """Scores and their sum."""
    return f"{' + '.join(map(decimal, parts))} = {decimal(sum(parts))}"


# The eight inputs -------------------------------------------------------------------------------


def inputs():
    """The block of the inputs that no picture has."""
    words, *_ = (tensor.tolist() for tensor in create_input_tensors(WORDS, TAGS, *maps()))
    return {"WORDS": table(TOKENS, words)}


# Scores, loss and decoding ----------------------------------------------------------------------


def word_by_word():
    """Blocks of the failure, and of the two kinds of score."""
    emission = EMISSION[0, INNER]
    assert EMISSION[: len(WORDS)].argmax(1).tolist() == WRONG
    names = [TAG_NAMES[tag] for tag in INNER]
    right = emission.softmax(0)[INNER.index(GOLD[0])].item()
    return {
        "SOFTMAX": table(
            [WORDS[0], *names],
            ["score", *map(decimal, emission)],
            ["softmax", *(f"{p:.0%}" for p in emission.softmax(0))],
        ),
        "ALONE_LOSS": f"-log {right:.3f} = {-math.log(right):.2f} at this word",
    }


def parts(scores, tags):
    """The numbers that a path takes, one of each word's scores."""
    path = [START, *tags, scores.size(1) - 1]
    return [scores[k, i, j] for k, (i, j) in enumerate(itertools.pairwise(path))]


def name(tags):
    """A path as the README writes it."""
    return " ".join(TAG_NAMES[tag] for tag in tags)


def backward(scores, t):
    """(m) log of the summed exp(score) of all that can follow each tag at word t."""
    beta = scores[-1, :, END]
    for word_scores in scores[t + 1 : -1].flip(0):
        beta = (word_scores[:, INNER] + beta[INNER]).logsumexp(1)
    return beta


def paths():
    """Blocks of the paths' scores, of the loss and of marginals."""
    *_, targets, _, _ = create_input_tensors(WORDS, TAGS, *maps())
    viterbi_loss = ViterbiLoss(maps()[2])
    alpha, before = viterbi_loss.forward_algorithm(SCORES.unsqueeze(0))
    total = viterbi_loss.log_partition(alpha, LENGTHS).item()
    loss = viterbi_loss(SCORES.unsqueeze(0), targets.unsqueeze(0), LENGTHS).item()
    gold = sum(parts(SCORES, GOLD)).item()
    pairs = viterbi_loss.step_probabilities(SCORES.unsqueeze(0), before, LENGTHS)
    marginals = pairs.sum(2)[0, 0]
    inner = list(itertools.product(INNER, repeat=len(WORDS)))
    scores = {tags: sum(parts(SCORES, tags)).item() for tags in inner}
    ranked = sorted(inner, key=scores.get, reverse=True)
    to_in = [sum(parts(SCORES, tags)[:-1]).item() for tags in inner if tags[-1] == O]
    assert math.isclose(math.log(sum(map(math.exp, to_in))), alpha[0, 2, O], abs_tol=1e-5)
    # alpha of "O" at "checks", from the three tags before
    to_o = [f"e^{{{decimal(alpha[0, 0, i])} + {decimal(SCORES[1, i, O])}}}" for i in INNER]
    # beta of "B-PER" at "dunston", to the three tags after
    beta, after = (backward(SCORES, t) for t in (0, 1))
    from_per = [f"e^{{{decimal(SCORES[1, PER, j])} + {after[j]:.2f}}}" for j in INNER]
    assert math.isclose(
        math.exp(alpha[0, 0, PER] + beta[PER] - total), marginals[PER], abs_tol=1e-5
    )
    return {
        "COUNT": f"${len(INNER)}^{len(WORDS)} = {len(INNER) ** len(WORDS)}$ paths",
        "GOLD": f"$${sums(parts(SCORES, GOLD))}$$",
        "WRONG": f"$${sums(parts(SCORES, WRONG))}$$",
        "BRUTE_FORCE": f"# {total:.3f}",
        "RANKING": table(
            ["path", "score", "probability"],
            *(
                [f"`{name(tags)}`", decimal(scores[tags]), f"{math.exp(scores[tags] - total):.0%}"]
                for tags in ranked[:3]
            ),
        ),
        "NINE": f"({', '.join(map(decimal, to_in))}) give the same: the log of their summed "
        f"exponentials is {alpha[0, 2, O]:.2f}",
        "PROBABILITY": f"$e^{{{decimal(gold)} - {total:.3f}}} = {math.exp(gold - total):.2f}$",
        "MANY": f"$9^{{20}}$ paths, {9**20 / 1e18:.0f} quintillion",
        "ALPHA": rf"$$\log({' + '.join(to_o)}) = {alpha[0, 1, O]:.2f}$$",
        "LOSS": f"{total:.3f} - {decimal(gold)} = {loss:.3f}",
        "BETA": rf"$$\log({' + '.join(from_per)}) = {beta[PER]:.2f}$$",
        "MARGINAL": f"$e^{{{decimal(alpha[0, 0, PER])} + {beta[PER]:.2f} - {total:.2f}}} = "
        f"{marginals[PER]:.2f}$",
        "PAIR": f"$e^{{{decimal(alpha[0, 0, PER])} + {decimal(SCORES[1, PER, O])} + {after[O]:.2f} "
        f"- {total:.2f}}} = {pairs[0, 1, PER, O]:.2f}$. The gold path uses it, so the gradient is "
        f"{pairs[0, 1, PER, O] - 1:.2f}",
        "MARGINALS": " and ".join(f"`{TAG_NAMES[j]}` {marginals[j]:.0%}" for j in (PER, LOC)),
    }


def viterbi():
    """Blocks of the Viterbi algorithm, word by word."""
    decoded = ViterbiDecoder(maps()[2]).decode(SCORES.unsqueeze(0), LENGTHS)
    assert decoded == [GOLD]
    best, blocks = SCORES[0, START], {}
    leaders = [f"`{TAG_NAMES[j]}` {decimal(best[j])}" for j in INNER]
    blocks["VITERBI_1"] = f"{', '.join(leaders)}."
    ways = best.unsqueeze(1) + SCORES[1]
    to_o = {
        i: f"{decimal(best[i])} + {decimal(SCORES[1, i, O])} = {decimal(ways[i, O])}" for i in INNER
    }
    blocks["VITERBI_2"] = f"{to_o[PER]} from `B-PER`, {to_o[LOC]} from `B-LOC`, {to_o[O]} from `O`."
    came_from = [INNER[i] for i in ways[INNER].argmax(0)]
    assert came_from[O] == PER
    best = ways[INNER].amax(0)
    ways = best.unsqueeze(1) + SCORES[2]
    assert [INNER[i] for i in ways[INNER].argmax(0)][LOC:END] == [O, O, O]
    best = ways[INNER].amax(0)
    leaders = [f"`{TAG_NAMES[j]}` {decimal(best[j])}" for j in INNER]
    blocks["VITERBI_3"] = f"come through `O` at *checks*: {', '.join(leaders)}."
    ways = (best.unsqueeze(1) + SCORES[3])[:, END]
    assert INNER[ways[INNER].argmax()] == O and ways[O] == sum(parts(SCORES, GOLD))
    blocks["VITERBI_4"] = f"the best is {decimal(ways[O])}, from `O`"
    return blocks


def inside():
    """Blocks of the example with I-PER among its tags."""
    emission, transition = with_inside()
    scores = emission.unsqueeze(1) + transition
    tag_map = {tag: number for number, tag in enumerate(WITH_INSIDE)}
    viterbi_loss = ViterbiLoss(tag_map)
    _, before = viterbi_loss.forward_algorithm(scores.unsqueeze(0))
    pairs = viterbi_loss.step_probabilities(scores.unsqueeze(0), before, LENGTHS)
    inner = range(1, len(WITH_INSIDE) - 1)
    by_word = emission[: len(WORDS)].argmax(1).tolist()
    (decoded,) = ViterbiDecoder(tag_map).decode(scores.unsqueeze(0), LENGTHS)
    assert [WITH_INSIDE[tag] for tag in by_word] == ["I-PER", "O", "O"]
    assert [WITH_INSIDE[tag] for tag in decoded] == TAGS
    assert transition[0, INSIDE] == transition[WITH_INSIDE.index("O"), INSIDE]

    def row(name, values, shown):
        return [name, *(format(float(values[tag]), shown) for tag in inner)]

    alone = emission[0, list(inner)].softmax(0)
    return {
        "INSIDE": table(
            [WORDS[0], *(WITH_INSIDE[tag] for tag in inner)],
            row("score", emission[0], ".1f"),
            ["softmax", *(f"{p:.0%}" for p in alone)],
        ),
        "INSIDE_TRANSITION": f"here to {decimal(transition[0, INSIDE])}",
        "INSIDE_MARGINAL": f"from {alone[INSIDE - 1]:.0%} to {pairs.sum(2)[0, 0, INSIDE]:.0%}",
        "INSIDE_PATH": f"`I-PER O O` scores {sums(parts(scores, by_word))}",
    }


def exercise():
    """The block of the exercise: the transition from B-PER to O lowered by 1."""
    scores = SCORES.clone()
    scores[:, PER, O] -= 1
    tag_map = maps()[2]
    (decoded,) = ViterbiDecoder(tag_map).decode(scores.unsqueeze(0), LENGTHS)
    assert decoded == WRONG
    viterbi_loss = ViterbiLoss(tag_map)
    alpha, _ = viterbi_loss.forward_algorithm(scores.unsqueeze(0))
    before, after = TRANSITION[PER, O], TRANSITION[PER, O] - 1
    return {
        "EXERCISE": f"from {decimal(before)} to {decimal(after)}",
        "EXERCISE_PATHS": f"`B-LOC O O` wins with {decimal(sum(parts(scores, decoded)))}, against "
        f"{decimal(sum(parts(scores, GOLD)))} for the gold path",
        "EXERCISE_TOTAL": f"should print {viterbi_loss.log_partition(alpha, LENGTHS).item():.3f}",
    }


def blocks():
    """{name: text that the README has to contain}"""
    return inputs() | word_by_word() | paths() | viterbi() | inside() | exercise()


if __name__ == "__main__":
    for name, block in blocks().items():
        print(f"{name}\n{block}\n")
