"""From encoded sentences to padded batches: data set, batch and batch sampler.

A WCDataset encodes a sentence when it is asked for, unpadded. The batch sampler puts sentences of
similar length together, and `collate` pads them to the longest of their batch. So little is
computed on pads, and memory grows with the text, not with sentences x longest sentence.
"""

import itertools
from typing import NamedTuple

import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, Sampler

from machinery.processes import processes, rank
from utils import create_input_tensors

usual_length = 1000  # characters; unshuffled batches of longer sentences hold fewer of them


class Batch(NamedTuple):
    """The eight inputs of N sentences, padded with 0 to L words and C characters, <end> included.

    create_input_tensors in utils.py shows each for "dunston checks in".
    """

    words: torch.Tensor  # (N, L) indices in word_map
    forward_chars: torch.Tensor  # (N, C) indices in char_map
    backward_chars: torch.Tensor  # (N, C) the same sentence, read from its end
    forward_markers: torch.Tensor  # (N, L) positions in forward_chars, after each word
    backward_markers: torch.Tensor  # (N, L) positions in backward_chars, in word order
    tags: torch.Tensor  # (N, L) indices into the unrolled m x m scores; -1: not known
    word_lengths: torch.Tensor  # (N)
    char_lengths: torch.Tensor  # (N)

    def to(self, device):
        """The same batch on `device`."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self))


class WCDataset(Dataset):
    """Sentences of words and characters; item i is sentence i as create_input_tensors encodes it.

    :param words: list of sentences, each a list of words
    :param tags: the same shape, of tags, or None where they are not known
    :param word_map, char_map, tag_map: as create_maps gives them
    :param caseless: look words up in lower case
    """

    def __init__(self, words, tags, word_map, char_map, tag_map, caseless=True):
        self.words, self.tags = words, tags
        self.word_map, self.char_map, self.tag_map = word_map, char_map, tag_map
        self.caseless = caseless

    def __len__(self):
        return len(self.words)

    def __getitem__(self, i):
        tags = None if self.tags is None else self.tags[i]
        maps = self.word_map, self.char_map, self.tag_map
        return create_input_tensors(self.words[i], tags, *maps, self.caseless)

    def char_lengths(self):
        """(sentences) int64: the characters of each sentence, its spaces and <end> counted."""
        return torch.tensor([sum(map(len, words)) + len(words) + 1 for words in self.words])


# What a process computes if it has no share in a batch: a sentence without words, with unknown
# tags. It counts in no loss, and its gradient is 0.
NO_SENTENCE = tuple(torch.tensor(values) for values in ([0], [0], [0], [0], [0], [-1], 1, 1))


def collate(sentences):
    """Pad encoded sentences to the longest of them.

    :param sentences: list of N items of a WCDataset; if it is empty, NO_SENTENCE is used
    :return: Batch
    """
    sentences = sentences or [NO_SENTENCE]
    *sequences, word_lengths, char_lengths = zip(*sentences, strict=True)
    return Batch(
        *(pad_sequence(sequence, batch_first=True) for sequence in sequences),
        torch.stack(word_lengths),
        torch.stack(char_lengths),
    )


# ------------------------------------------------------------------------------------------------
# Which sentences share a batch
# ------------------------------------------------------------------------------------------------


class LengthBatchSampler(Sampler):
    """Batches of sentences of similar length, in a new random order every epoch.

    The sentences are shuffled and cut into pools; each pool is sorted by length and cut into
    batches; the batches are shuffled. So it stays random which sentences share a batch, while
    padding shrinks:

        in random order       sorted by length
        a a a . . . .         a a a
        b b b b b b b         c c c
        c c c .                     b b b b b b b
        d d d d                     d d d d . . .

    The order is a function of (seed, epoch) alone: resuming needs no more than the epoch.

    :param lengths: (sentences) tensor, the length of each sentence
    :param batch_size: sentences in a batch; the last may be smaller
    :param shuffle: False gives all sentences sorted by length, the same in every epoch. Batches of
        long sentences then have fewer: at most batch_size x usual_length characters with pads, or
        one sentence. That bounds the memory, whatever the text
    :param pool_batches: a pool's size, in batches: with 10, pads are a ninth of the work; with
        100, hardly any, but such uniform batches took longer to learn from
    :param share: (number of this process, number of processes). For training, with shuffled
        batches, all processes take a step together: with two, each computes every other sentence
        of the batch, so that their shares are equally long; a share may be empty. For scoring, in
        order, no process waits for another, and each takes every other batch
    """

    def __init__(self, lengths, batch_size, shuffle, seed=0, pool_batches=10, share=(0, 1)):
        self.lengths = lengths
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.pool_batches = pool_batches
        self.rank, self.processes = share
        self.epoch, self.first = 0, 0
        self.in_order = None if shuffle else list(self.by_length())[self.rank :: self.processes]

    def set_epoch(self, epoch, first=0):
        """Choose the order that the next iteration gives, and with which of its batches it begins,
        counted from 0."""
        self.epoch, self.first = epoch, first

    def __len__(self):
        if not self.shuffle:
            return len(self.in_order)
        return -(-len(self.lengths) // self.batch_size) - self.first

    def __iter__(self):
        if self.shuffle:
            for batch in itertools.islice(self.shuffled(), self.first, None):
                yield batch[self.rank :: self.processes]
        else:
            yield from self.in_order

    def by_length(self):
        """Iterator over the batches of all sentences in order of length, each a list."""
        batch, lengths = [], self.lengths.tolist()
        for sentence in self.lengths.argsort(stable=True).tolist():
            characters = lengths[sentence] * (len(batch) + 1)  # with pads
            full = len(batch) == self.batch_size or characters > self.batch_size * usual_length
            if batch and full:
                yield batch
                batch = []
            batch.append(sentence)
        if batch:
            yield batch

    def shuffled(self):
        """Iterator over the batches of all processes together, each a list of sentences."""
        generator = torch.Generator().manual_seed((self.seed << 24) % 2**63 + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator)
        batches = []
        for pool in order.split(self.batch_size * self.pool_batches):
            batches += pool[self.lengths[pool].argsort(stable=True)].split(self.batch_size)
        for i in torch.randperm(len(batches), generator=generator).tolist():
            yield batches[i].tolist()


def data_loader(dataset, batch_size, shuffle, seed=0, shared=False, device=None):
    """A DataLoader of Batches; its `batch_sampler` tells which sentences are in which batch.

    :param shared: give this process's share of them, where several train together
    :param device: where they will be copied to; for a GPU, a process prepares them ahead, and
        pinned memory lets Batch.to copy them while the GPU computes
    """
    share = (rank(), processes()) if shared else (0, 1)
    lengths = dataset.char_lengths()
    sampler = LengthBatchSampler(lengths, batch_size, shuffle, seed, share=share)
    # Its own generator: if it drew from the global one, resuming would not be exact.
    gpu = dict(num_workers=1, persistent_workers=True, pin_memory=True, generator=torch.Generator())
    gpu = gpu if device is not None and device.type == "cuda" else {}
    return DataLoader(dataset, batch_sampler=sampler, collate_fn=collate, **gpu)
