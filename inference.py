"""Tag sentences with a trained model.

    python inference.py "Dunston checks in at the Majestic Hotel ."
    python inference.py --tokenized < sentences.txt
    python inference.py --checkpoint other.pt "Does Paris like Paris?"

Sentences come from the command line or, one a line, from stdin. For each, the words stand below
one another, every one with its tag, and each entity beside its first word; a blank line follows.
The checkpoint is all that is needed: it holds the vocabularies as well as the network.
"""

import argparse
import itertools
import math
import os
import re
import sys

import torch
from tqdm import tqdm

from datasets import WCDataset, data_loader
from models import LM_LSTM_CRF, word_penalty
from utils import (
    END,
    START,
    InputError,
    are_spans,
    decoded_lines,
    default_device,
    load_checkpoint,
    run_script,
    spans,
    visible,
)

checkpoint = "best_checkpoint.pt"  # what train.py calls best_file
batch_size = 32  # sentences; more is faster on a GPU, if they fit
window = 1024  # sentences read from stdin before they are tagged, those of like length together


class ViterbiDecoder:
    """Finds the tag sequence with the highest score (Lample et al. 2016, eq. 2).

    Only valid sequences are considered: no word is tagged <start> or <end>.

    :param tag_map: dict from tag to index; says where <start> and <end> are
    """

    def __init__(self, tag_map):
        self.start, self.end = tag_map[START], tag_map[END]
        self.word_penalty = word_penalty(tag_map)

    @torch.inference_mode()
    def decode(self, scores, lengths):
        """The best path of each sentence: the Viterbi algorithm.

        best[t, n, j] is the score of the best path that has tag j before word t. Which tag stands
        before j on that path is not noted on the way forward: it is found on the way back from
        <end>, for the one tag of each word that turns out to be needed.

        :param scores: (N, L, m, m), as CRF gives them
        :param lengths: (N) words of each sentence, <end> included
        :return: list of N lists of lengths[i] - 1 tag indices
        """
        penalty = self.word_penalty.to(scores.device)
        before = torch.full_like(scores[:, 0, 0], -math.inf)  # (N, m)
        before[:, self.start] = 0
        best = []
        # The previous tag comes first: a CPU is fastest at a maximum over the first dimension.
        steps = scores.permute(1, 2, 0, 3)  # (L, m, N, m)
        paths = torch.empty(steps.shape[1:], dtype=scores.dtype, device=scores.device)
        for step in steps:
            best.append(before)
            torch.add(before.T.unsqueeze(2), step, out=paths)  # (m, N, m)
            before = paths.amax(0) + penalty  # (N, m)

        # Shorter sentences wait at <end> until the way back reaches their length.
        best = torch.stack(best)  # (L, N, m)
        pads = torch.arange(len(best), device=scores.device).unsqueeze(1) >= lengths  # (L, N)
        best.masked_fill_(pads.unsqueeze(2), -math.inf)
        best[:, :, self.end].masked_fill_(pads, 0)

        tag = torch.full_like(lengths, self.end)  # (N)
        found = []
        for t in range(len(best) - 1, 0, -1):
            to_tag = scores[:, t].gather(2, tag.view(-1, 1, 1).expand(-1, scores.size(2), 1))
            tag = (best[t] + to_tag.squeeze(2)).argmax(1)  # of word t - 1
            found.append(tag)
        if not found:
            return [[] for _ in lengths]
        found = torch.stack(found[::-1], dim=1).tolist()  # the only time the CPU waits for a GPU
        return [tags[: length - 1] for tags, length in zip(found, lengths.tolist(), strict=True)]


@torch.inference_mode()
def predict(model, dataset, batch_size, viterbi_loss=None, description=None):
    """Tag the sentences of a data set.

    :param model: LM_LSTM_CRF, on the device where it shall run
    :param dataset: WCDataset
    :param viterbi_loss: ViterbiLoss on that device, if the loss is wanted too
    :param description: shown before a progress bar; None shows no bar
    :return: list of a list of tags for every sentence, in the data set's order; the mean loss per
        sentence, or None
    """
    model.eval()
    device = next(model.parameters()).device
    decoder = ViterbiDecoder(dataset.tag_map)
    tag_names = {index: tag for tag, index in dataset.tag_map.items()}
    loader = data_loader(dataset, batch_size, shuffle=False)
    predicted, total_loss = [None] * len(dataset), 0.0

    hidden = True if description is None else None  # None: unless stderr is a terminal
    bar = tqdm(loader, desc=description, disable=hidden, leave=False, mininterval=0.5)
    for sentences, batch in zip(loader.batch_sampler, bar, strict=True):
        batch = batch.to(device)
        scores, _, _ = model(batch)
        paths = decoder.decode(scores, batch.word_lengths)
        for sentence, path in zip(sentences, paths, strict=True):
            predicted[sentence] = [tag_names[tag] for tag in path]
        if viterbi_loss is not None:
            loss = viterbi_loss(scores, batch.tags, batch.word_lengths).item()
            bar.set_postfix(loss=f"{loss:.3f}")
            total_loss += loss * len(sentences)
    return predicted, None if viterbi_loss is None else total_loss / len(dataset)


def restore_model(state, path="the checkpoint"):
    """The model of a checkpoint: LM_LSTM_CRF with its trained parameters, on the CPU.

    :param path: what an error calls the checkpoint
    :raises InputError: its parameters are not those of the model that its arguments describe
    """
    try:
        with torch.device("meta"):  # takes no memory, whatever sizes a hostile file claims
            expected = shapes(LM_LSTM_CRF(**state["model_arguments"]).state_dict())
        found = shapes(state["model"])
        for name in expected | found:
            if expected.get(name) != found.get(name):
                raise ValueError(f"{name}: expected {expected.get(name)}, found {found.get(name)}")
        model = LM_LSTM_CRF(**state["model_arguments"])
        model.load_state_dict(state["model"])
    except (ArithmeticError, AttributeError, RuntimeError, TypeError, ValueError) as error:
        reason = visible(str(error).partition("\n")[0][:200])
        raise InputError(
            f"{path}: holds no model of this version's LM_LSTM_CRF ({reason})"
        ) from None
    return model


