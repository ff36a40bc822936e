"""Tag sentences with a trained model.

    python inference.py "Dunston checks in at the Majestic Hotel ."
    python inference.py --tokenized < sentences.txt > tagged.conll
    python inference.py --conll test.txt > tagged.conll
    python inference.py --checkpoint other.pt "Does Paris like Paris?"
    python inference.py --confidence "Does Paris like Paris?"
    python inference.py --nbest 3 "Does Paris like Paris?"

Sentences come from the command line or, one a line, from stdin. For each, the words stand below
one another, every one with its tag, and each entity beside its first word; a blank line follows.
That table is for the eye: what comes from stdin and goes to a file or another program is written
in columns, parted by a space, that utils.read_words_tags reads:

    word tag                                        a blank line after each sentence
    word tag probability                            --confidence
    word tag probability tag probability ...        --nbest: every sequence of tags has two columns,
                                                    its probability on each of its words

--conll reads such columns, from a file or, if it is called -, from stdin, and writes all its lines
again, words with what stands behind `word` above as columns more.

The checkpoint is all that is needed: it holds the vocabularies as well as the network.
"""

import argparse
import collections
import functools
import itertools
import math
import os
import sys
import time

# Before torch: importing machinery silences a warning that importing torch gives.
from machinery.errors import END, START, InputError, run_script, visible

# isort: split
import torch
from tqdm import tqdm

from datasets import WCDataset, data_loader
from machinery.command import show_all, write_rows, write_sentences
from machinery.processes import default_device, gather
from machinery.runs import load_run
from machinery.spans import are_spans, may_follow
from machinery.text import column_sentences, decoded_lines, open_with_bar, split_words
from models import LM_LSTM_CRF, ViterbiLoss, word_penalty

checkpoint = "best_checkpoint.pt"  # what train.py calls best_file
batch_size = 32  # sentences; more is faster on a GPU, if they fit
usual_length = 1000  # characters; of longer sentences fewer make a batch, to bound its memory
window = 1024  # sentences taken from a stream before they are tagged, those of like length together
window_words = 100_000  # a window with more ends early: sentences may be very long

BARELY = -1e6  # added to the score of what the tag scheme forbids


class ViterbiDecoder:
    """Finds the tag sequence with the highest score (Lample et al. 2016, eq. 2).

    Only valid sequences are considered: no word is tagged <start> or <end>.

    :param tag_map: dict from tag to index; says where <start> and <end> are
    :param scheme: "IOB1", "IOB2" or "BIOES", to keep to its rules (no I-PER after O); None: no rule
    """

    def __init__(self, tag_map, scheme=None):
        self.start, self.end = tag_map[START], tag_map[END]
        self.word_penalty = word_penalty(tag_map)
        self.step_penalty = None if scheme is None else step_penalty(tag_map, scheme)

    def constrain(self, scores):
        """The scores, those of steps that the scheme forbids lowered: (N, L, m, m), both."""
        if self.step_penalty is None:
            return scores
        self.step_penalty = self.step_penalty.to(scores.device)  # copies for the first batch only
        return scores + self.step_penalty

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
        scores = self.constrain(scores)
        self.word_penalty = self.word_penalty.to(scores.device)
        before = torch.full_like(scores[:, 0, 0], -math.inf)  # (N, m)
        before[:, self.start] = 0
        best = []
        # The previous tag comes first: a CPU is fastest at a maximum over the first dimension.
        steps = scores.permute(1, 2, 0, 3)  # (L, m, N, m)
        paths = torch.empty(steps.shape[1:], dtype=scores.dtype, device=scores.device)
        for step in steps:
            best.append(before)
            torch.add(before.T.unsqueeze(2), step, out=paths)  # (m, N, m)
            before = paths.amax(0) + self.word_penalty  # (N, m)

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
        found = torch.stack(found[::-1], dim=1).tolist()  # a GPU is waited for once, not per word
        return [tags[: length - 1] for tags, length in zip(found, lengths.tolist(), strict=True)]

    @torch.inference_mode()
    def decode_nbest(self, scores, lengths, count):
        """The best `count` paths of each sentence, the best first.

        The Viterbi algorithm again, with the scores of the best `count` paths to each tag, not of
        one: the paths to the next tag continue any of them. Here the way is noted.

        :param scores: (N, L, m, m)
        :param lengths: (N) words of each sentence, <end> included
        :return: paths (N, count, L - 1), of which lengths[n] - 1 tags count, and their scores
            (N, count), -inf where a sentence has fewer paths
        """
        scores = self.constrain(scores)
        m = scores.size(2)
        penalty = self.word_penalty.to(scores.device).unsqueeze(1)  # (m, 1)
        best = scores.new_full((len(scores), m, count), -math.inf)
        best[:, self.start, 0] = 0
        at_end, back_pointers = [], []
        for step in scores.unbind(1):
            paths = (best.unsqueeze(3) + step.unsqueeze(2)).flatten(1, 2)  # (N, m * count, m)
            best, previous = paths.topk(count, dim=1)  # (N, count, m)
            at_end.append(best[:, :, self.end])
            back_pointers.append(previous.flatten(1))  # (N, count * m)
            best = best.transpose(1, 2) + penalty  # (N, m, count)
        last = (lengths - 1).view(1, -1, 1).expand(-1, -1, count)
        path_scores = torch.stack(at_end).gather(0, last).squeeze(0)  # (N, count)

        rank = torch.arange(count, device=scores.device).expand(len(scores), -1)  # (N, count)
        tag = torch.full_like(rank, self.end)
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


