"""Tag sentences with a trained model, or find out where it goes wrong.

    python inference.py "Dunston checks in at the Majestic Hotel."
    python inference.py --checkpoint other.pt --confidence "Does Paris like Paris?"
    python inference.py --nbest 3 "Does Paris like Paris?"
    python inference.py --tokenized < sentences.txt > tagged.conll
    python inference.py --conll test.txt > tagged.conll
    python inference.py --json < sentences.txt > entities.jsonl
    python inference.py --html < sentences.txt > tagged.html
    python inference.py --evaluate test.txt --errors errors.html

machinery/command.py says what each of them reads and writes. Only the checkpoint is needed: it
holds the model, its settings and its vocabularies.
"""

import itertools
import math

# Before torch: importing machinery silences a warning that importing torch gives.
from machinery.errors import (
    END,
    START,
    InputError,
    end_at_ctrl_c,
    refusing_damage,
    run_script,
    visible,
)

if __name__ == "__main__":
    end_at_ctrl_c()

# isort: split
import torch

from datasets import WCDataset, collate, data_loader
from machinery.command import read_arguments, tag_input
from machinery.device import check_half_precision, default_device
from machinery.entities import find_entities
from machinery.evaluation import compare_all, print_mistakes, write_errors
from machinery.processes import gather
from machinery.recognition import print_reading, same_scheme
from machinery.report import print_scores
from machinery.runs import can_resume, load_run
from machinery.spans import convert_scheme, may_follow, scores
from machinery.text import check_words, several, windows, word_places
from machinery.threads import in_threads
from models import LM_LSTM_CRF, LinearChain
from utils import read_words_tags

checkpoint = "best_checkpoint.pt"  # what train.py calls best_file
batch_size = 32  # sentences; more is faster on a GPU, if they fit
half_precision = False  # compute in bfloat16 where possible; faster, if the hardware has it
window = 1024  # sentences taken from a stream before they are tagged, those of like length together


BARELY = -1e6  # added to the score of what the tag scheme forbids


def main():
    """Tag what the command line, a file or stdin gives, or score a file that has tags."""
    arguments = read_arguments(checkpoint)
    tagger = Tagger(arguments.checkpoint)
    if arguments.evaluate is not None:
        evaluate(tagger, arguments)
    else:
        tag_input(tagger, arguments, window)


def constants_now():
    """The checkpoint and half_precision as they are at this moment: a notebook may set them."""
    return checkpoint, half_precision


