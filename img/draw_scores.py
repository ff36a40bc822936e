"""Draw the README's pictures of scores, loss and decoding.

    python img/draw_scores.py

Every number in the pictures is computed by the project's own code, from example.py.
"""

import itertools
import math

import torch
from canvas import LEFT, RIGHT, Picture, heading, number, save
from example import EMISSION, SCORES, TAG_NAMES, TAGS, TRANSITION, WORDS, maps

# example.py has put the project's own folder on the path.
from inference import ViterbiDecoder
from machinery.entities import both_sums
from machinery.errors import END, START
from models import ViterbiLoss

_, _, TAG_MAP = maps()
M = len(TAG_MAP)
WORD_TAGS = [j for j, tag in enumerate(TAG_NAMES) if tag not in (START, END)]
TOKENS = [*WORDS, END]  # one for each row of the emission
PATH = [TAG_MAP[tag] for tag in (START, *TAGS, END)]  # the gold one
STEPS = list(itertools.pairwise(PATH))  # (tag before, tag) of each token


# ------------------------------------------------------------------------------------------------
# Scores
# ------------------------------------------------------------------------------------------------

TAG_COLUMN, TAG_COLUMNS = 75, 85  # widths of a tag's column, where the first begins
NARROW = 50  # a tag's column where several words are side by side


def scores():
    """Emission plus transition: the score of every tag at every word after every tag."""
    gold = [SCORES[k, i, j].item() for k, (i, j) in enumerate(STEPS)]
    total = f"{' + '.join(map(number, gold))} = {number(sum(gold))}"
    picture = Picture(
        "Emission + transition = scores",
        f"A table of {len(TOKENS)} words x {M} tags, the emission, and one of {M} tags before x "
        f"{M} tags, the transition, add up to a table of {M} x {M} scores for each word. The gold "
        f"path {' '.join(TAGS)} takes one number from each: {total}. The table of the first word "
        "is shown in full: only its row of <start> is on any path. Of the others, what is on no "
        "path is left out.",
        height=826,
    )
    heading(picture, 30, "emission", "(L, m): does the tag suit the word?")
    score_table(picture, 50, TOKENS, EMISSION, [(k, j) for k, (_, j) in enumerate(STEPS)])
    heading(picture, 202, "+ transition", "(m, m): does it suit the tag before?")
    score_table(picture, 222, TAG_NAMES, TRANSITION, STEPS)
    heading(picture, 398, "= scores", "(L, m, m): row = tag before, column = tag")
    i, j = STEPS[0]
    picture.box(LEFT, 419, 74, 26, "words", TOKENS[0], size=14)
    note = f"{number(EMISSION[0, j])} + {number(TRANSITION[i, j])} = {number(gold[0])}"
    picture.text(RIGHT, 432, note, "gold", size=13, anchor="end")
    score_table(picture, 458, TAG_NAMES, SCORES[0], STEPS[:1], unused(0))
    note = "grey cells are on no path; below, they are left out"
    picture.text(RIGHT, 618, note, "soft", size=13, anchor="end")
    left = TAG_COLUMNS - 5
    for k in range(1, len(TOKENS)):
        left = small_table(picture, left, 638, k) + 8
    picture.text(LEFT, 796, "Gold path", "bold", size=15, anchor="start")
    picture.box(118, 781, RIGHT - 118, 30, "gold", total, kind="bold", size=15)
    return picture


def small_table(picture, x, y, k):
    """The scores of word k that are on a path, for its tags; :return: where the table ends"""
    tags = tags_at(k)
    column = NARROW if len(tags) > 1 else 60
    picture.box(x, y, len(tags) * column, 26, "words", TOKENS[k], size=14)
    for n, j in enumerate(tags):
        picture.text(x + (n + 0.5) * column, y + 39, TAG_NAMES[j], "soft", size=13)
    for n, i in enumerate(WORD_TAGS):
        if k == 1:
            picture.text(x - 8, y + 65 + 26 * n, TAG_NAMES[i], "soft", size=13, anchor="end")
    values = [[number(SCORES[k, i, j]) for j in tags] for i in WORD_TAGS]
    i, j = STEPS[k]
    picture.cells(
        x, y + 52, values, column, 26, "tags", marked=[(WORD_TAGS.index(i), tags.index(j))]
    )
    return x + len(tags) * column


def unused(k):
    """The scores at word k that are on no path: [(tag before, tag)]"""
    befores = [TAG_MAP[START]] if k == 0 else WORD_TAGS
    tags = WORD_TAGS if k < len(WORDS) else [TAG_MAP[END]]
    return [(i, j) for i in range(M) for j in range(M) if i not in befores or j not in tags]