@torch.inference_mode()
def scored_batches(model, dataset, batch_size, description=None, shared=False):
    """Score the sentences of a data set, those of like length together.

    :param model: LM_LSTM_CRF, on the device where it shall run
    :param dataset: WCDataset
    :param description: shown before a progress bar; None shows no bar
    :param shared: only this process's share of the batches, where several train together
    :return: iterator over (positions of the sentences in the data set, Batch on the model's
        device, CRF scores, the bar)
    """
    model.eval()
    device = next(model.parameters()).device
    loader = data_loader(dataset, batch_size, shuffle=False, shared=shared, device=device)
    hidden = True if description is None else None  # None: unless stderr is a terminal
    bar = tqdm(loader, desc=description, disable=hidden, leave=False, mininterval=0.5)
    for sentences, batch in zip(loader.batch_sampler, bar, strict=True):
        batch = batch.to(device)
        scores, _, _ = model(batch)
        yield sentences, batch, scores, bar


def predict(model, dataset, batch_size, decoder, viterbi_loss=None, description=None, shared=False):
    """Tag the sentences of a data set.

    :param model, dataset, batch_size, description: as in scored_batches
    :param decoder: ViterbiDecoder
    :param viterbi_loss: ViterbiLoss on the model's device, if the loss is wanted too
    :param shared: share the work out, where several processes train together; all get the result
    :return: list of a list of tags for every sentence, in the data set's order; the mean loss of
        the sentences whose tags the model knows, or None
    """
    tag_names = {index: tag for tag, index in dataset.tag_map.items()}
    found, total_loss, total_known = [], 0.0, 0
    batches = scored_batches(model, dataset, batch_size, description, shared)
    for sentences, batch, scores, bar in batches:
        paths = decoder.decode(scores, batch.word_lengths)
        found += zip(sentences, paths, strict=True)
        if viterbi_loss is not None:
            loss = viterbi_loss(scores, batch.tags, batch.word_lengths).item()
            bar.set_postfix(loss=f"{loss:.3f}")
            known = int((batch.tags >= 0).all(1).sum())
            total_loss, total_known = total_loss + loss * known, total_known + known
    share = found, total_loss, total_known
    of_shares, losses, counts = zip(*(gather(share) if shared else [share]), strict=True)
    predicted = [None] * len(dataset)
    for sentence, path in itertools.chain.from_iterable(of_shares):
        predicted[sentence] = [tag_names[tag] for tag in path]
    return predicted, None if viterbi_loss is None else sum(losses) / max(sum(counts), 1)


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

    Sentences are lists of words; a sentence may be empty. What comes out has their order. A tagger
    can be pickled, so that processes can share the work.

    :param path: a checkpoint that train.py wrote, on whatever device
    :param device: where to run; CUDA if there is one by default
    """

    def __init__(self, path=checkpoint, device=None):
        state = load_run(path)
        self.model = restore_model(state, path).to(device or default_device())
        self.maps = state["word_map"], state["char_map"], state["tag_map"]
        self.caseless = state["settings"]["caseless"]
        column = state["settings"].get("word_column")
        self.word_column = column if type(column) is int else 0
        self.tags_are_spans = are_spans(set(state["tag_map"]) - {START, END})
        self.tag_names = {index: tag for tag, index in state["tag_map"].items()}
        scheme = state["scheme"] if state["settings"]["constrain_tags"] else None
        self.decoder = ViterbiDecoder(state["tag_map"], scheme)
        self.viterbi_loss = ViterbiLoss(state["tag_map"]).to(device or default_device())

    def dataset(self, sentences):
        """The sentences, encoded."""
        return WCDataset(sentences, None, *self.maps, caseless=self.caseless)

    def tag(self, sentences):
        """Tag sentences.

        :param sentences: iterable of lists of words
        :return: list of lists of tags, of the same lengths
        """
        return list(self.stream(sentences))

    def stream(self, sentences):
        """Tag sentences that come one after the other, however many; few of them are held at once.

        :param sentences: iterable of lists of words, such as a generator
        :return: iterator over lists of tags, in the same order
        """
        for some in windows(sentences, window):
            found = [[] for _ in some]
            for positions, batch, scores in self.scored_batches(some):
                paths = self.decoder.decode(scores, batch.word_lengths)
                for position, path in zip(positions, paths, strict=True):
                    found[position] = [self.tag_names[tag] for tag in path]
            yield from found

    def tag_with_confidence(self, sentences):
        """Tag sentences, and say how sure each tag is.

        A tag's confidence is its marginal probability: the probability of all paths together that
        have this tag at this word. It is the sum over the tags before it of the probabilities of
        the steps to it, which are a gradient (ViterbiLoss.step_probabilities).

        :param sentences: iterable of lists of words
        :return: list of lists of (tag, probability)
        """
        sentences = list(sentences)
        found = [[] for _ in sentences]
        for positions, batch, scores in self.scored_batches(sentences):
            scores = self.decoder.constrain(scores)
            forward = self.viterbi_loss.forward_algorithm(scores)
            steps = self.viterbi_loss.step_probabilities(scores, *forward, batch.word_lengths)
            marginals = steps.sum(2).clamp(max=1).tolist()  # (N, L, m)
            paths = self.decoder.decode(scores, batch.word_lengths)
            for position, path, of_sentence in zip(positions, paths, marginals, strict=True):
                found[position] = [
                    (self.tag_names[tag], of_word[tag])
                    for tag, of_word in zip(path, of_sentence, strict=False)  # <end> and pads last
                ]
        return found

    def nbest(self, sentences, count):
        """The best `count` tag sequences of each sentence, and their probabilities.

        :param sentences: iterable of lists of words
        :return: list, for each sentence a list of (list of tags, probability), the best first;
            shorter where there are no more
        :raises InputError: count is below 1
        """
        if count < 1:
            raise InputError(f"nbest: expected a number from 1 on, found {count}")
        sentences = list(sentences)
        found = [[] for _ in sentences]
        for positions, batch, scores in self.scored_batches(sentences):
            paths, path_scores = self.decoder.decode_nbest(scores, batch.word_lengths, count)
            alpha, _ = self.viterbi_loss.forward_algorithm(self.decoder.constrain(scores))
            total = self.viterbi_loss.log_partition(alpha, batch.word_lengths)
            logs = path_scores - total.unsqueeze(1)  # (N, count)
            probabilities = logs.exp().clamp(max=1).tolist()
            # Not "probability > 0": in a long sentence, every path's may be too small a number.
            paths, exist = paths.tolist(), (logs > BARELY / 2).tolist()
            for n, position in enumerate(positions):
                words = len(sentences[position])
                found[position] = [
                    ([self.tag_names[tag] for tag in path[:words]], probability)
                    for path, probability, exists in zip(
                        paths[n], probabilities[n], exist[n], strict=True
                    )
                    if exists
                ]
        return found

    def scored_batches(self, sentences):
        """Score sentences, those of like length together, fewer at once where they are long.

        Sentences of twice the length get batches of half the size, so that the pads of a batch and
        its scores take no more memory, up to a sentence that is a batch by itself.

        :param sentences: list of lists of words
        :return: iterator over (positions of the sentences, Batch, CRF scores)
        :raises TypeError: a sentence is a string
        """
        of_size = collections.defaultdict(list)
        for position, words in enumerate(sentences):
            if isinstance(words, str):
                raise TypeError(f"expected lists of words, found the string {words[:60]!r}")
            length = sum(map(len, words)) + len(words)
            of_size[max(1, batch_size >> (length // usual_length).bit_length())].append(position)
        for size, positions in of_size.items():
            dataset = self.dataset([sentences[position] for position in positions])
            for places, batch, scores, _ in scored_batches(self.model, dataset, size):
                yield [positions[place] for place in places], batch, scores


def windows(sentences, size):
    """Cut a stream of sentences into lists of up to `size`, fewer if they have many words."""
    some, words = [], 0
    for sentence in sentences:
        some.append(sentence)
        words += len(sentence)
        if len(some) == size or words >= window_words:
            yield some
            some, words = [], 0
    if some:
        yield some


# ------------------------------------------------------------------------------------------------
# Command line
# ------------------------------------------------------------------------------------------------


def read_arguments():
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Tag sentences with a trained model.")
    parser.add_argument("sentence", nargs="*", help="sentences; without any, stdin, one a line")
    parser.add_argument("--checkpoint", default=checkpoint, metavar="PATH", help="%(default)s")
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--tokenized", action="store_true", help="words are separated by spaces already"
    )
    form.add_argument(
        "--conll", metavar="FILE", help="add columns to a file with one word a line; -: stdin"
    )
    parser.add_argument(
        "--word-column", type=int, metavar="C", help="of --conll; without it, as in training"
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--confidence", action="store_true", help="show each tag's probability")
    output.add_argument(
        "--nbest", type=int, metavar="K", help="show the K best tag sequences and their probability"
    )
    arguments = parser.parse_args()
    if arguments.nbest is not None and arguments.nbest < 1:
        raise InputError(f"--nbest: expected a number from 1 on, found {arguments.nbest}")
    if arguments.conll is not None and arguments.sentence:
        raise InputError(f"--conll: expected no sentences, found {arguments.sentence[0][:60]!r}")
    if arguments.conll is None and arguments.word_column is not None:
        raise InputError("--word-column: expected --conll and a file beside it, found none")
    if not os.path.exists(arguments.checkpoint):
        raise InputError(
            f"{arguments.checkpoint}: expected a trained model, found no such file; "
            "train one with `python train.py`, or name another with --checkpoint"
        )
    return arguments


def tag_stream(tagger, arguments, options):
    """Tag a file or stdin, a window of sentences after the other; a bar shows how far it is."""
    from_stdin = arguments.conll in (None, "-")
    if from_stdin and sys.stdin is None:
        raise InputError("stdin: expected sentences, found it closed")
    name, source = ("stdin", sys.stdin.fileno()) if from_stdin else [arguments.conll] * 2
    to_terminal = sys.stdout.isatty()
    with open_with_bar(source, name, hidden=to_terminal) as (file, bar):
        lines = decoded_lines(file, name, bar)
        if arguments.conll is not None:
            column = arguments.word_column
            column = tagger.word_column if column is None else column
            sentences = column_sentences(lines, name, column)
            write = functools.partial(write_rows, word_column=column)
        else:
            split = str.split if arguments.tokenized else split_words
            sentences = (split(line) for _, line in lines)
            write = show_all if to_terminal else write_sentences
        begin, done = time.perf_counter(), 0
        # Who types wants to see each answer.
        for some in windows(sentences, 1 if from_stdin and sys.stdin.isatty() else window):
            write(tagger, some, **options)
            done += len(some)
            bar.set_postfix_str(f"{done / (time.perf_counter() - begin):,.0f} sentences/s")


def main():
    """Tag what the command line, a file or stdin gives."""
    arguments = read_arguments()
    tagger = Tagger(arguments.checkpoint)
    options = dict(confidence=arguments.confidence, nbest=arguments.nbest)
    if arguments.sentence:
        split = str.split if arguments.tokenized else split_words
        show_all(tagger, list(map(split, arguments.sentence)), **options)
    else:
        tag_stream(tagger, arguments, options)


if __name__ == "__main__":
    run_script(main)