class ViterbiDecoder(LinearChain):
    """Finds the path with the highest score (Lample et al. 2016, eq. 2).

    Only valid paths are considered: no word is tagged <start> or <end>.

    :param tag_map: dict from tag to index; says where <start> and <end> are
    :param scheme: "IOB1", "IOB2" or "BIOES", to keep its rules (no I-PER after O); None: no rules
    """

    def __init__(self, tag_map, scheme=None):
        super().__init__(tag_map)
        penalty = None if scheme is None else step_penalty(tag_map, scheme)
        self.register_buffer("step_penalty", penalty, persistent=False)

    def constrain(self, scores):
        """Lower the scores of what the scheme forbids: (N, L, m, m) -> (N, L, m, m)"""
        if self.step_penalty is None:
            return scores
        return scores + self.step_penalty

    @torch.inference_mode()
    def decode(self, scores, lengths):
        """The best path of each sentence: the Viterbi algorithm.

        best[t, n, j] is the score of the best path that has tag j before word t. The tag before j
        on that path is not noted on the way forward: it is found on the way back from <end>, for
        the one tag of each word that turns out to be needed.

        :param scores: (N, L, m, m), as CRF gives them
        :param lengths: (N) words of each sentence, <end> included
        :return: list of N lists of lengths[i] - 1 tag indices
        """
        scores = self.constrain(scores)
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
            before -= before.amax(1, keepdim=True)  # or float32 loses decimals in long sentences

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
        # All in one tensor, so that the CPU waits for a GPU once, not for every word.
        rows = torch.stack([lengths, *found[::-1]], dim=1).tolist()
        return [row[1 : row[0]] for row in rows]

    # How probable paths are -----------------------------------------------------------------------

    @torch.inference_mode()
    def confident_paths(self, scores, lengths):
        """The best path of each sentence, each tag with its marginal probability.

        That is the probability of all paths together that have this tag at this word: the sum over
        the tags before it of the probabilities of the transitions to it, which are a gradient
        (LinearChain.step_probabilities).

        :param scores: (N, L, m, m), as CRF gives them
        :param lengths: (N) words of each sentence, <end> included
        :return: list of N lists of lengths[n] - 1 pairs (tag index, probability)
        """
        paths = self.decode(scores, lengths)
        scores = self.constrain(scores)
        _, before = self.forward_algorithm(scores)
        steps = self.step_probabilities(scores, before, lengths)
        marginals = steps.sum(2).clamp(max=1).tolist()  # (N, L, m)
        return [
            [(tag, of_word[tag]) for tag, of_word in zip(path, of_sentence, strict=False)]
            for path, of_sentence in zip(paths, marginals, strict=True)  # <end> and pads come last
        ]

    @torch.inference_mode()
    def best_paths(self, scores, lengths, count):
        """The best `count` paths of each sentence, and the probability of each.

        :param scores, lengths: as in confident_paths
        :return: list of N lists of pairs (list of tag indices, probability), the best first;
            shorter where there are no more
        """
        paths, path_scores = self.decode_nbest(scores, lengths, count)
        alpha, _ = self.forward_algorithm(self.constrain(scores))
        logs = path_scores - self.log_partition(alpha, lengths).unsqueeze(1)  # (N, count)
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
    def decode_nbest(self, scores, lengths, count):
        """The best `count` paths of each sentence, the best first.

        The Viterbi algorithm again, with the scores of the best `count` paths to each tag, not of
        one: the paths to the next tag continue any of them. Here, where each came from is noted.

        :param scores, lengths: as in confident_paths
        :return: paths (N, count, L - 1), of which lengths[n] - 1 tags count, and their scores
            (N, count), -inf where a sentence has fewer paths
        """
        scores = self.constrain(scores).double()  # sums over long sentences keep their decimals
        m = scores.size(2)
        penalty = self.word_penalty.unsqueeze(1)  # (m, 1)
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


def map_batches(
    model, dataset, batch_size, function, description=None, shared=False, half_precision=False
):
    """Score the sentences of a data set, those of like length together.

    Several cores share the products of one small batch badly. On a CPU, each thread therefore
    computes a batch of its own; the longest come first, so that no thread is left with them.

    :param model: LM_LSTM_CRF, on the device where it runs
    :param dataset: WCDataset
    :param function: from the CRF scores (N, L, m, m) and the Batch, both on the device, to a list
        with an answer for each sentence
    :param description: shown before a progress bar; None shows no bar
    :param shared: share the work, where several processes train together; all get the result
    :param half_precision: compute in bfloat16; see check_half_precision
    :return: list of the answers, in the data set's order
    """
    model.eval()
    device = next(model.parameters()).device
    batches = list(data_loader(dataset, batch_size, shuffle=False, shared=shared).batch_sampler)

    @torch.inference_mode()
    def answer(positions):
        """What `function` says of each sentence of a batch: list of (position, answer)"""
        batch = collate([dataset[i] for i in positions]).to(device)
        with torch.autocast(device.type, torch.bfloat16, half_precision):
            crf_scores, _, _ = model(batch)
        return list(zip(positions, function(crf_scores, batch), strict=True))

    share = in_threads(answer, batches[::-1], 8 if device.type == "cpu" else 1, description)
    answers = [None] * len(dataset)
    for of_batch in itertools.chain(*(gather(share) if shared else [share])):
        for position, of_sentence in of_batch:
            answers[position] = of_sentence
    return answers


