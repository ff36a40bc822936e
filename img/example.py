"""The README's running example, "dunston checks in", with scores made up for it.

A trained model would compute the emissions from the sentence and have learned the transitions.
These are round numbers, to follow by hand. By its emission, "dunston" is rather a place than a
person; but here, a word outside of any name follows a person more easily.
"""

import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from utils import create_maps  # noqa: E402  (only found after the line above)

WORDS, TAGS = ["dunston", "checks", "in"], ["B-PER", "O", "O"]
TAG_NAMES = ["<start>", "B-LOC", "B-PER", "O", "<end>"]

# A row for each token, a column for each tag.
EMISSION = torch.tensor(
    [
        [-2.0, 1.5, 1.2, 0.4, -2.0],  # dunston
        [-2.0, 0.1, 0.3, 1.6, -2.0],  # checks
        [-2.0, 0.2, -0.4, 2.0, -2.0],  # in
        [-2.0, -1.0, -1.0, -1.0, 3.0],  # <end>
    ]
)
# A row for each tag of the word before, a column for each tag.
TRANSITION = torch.tensor(
    [
        [-3.0, 0.3, 0.5, 0.4, -3.0],  # <start>
        [-3.0, -0.5, -0.6, 0.2, 0.3],  # B-LOC
        [-3.0, -0.8, -0.4, 1.1, 0.2],  # B-PER
        [-3.0, 0.6, 0.4, 0.8, 0.5],  # O
        [-3.0, -3.0, -3.0, -3.0, -3.0],  # <end>
    ]
)
# (4, 5, 5): word, tag before, tag; what CRF.forward computes from features
SCORES = EMISSION.unsqueeze(1) + TRANSITION


# The same with a fourth tag, I-PER, for the later words of a person's name. It has the highest
# emission at "dunston". But a name cannot begin with its end.
WITH_INSIDE = ["<start>", "B-LOC", "B-PER", "I-PER", "O", "<end>"]
INSIDE = WITH_INSIDE.index("I-PER")
INSIDE_EMISSION = torch.tensor([1.6, -0.5, -1.0, -1.0])  # of I-PER at each word
TO_INSIDE = torch.tensor([-4.0, -3.5, 1.4, 0.9, -4.0, -3.0])  # from each tag to I-PER
FROM_INSIDE = torch.tensor([-3.0, -0.8, -0.7, 0.9, 1.2, 0.4])  # from I-PER to each tag


def with_inside():
    """Emission (4, 6) and transition (6, 6) with I-PER among the tags."""
    others = [tag for tag in range(len(WITH_INSIDE)) if tag != INSIDE]
    emission = torch.empty(len(EMISSION), len(WITH_INSIDE))
    emission[:, others], emission[:, INSIDE] = EMISSION, INSIDE_EMISSION
    transition = torch.empty(len(WITH_INSIDE), len(WITH_INSIDE))
    transition[INSIDE], transition[:, INSIDE] = FROM_INSIDE, TO_INSIDE
    transition[torch.tensor(others).unsqueeze(1), torch.tensor(others)] = TRANSITION
    return emission, transition


def maps():
    """word_map, char_map and tag_map of a corpus of three sentences: this one and two more."""
    words = [WORDS, ["paris", "checks", "dunston"], ["in", "paris"]]
    tags = [TAGS, ["B-LOC", "O", "B-PER"], ["O", "B-LOC"]]
    return create_maps(words, tags, min_word_freq=1, min_char_freq=1)