def score_table(picture, y, names, values, gold, faint=()):
    """Scores with a column for each tag; names: of the rows; gold, faint: (row, column) pairs."""
    for j, tag in enumerate(TAG_NAMES):
        picture.text(TAG_COLUMNS + (j + 0.5) * TAG_COLUMN, y, tag, "soft", size=13)
    for i, name in enumerate(names):
        picture.text(TAG_COLUMNS - 8, y + 25 + 26 * i, name, "soft", size=13, anchor="end")
    looks = dict.fromkeys(faint, ("plain", "soft")) | dict.fromkeys(gold, ("gold", "bold"))
    places = [(i, j) for i in range(len(names)) for j in range(M)]
    order = {"plain": 0, "tags": 1, "gold": 2}  # borders of what matters above the others
    for i, j in sorted(places, key=lambda place: order[looks.get(place, ("tags", ""))[0]]):
        role, kind = looks.get((i, j), ("tags", ""))
        where = TAG_COLUMNS + j * TAG_COLUMN, y + 12 + 26 * i, TAG_COLUMN, 26
        picture.box(*where, role, number(values[i, j]), size=14, kind=kind, radius=0)


# ------------------------------------------------------------------------------------------------
# Paths: forward algorithm, Viterbi algorithm
# ------------------------------------------------------------------------------------------------

NODE, NODE_HEIGHT, LEVEL = 92, 46, 112  # width and height; from one word to the next
WORKED = 1, TAG_MAP["O"]  # (word, tag): O at "checks", whose value is worked out
WORKED_BACK = 0, TAG_MAP["B-PER"]  # the same for the backward recursion: B-PER at "dunston"


def alphas():
    """(L, m) as the forward algorithm gives them, and log Z."""
    loss = ViterbiLoss(TAG_MAP)
    alpha, _ = loss.forward_algorithm(SCORES.unsqueeze(0))
    return alpha[0], loss.log_partition(alpha, torch.tensor([len(TOKENS)])).item()


def betas():
    """(L, m) as the backward recursion gives them."""
    _, backward = both_sums(SCORES.double(), TAG_MAP[START], TAG_MAP[END])
    return backward[1:]


def best_paths():
    """(L, m) the score of the best path to each tag at each word, and {(word, tag): tag before}.

    The decoder finds the best path to <end>. So the path to tag j at word k is what it finds in
    the sentence cut after that word, if <end> has the scores of j there.
    """
    decoder = ViterbiDecoder(TAG_MAP)
    best, before = torch.zeros(len(TOKENS), M), {}
    for k in range(len(TOKENS)):
        for j in range(M):
            cut = SCORES[: k + 1].clone()
            cut[k, :, TAG_MAP[END]] = SCORES[k, :, j]
            (path,) = decoder.decode(cut.unsqueeze(0), torch.tensor([k + 1]))
            path = [TAG_MAP[START], *path, TAG_MAP[END]]
            best[k, j] = sum(cut[n, i, j] for n, (i, j) in enumerate(itertools.pairwise(path)))
            before[k, j] = path[-2]
    return best, before


def tags_at(k):
    """The tags that word k can have; k = -1: <start>, before the first word."""
    return WORD_TAGS if 0 <= k < len(WORDS) else [TAG_MAP[START if k < 0 else END]]


def top_left(y, k, tag):
    """Where the node of a tag at word k is, in a trellis whose <start> is at y."""
    column = WORD_TAGS.index(tag) if tag in WORD_TAGS else 1
    return 124 + column * (NODE + 30), y + (k + 1) * LEVEL


def trellis(picture, y, values, gold=()):
    """A node for each tag of each word, with its value; gold: (word, tag) pairs.

    :param values: {(word, tag): text}; that of <start>, at word -1, may be missing
    """
    x, _ = top_left(y, -1, TAG_MAP[START])
    if (-1, TAG_MAP[START]) in values:
        node(picture, x, y, "tags", START, values[-1, TAG_MAP[START]])
    else:
        picture.box(x, y, NODE, NODE_HEIGHT, "tags", START, size=14)
    for k, token in enumerate(TOKENS):
        _, level = top_left(y, k, TAG_MAP[END])
        picture.box(LEFT, level, 80, NODE_HEIGHT, "words", token, size=14)
        for tag in tags_at(k):
            x, _ = top_left(y, k, tag)
            role = "gold" if (k, tag) in gold else "tags"
            node(picture, x, level, role, TAG_NAMES[tag], values[k, tag])


def node(picture, x, y, role, name, value):
    """A tag of a trellis, and its value."""
    picture.box(x, y, NODE, NODE_HEIGHT, role)
    picture.text(x + NODE / 2, y + 14, name, size=13)
    picture.text(x + NODE / 2, y + 32, value, "bold", size=15)