def shapes(parameters):
    """{name: size of the parameter, as a tuple}"""
    return {name: tuple(parameter.shape) for name, parameter in parameters.items()}


class Tagger:
    """A trained model, ready to tag sentences.

    >>> tagger = Tagger("best_checkpoint.pt")
    >>> tagger.tag([["Paris", "is", "old", "."]])
    [['B-LOC', 'O', 'O', 'O']]

    :param path: a checkpoint that train.py wrote, on whatever device
    :param device: where to run; CUDA if there is one by default
    """

    def __init__(self, path=checkpoint, device=None):
        state = load_checkpoint(path)
        self.model = restore_model(state, path).to(device or default_device())
        self.maps = state["word_map"], state["char_map"], state["tag_map"]
        self.caseless = state["settings"]["caseless"]
        self.tags_are_spans = are_spans(set(state["tag_map"]) - {START, END})

    def tag(self, sentences):
        """Tag sentences that are split into words already.

        :param sentences: list of lists of words; a sentence may be empty
        :return: list of lists of tags, of the same lengths and in the same order
        """
        if not sentences:
            return []
        dataset = WCDataset(sentences, None, *self.maps, caseless=self.caseless)
        predicted, _ = predict(self.model, dataset, batch_size)
        return predicted


# ------------------------------------------------------------------------------------------------
# Command line
# ------------------------------------------------------------------------------------------------

# Anything but space and punctuation: signs that combine with a letter belong to it, in whatever
# alphabet; \w would split the word at them.
LETTER = r"[^\s!-/:-@\[-^`{-~‘’“”«»„…–—¡¿।。、€£¥]"
CONTRACTION = rf"['’](?i:s|re|ve|ll|d|m)(?!{LETTER})"
NOT = rf"(?i:n['’]t)(?!{LETTER})"
WORD = re.compile(
    rf"""
      \w+://\S*[^\s.,;:!?)\]"'’”]                     # web address
    | [\w.+-]{{1,64}}@\w[\w-]*(?:\.[\w-]+)+           # mail address, its name 64 at most
    | (?:[^\W\d_]\.){{2,}}                            # U.S.  p.m.
    | [A-Z]\.(?=\s+[A-Z])                            # initial
    | (?:Mr|Mrs|Ms|Dr|Prof|Rev|Gen|Sen|Gov|St|Jr|Sr|Inc|Co|Corp|Ltd|vs|etc
      |Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|No(?=\.\s*\d))\.
    | {NOT} | {CONTRACTION}                          # did n't   it 's
    | [#@]?{LETTER}(?:(?!{NOT}){LETTER})*            # word, number, @name
      (?:(?:[-/&.]|(?!{CONTRACTION})['’]|(?<=\d)[,:](?=\d))(?:(?!{NOT}){LETTER})+)*
    | \.{{2,}} | --+                                  # ellipsis, dash
    | \S                                             # any other mark
    """,
    re.VERBOSE,
)


def split_words(sentence):
    """Split a raw sentence into words and punctuation, in the manner of the Penn Treebank.

    >>> split_words("Dr. Li's guests didn't check in (at 3:30).")
    ['Dr.', 'Li', "'s", 'guests', 'did', "n't", 'check', 'in', '(', 'at', '3:30', ')', '.']
    """
    return WORD.findall(sentence)


def show(words, tags, tags_are_spans):
    """Print a tagged sentence: word, tag and, beside its first word, each entity."""
    words, tags = list(map(visible, words)), list(map(visible, tags))
    entities = {}
    if tags_are_spans:
        for kind, begin, end in spans(tags):
            entities[begin] = f"{kind}: {' '.join(words[begin:end])}"
    word_width = max(map(len, words), default=0)
    tag_width = max(map(len, tags), default=0)
    for i, (word, tag) in enumerate(zip(words, tags, strict=True)):
        print(f"{word:{word_width}}  {tag:{tag_width}}  {entities.get(i, '')}".rstrip())
    print(flush=True)


def main():
    """Tag what the command line or stdin gives."""
    parser = argparse.ArgumentParser(description="Tag sentences with a trained model.")
    parser.add_argument("sentence", nargs="*", help="sentences; without any, stdin, one a line")
    parser.add_argument("--checkpoint", default=checkpoint, metavar="PATH", help="%(default)s")
    parser.add_argument(
        "--tokenized", action="store_true", help="words are separated by spaces already"
    )
    arguments = parser.parse_args()
    if not os.path.exists(arguments.checkpoint):
        raise InputError(
            f"{arguments.checkpoint}: expected a trained model, found no such file; "
            "train one with `python train.py`, or name another with --checkpoint"
        )
    tagger = Tagger(arguments.checkpoint)
    split = str.split if arguments.tokenized else split_words

    sys.stdout.reconfigure(encoding="utf-8")
    lines = (line for _, line in decoded_lines(sys.stdin.buffer, "stdin"))
    lines = iter(arguments.sentence or lines)
    at_once = 1 if sys.stdin.isatty() else window  # who types wants to see each answer
    while some := [split(line) for line in itertools.islice(lines, at_once)]:
        for words, tags in zip(some, tagger.tag(some), strict=True):
            show(words, tags, tagger.tags_are_spans)


if __name__ == "__main__":
    run_script(main)