def predict(
    model,
    dataset,
    batch_size,
    decoder,
    viterbi_loss=None,
    description=None,
    shared=False,
    half_precision=False,
):
    """Tag the sentences of a data set.

    :param model, dataset, batch_size, description, shared, half_precision: as in map_batches
    :param decoder: ViterbiDecoder, on the model's device
    :param viterbi_loss: ViterbiLoss with one loss per sentence (reduction="none"), on the model's
        device, if the loss is wanted too
    :return: list of a list of tags for every sentence, in the data set's order; the mean loss of
        the sentences whose tags the model knows, or None
    """

    def decode(crf_scores, batch):
        """The path of each sentence and, if its tags are known, its loss."""
        paths = decoder.decode(crf_scores, batch.word_lengths)
        if viterbi_loss is None:
            return [(path, None) for path in paths]
        losses = viterbi_loss(crf_scores, batch.tags, batch.word_lengths).tolist()
        known = viterbi_loss.known(batch.tags, batch.word_lengths).tolist()
        losses = [loss if counts else None for loss, counts in zip(losses, known, strict=True)]
        return list(zip(paths, losses, strict=True))

    found = map_batches(model, dataset, batch_size, decode, description, shared, half_precision)
    tag_names = {index: tag for tag, index in dataset.tag_map.items()}
    losses = [loss for _, loss in found if loss is not None]
    mean = None if viterbi_loss is None else sum(losses) / max(len(losses), 1)
    return [[tag_names[tag] for tag in path] for path, _ in found], mean


class Tagger:
    """A trained model, ready to tag sentences.

    >>> tagger = Tagger("best_checkpoint.pt")
    >>> tagger.tag([["Paris", "is", "old", "."]])
    [['B-LOC', 'O', 'O', 'O']]

    Sentences are lists of words; a sentence may be empty. Results come in the sentences' order. A
    tagger can be pickled, so that processes can share the work.

    :param path: a checkpoint that train.py wrote, on whatever device; None: `checkpoint`
    :param device: where to run; by default CUDA if there is one
    :param half_precision: None: as the constant says
    :raises InputError: the file is no checkpoint, or the hardware has no half precision
    """

    def __init__(self, path=None, device=None, half_precision=None):
        default_path, default_precision = constants_now()
        path = default_path if path is None else path
        half_precision = default_precision if half_precision is None else half_precision
        state = load_run(path)
        settings = state["settings"]
        device = torch.device(device or default_device())
        check_half_precision(device, half_precision)
        self.half_precision = half_precision
        self.model = restore_model(state, path).to(device)
        self.maps = state["word_map"], state["char_map"], state["tag_map"]
        self.caseless = settings["caseless"]
        self.word_column, self.tag_column = settings["word_column"], settings["tag_column"]
        self.tag_scheme = settings["tag_scheme"]
        self.tag_names = {index: tag for tag, index in state["tag_map"].items()}
        self.scheme = self.tag_scheme or state["scheme"]
        scheme = state["scheme"] if settings["constrain_tags"] else None
        self.decoder = ViterbiDecoder(state["tag_map"], scheme).to(device)

    def dataset(self, sentences, tags=None):
        """The sentences, encoded, and their tags if they are known: a WCDataset.

        :raises TypeError: a sentence is no list of words, or a word is no string
        """
        check_words(sentences)
        return WCDataset(sentences, tags, *self.maps, caseless=self.caseless)

    def tag(self, sentences):
        """Tag sentences.

        :param sentences: iterable of lists of words
        :return: list of lists of tags, of the same lengths
        """
        dataset = self.dataset(list(several(sentences)))
        return predict(
            self.model, dataset, batch_size, self.decoder, half_precision=self.half_precision
        )[0]

    def stream(self, sentences):
        """Tag sentences that come one after the other, however many; few of them are held at once.

        :param sentences: iterable of lists of words, such as a generator
        :return: iterator over lists of tags, in the same order
        """
        for some in windows(several(sentences), window):
            yield from self.tag(some)

    # How probable tags are ------------------------------------------------------------------------

    def tag_with_confidence(self, sentences):
        """Tag sentences, and say how sure each tag is, by its marginal probability.

        :param sentences: iterable of lists of words
        :return: list of lists of (tag, probability)
        """
        return [
            [(self.tag_names[tag], probability) for tag, probability in pairs]
            for pairs in self.for_each(self.decoder.confident_paths, sentences)
        ]

    def nbest(self, sentences, count):
        """The best `count` paths of each sentence, and their probabilities.

        :param sentences: iterable of lists of words
        :param count: 1 to 1,000; time and memory grow with it
        :return: list, for each sentence a list of (list of tags, probability), the best first;
            shorter where there are no more
        :raises InputError: count is out of range
        """
        is_whole = hasattr(count, "__index__")
        if not is_whole or not 1 <= count <= 1000:
            found = f"{count:,}" if is_whole else repr(count)[:60]
            raise InputError(f"nbest: expected a number from 1 to 1,000, found {found}")
        return [
            [([self.tag_names[tag] for tag in path], probability) for path, probability in paths]
            for paths in self.for_each(self.decoder.best_paths, sentences, count)
        ]

    def entities(self, texts, places=word_places):
        """The entities of texts: what they are, where, and how probable.

        >>> tagger.entities(["Paris is old."])
        [[{'type': 'LOC', 'text': 'Paris', 'start': 0, 'end': 5, 'words': ['Paris'],
           'probability': 0.97}]]

        The probability is that of exactly this entity, whatever the tags of other words. A model
        of tags that mark no spans gives a dict for each word, with `tag` in place of `type`.

        :param texts: iterable of strings, or of lists of words
        :param places: a function from a string to the (start, end) of its words
        :return: list, for each text a list of dicts. `start` and `end` count the characters of a
            string, so that text[start:end] is the entity, or the words of a list
        :raises TypeError: texts is a string, or something in it is no text
        """
        return find_entities(self, texts, places)

    def for_each(self, function, sentences, *arguments):
        """What a function of CRF scores and lengths, such as decoder.decode, gives for each
        sentence: a list.

        :param arguments: more of them, after the lengths
        """

        def answer(crf_scores, batch):
            """For each sentence of a batch."""
            return function(crf_scores, batch.word_lengths, *arguments)

        dataset, half = self.dataset(list(several(sentences))), self.half_precision
        return map_batches(self.model, dataset, batch_size, answer, half_precision=half)