def step_arrow(picture, y, k, before, tag, role, up=False):
    """An arrow from `before` at the word before k to `tag` at word k; up: the other way round."""
    (x0, y0), (x1, y1) = top_left(y, k - 1, before), top_left(y, k, tag)
    # Side by side on the edge of a node, in the order of where they go.
    leaves = NODE / 2 + (24 * (WORD_TAGS.index(tag) - 1) if tag in WORD_TAGS else 0)
    arrives = NODE / 2 + (24 * (WORD_TAGS.index(before) - 1) if before in WORD_TAGS else 0)
    begin, end, near = (x0 + leaves, y0 + NODE_HEIGHT), (x1 + arrives, y1), -14
    if up:
        begin, end, near = end, begin, 14
    picture.arrow(begin, (end[0], end[1] + near), end, role=role)  # the head meets the box


def draw_steps(picture, y, marked, up=False):
    """An arrow for each step (word, tag before, tag) that paths can take; the marked on top."""
    steps = [
        (k, before, tag)
        for k in range(len(TOKENS))
        for before in tags_at(k - 1)
        for tag in tags_at(k)
    ]
    for step in sorted(steps, key=marked):
        step_arrow(picture, y, *step, "gold" if marked(step) else "tags", up)


def candidates(picture, y, k, tag, name, values, digits, chosen=None):
    """A table of what leads to `tag` at word k: value of the tag before + score = sum.

    :param name: of the values, which are (L, m)
    """
    ways = {i: (values[k - 1, i], SCORES[k, i, tag]) for i in WORD_TAGS}
    sums_table(picture, y, ("tag before", name, "+ score", "= sum"), ways, digits, chosen)


def sums_table(picture, y, titles, ways, digits, chosen=None):
    """A table of sums with two parts each.

    :param ways: {tag: (part, part)}
    :param chosen: tag whose row is marked
    """
    for title, x in zip(titles, (152, 240, 328, 416), strict=True):
        picture.text(x, y, title, "soft", size=13)
    rows = [
        [TAG_NAMES[tag], *(number(part, digits) for part in (*parts, sum(parts)))]
        for tag, parts in ways.items()
    ]
    marked = [(i, j) for i, tag in enumerate(ways) if tag == chosen for j in range(4)]
    picture.cells(108, y + 14, rows, 88, 28, "tags", marked=marked)


def result(picture, y, text, value, role="gold"):
    """What is computed, and its value in a box at the right."""
    picture.text(362, y + 14, text, size=14, anchor="end")
    picture.box(RIGHT - 88, y, 88, 28, role, value, size=14, kind="bold", radius=0)


def forward():
    """The forward algorithm, and the loss."""
    alpha, log_partition = alphas()
    gold = sum(SCORES[k, i, j].item() for k, (i, j) in enumerate(STEPS))
    loss, probability = log_partition - gold, math.exp(gold - log_partition)
    shown = {(k, j): number(alpha[k, j], 2) for k in range(len(TOKENS)) for j in tags_at(k)}
    shown[len(WORDS), TAG_MAP[END]] = number(log_partition, 3)
    words = [
        f"{token}: {', '.join(f'{TAG_NAMES[j]} {shown[k, j]}' for j in tags_at(k))}"
        for k, token in enumerate(TOKENS)
    ]
    picture = Picture(
        "The forward algorithm",
        "The log of the summed exp(score) of all paths to each tag, word by word, over all tags "
        f"before. {'. '.join(words)}. The last is log Z. Loss = {log_partition:.3f} - "
        f"{gold:.3f} = {loss:.3f}: the gold path has probability {probability:.2f}.",
        height=948,
    )
    heading(picture, 30, "alpha, α", "all paths to each tag", "bold mono")
    draw_steps(picture, 56, lambda step: (step[0], step[2]) == WORKED)
    trellis(picture, 56, shown, [WORKED])

    k, j = WORKED
    heading(picture, 594, f"{TAG_NAMES[j]} at “{TOKENS[k]}”: every path counts")
    candidates(picture, 622, k, j, "alpha", alpha, 2)
    ways = [number(alpha[k - 1, i] + SCORES[k, i, j], 2) for i in WORD_TAGS]
    result(picture, 734, f"log( {' + '.join(f'exp({way})' for way in ways)} ) =", shown[WORKED])

    heading(picture, 802, "The loss")
    result(picture, 816, "log Z: all paths", number(log_partition, 3), "tags")
    result(picture, 844, "− score of the gold path", number(gold, 3), "tags")
    result(picture, 872, "= loss", number(loss, 3), "tags")
    result(picture, 900, f"gold path’s probability: exp(−{loss:.3f}) =", number(probability, 2))
    return picture


