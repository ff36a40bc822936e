"""The numbers of the README's example, computed with the project's own code from img/example.py.

python tests/walkthrough.py        prints every block as the README has to show it
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "img")]

import torch  # noqa: E402  (these are only found after the line above)
from example import EMISSION, SCORES, TAG_NAMES, TAGS, TRANSITION, WORDS, maps  # noqa: E402

from inference import ViterbiDecoder  # noqa: E402
from machinery.probabilities import decode_nbest  # noqa: E402
from models import ViterbiLoss  # noqa: E402
from utils import create_input_tensors  # noqa: E402

START, *INNER, END = range(len(TAG_NAMES))
M = len(TAG_NAMES)
TOKENS = [*WORDS, "<end>"]


def table(header, rows):
    """A table in Markdown; <start> and <end> as code."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    cells = [[f"`{cell}`" if str(cell).startswith("<") else str(cell) for cell in x] for x in lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def inputs():
    """Blocks of the eight inputs."""
    words, forward, backward, forward_markers, backward_markers, tags, *_ = (
        tensor.tolist() for tensor in create_input_tensors(WORDS, TAGS, *maps())
    )

    def spelled(text, numbers):
        cells = [*text.replace(" ", "_"), "<end>"]
        widths = [max(len(cell), 2) for cell in cells]
        rows = [cells, map(str, numbers)]
        lines = (
            " ".join(f"{x:>{w}}" for x, w in zip(row, widths, strict=True)).rstrip() for row in rows
        )
        return "```\n" + "\n".join(lines) + "\n```"

    by_word = [table(TOKENS, [row]) for row in (words, forward_markers, backward_markers)]
    path = ["<start>", *TAGS, "<end>"]
    steps = [f"{i} → {j}" for i, j in zip(path, path[1:], strict=False)]
    steps = [step.replace("<start>", "`<start>`").replace("<end>", "`<end>`") for step in steps]
    sums = [f"{tag // M} · {M} + {tag % M}" for tag in tags]
    return {
        "WORDS": by_word[0],
        "FORWARD_CHARS": spelled(f"{' '.join(WORDS)} ", forward),
        "BACKWARD_CHARS": spelled(f"{' '.join(WORDS)[::-1]} ", backward),
        "FORWARD_MARKERS": by_word[1],
        "BACKWARD_MARKERS": by_word[2],
        "TAGS": table(["", *TOKENS], [["step", *steps], ["i · m + j", *sums], ["tags", *tags]]),
    }


def scoring():
    """Blocks of scores, loss and decoding."""
    lengths = torch.tensor([len(TOKENS)])
    scores = SCORES.unsqueeze(0)
    *_, targets, _, _ = create_input_tensors(WORDS, TAGS, *maps())
    gold = SCORES.flatten(1).gather(1, targets.unsqueeze(1)).squeeze(1)
    loss = ViterbiLoss(maps()[2])
    alpha, before = loss.forward_algorithm(scores)
    total = loss.log_partition(alpha, lengths)
    nll = loss(scores, targets.unsqueeze(0), lengths)
    marginals = loss.step_probabilities(scores, alpha, before, lengths).sum(2)[0, 0]
    ranked = marginals.argsort(descending=True)[: len(INNER)].tolist()
    paths, path_scores = decode_nbest(ViterbiDecoder(maps()[2]), scores, lengths, 2)
    assert [TAG_NAMES[tag] for tag in paths[0, 0]] == TAGS
    assert [TAG_NAMES[tag] for tag in paths[0, 1]] == ["B-LOC", "O", "O"]

    # alpha of "O" at "checks", from the three tags before
    to_o = [(alpha[0, 0, i], SCORES[1, i, TAG_NAMES.index("O")]) for i in INNER]
    step = " + ".join(f"e^{{{a:.1f} + {s:.1f}}}" for a, s in to_o)
    return {
        "EMISSIONS": f"place ({EMISSION[0, 1]:.1f}) than like a person ({EMISSION[0, 2]:.1f})",
        "TRANSITIONS": f"`O` suits well ({TRANSITION[2, 3]:.1f}), better than after a place "
        f"({TRANSITION[1, 3]:.1f})",
        "GOLD": f"$${' + '.join(f'{x:.1f}' for x in gold)} = {gold.sum():.1f}$$",
        "GOLD_SCORE": f"{gold.sum():.1f}",
        "ALPHA_STEP": rf"$\log({step}) = {alpha[0, 1, TAG_NAMES.index('O')]:.2f}$",
        "LOSS": f"{total.item():.3f} - {gold.sum():.1f} = {nll:.3f}",
        "PROBABILITY": f"$e^{{-{nll:.3f}}} = {(-nll).exp():.3f}$",
        "MARGINALS": ", ".join(f"`{TAG_NAMES[j]}` {marginals[j]:.1%}" for j in ranked),
        "SECOND": f"{path_scores[0, 1]:.1f}, and a probability of "
        f"{(path_scores[0, 1] - total[0]).exp():.3f}",
        **viterbi(),
    }


def viterbi():
    """Blocks of the recursion with maxima: how the best way to "O" at "checks" is found."""
    o = TAG_NAMES.index("O")
    first, second = SCORES[0, START], SCORES[1, :, o]
    sums = {
        TAG_NAMES[i]: f"{first[i]:.1f} + {second[i]:.1f} = {first[i] + second[i]:.1f}"
        for i in INNER
    }
    decoded = ViterbiDecoder(maps()[2]).decode(SCORES.unsqueeze(0), torch.tensor([len(TOKENS)]))
    assert [TAG_NAMES[tag] for tag in decoded[0]] == TAGS
    assert first.argmax() == TAG_NAMES.index("B-LOC")  # leads after one word, and loses
    return {
        "VITERBI_STEP": f"{sums['B-PER']}, against {sums['B-LOC']} from a place and {sums['O']} "
        "from `O`",
    }


def blocks():
    """{name: text that the README has to contain}"""
    return {**inputs(), **scoring()}


if __name__ == "__main__":
    for block in blocks().values():
        print(block, end="\n\n")