# ------------------------------------------------------------------------------------------------
# Scoring a file, restoring a model
# ------------------------------------------------------------------------------------------------


def score_file(model, path, dataset, batch_size, decoder, half_precision=False):
    """Print how well a model tags a file.

    :param dataset: the WCDataset of the file; the others as in predict
    :return: dict of scores, as `scores` gives them; list of the predicted tags
    """
    predicted, _ = predict(
        model,
        dataset,
        batch_size,
        decoder,
        description=visible(path),
        shared=True,
        half_precision=half_precision,
    )
    result = scores(dataset.tags, predicted)
    print_scores(path, result)
    return result, predicted


def evaluate(tagger, arguments):
    """Score a tagger on a file with gold tags, and say what goes wrong where."""
    path, word_column, tag_column = arguments.evaluate, arguments.word_column, arguments.tag_column
    word_column = tagger.word_column if word_column is None else word_column
    tag_column = tagger.tag_column if tag_column is None else tag_column
    words, gold = read_words_tags(path, word_column, tag_column)
    print_reading(path, words, gold, tagger.tag_scheme)
    if tagger.tag_scheme is not None:
        gold = convert_scheme(gold, tagger.tag_scheme)
    gold = same_scheme(gold, tagger.scheme, tagger.tag_names.values())
    dataset = tagger.dataset(words, gold)
    _, predicted = score_file(
        tagger.model, path, dataset, batch_size, tagger.decoder, tagger.half_precision
    )
    compared = compare_all(gold, predicted)
    print_mistakes(compared)
    if arguments.errors is not None:
        write_errors(arguments.errors, path, tagger, words, gold, compared)


def restore_model(state, path="the checkpoint", **changes):
    """The model of a checkpoint: LM_LSTM_CRF with its trained parameters, on the CPU.

    An argument that the checkpoint lacks, since it is older, has its default.

    :param path: what an error calls the checkpoint
    :param changes: arguments that differ from the checkpoint's, such as the dropout
    :raises InputError: its parameters are not those of the model that its arguments describe
    """
    dropout = state["settings"].get("dropout", 0.5)
    arguments = state["model_arguments"] | dict(dropout=dropout) | changes
    if not can_resume(state):  # for tagging alone: without the language models
        arguments["co_training"] = False
    with refusing_damage(path):
        model = LM_LSTM_CRF(**arguments)
        model.load_state_dict(state["model"])
    return model


if __name__ == "__main__":
    run_script(main)