def backward():
    """The backward recursion, and the probability of a tag."""
    (alpha, log_partition), beta = alphas(), betas()
    k, i = WORKED_BACK
    shown = {(n, j): number(beta[n, j], 2) for n in range(len(TOKENS)) for j in tags_at(n)}
    words = [
        f"{token}: {', '.join(f'{TAG_NAMES[j]} {shown[n, j]}' for j in tags_at(n))}"
        for n, token in enumerate(TOKENS)
    ]
    shown[-1, TAG_MAP[START]] = number(log_partition, 2)
    assert math.isclose((SCORES[0, 0] + beta[0]).logsumexp(0), log_partition, abs_tol=1e-5)
    marginal = alpha[k, i] + beta[k, i] - log_partition
    probability = number(100 * math.exp(marginal), 0) + "%"
    picture = Picture(
        "The backward recursion, and the probability of a tag",
        "The log of the summed exp(score) of all ways on from each tag to the end, from the last "
        f"word to the first. {'. '.join(words[::-1])}. At <start>, it is log Z again, "
        f"{shown[-1, TAG_MAP[START]]}. {TAG_NAMES[i]} at {TOKENS[k]} has alpha + "
        f"beta - log Z = {alpha[k, i]:.2f} + {beta[k, i]:.2f} - {log_partition:.2f} = "
        f"{marginal:.2f}, a probability of {probability}.",
        height=948,
    )
    heading(picture, 30, "beta, β", "all ways on from each tag", "bold mono")
    draw_steps(picture, 56, lambda step: step[:2] == (k + 1, i), up=True)
    trellis(picture, 56, shown, [WORKED_BACK])
    picture.text(RIGHT, 80, "= log Z", "soft", size=13, anchor="end")
    picture.text(RIGHT, 527, "↑ from here up", "soft", size=13, anchor="end")

    heading(picture, 594, f"{TAG_NAMES[i]} at “{TOKENS[k]}”: every way on counts")
    ways = {j: (SCORES[k + 1, i, j], beta[k + 1, j]) for j in WORD_TAGS}
    sums_table(picture, 622, ("tag after", "score", "+ beta", "= sum"), ways, 2)
    sums = [number(sum(parts), 2) for parts in ways.values()]
    result(picture, 734, f"log( {' + '.join(f'exp({way})' for way in sums)} ) =", shown[k, i])

    heading(picture, 802, "Its probability")
    result(picture, 816, "alpha: all paths up to it", number(alpha[k, i], 2), "tags")
    result(picture, 844, "+ beta: all ways on from it", shown[k, i], "tags")
    result(picture, 872, "− log Z: all paths", number(log_partition, 2), "tags")
    result(picture, 900, f"exp({number(marginal, 2)}) =", probability)
    return picture


def viterbi():
    """The Viterbi algorithm: the best path to each tag, and the way back from <end>."""
    best, before = best_paths()
    (path,) = ViterbiDecoder(TAG_MAP).decode(SCORES.unsqueeze(0), torch.tensor([len(TOKENS)]))
    won = list(enumerate([*path, TAG_MAP[END]]))
    shown = {(k, j): number(best[k, j]) for k in range(len(TOKENS)) for j in tags_at(k)}
    words = []
    for k, token in enumerate(TOKENS):
        ways = [f"{TAG_NAMES[j]} {shown[k, j]} from {TAG_NAMES[before[k, j]]}" for j in tags_at(k)]
        words.append(f"{token}: {', '.join(ways)}")
    answer = ", ".join(f"{WORDS[k]} {TAG_NAMES[j]}" for k, j in won[:-1])
    picture = Picture(
        "The Viterbi algorithm",
        "The score of the best path to each tag, word by word, and the tag before it on that path. "
        f"{'. '.join(words)}. Followed back from <end>, this gives {answer}, with a score of "
        f"{shown[won[-1]]}.",
        height=810,
    )
    heading(picture, 30, "best, b", "the best path to each tag", "bold mono")
    for (k, j), i in sorted(before.items(), key=lambda item: item[0] in won):
        if j in tags_at(k):
            step_arrow(picture, 56, k, i, j, "gold" if (k, j) in won else "tags")
    trellis(picture, 56, shown, won)

    k, j = WORKED
    heading(picture, 594, f"{TAG_NAMES[j]} at “{TOKENS[k]}”: only the best path counts")
    candidates(picture, 622, k, j, "best", best, 1, before[WORKED])
    result(picture, 734, "the largest sum =", shown[WORKED])
    back = [TAG_NAMES[j] for _, j in won[::-1]]
    picture.text(LEFT, 788, "The way back", "bold", size=15, anchor="start")
    picture.text(RIGHT, 788, " ← ".join(back[::-1]), "gold", size=15, anchor="end")
    return picture


def pictures():
    """{name: Picture}"""
    return {draw.__name__: draw() for draw in (scores, forward, backward, viterbi)}


if __name__ == "__main__":
    save(pictures())
