"""Step 1: a word LSTM that tags each word by itself.

    python steps/1_lstm.py

One sentence at a time, so there is no batch and nothing to pad. Dimensions:

    L  words of the sentence        D  features of a word        m  tags
"""

import random
import time
from collections import Counter

import torch
import torch.nn.functional as F
from torch import nn

sentences = None  # of the training data, from its beginning; None: all
epochs = 3
word_dim = 100  # of a word's embedding
hidden_dim = 100  # of an LSTM that reads words
dropout = 0.5
lr = 0.002  # of Adam
seed = 1


def read_sentences(path):
    """List of (words, tags): one word a line, its tag in the last column, then a blank line."""
    with open(path, encoding="utf-8") as file:
        blocks = file.read().strip().split("\n\n")
    rows = [[line.split() for line in block.split("\n")] for block in blocks]
    return [([row[0] for row in part], [row[-1] for row in part]) for part in rows]


def number(items):
    """Dict from item to index, in the order in which they are first seen."""
    return {item: index for index, item in enumerate(dict.fromkeys(items))}


class Tagger(nn.Module):
    def __init__(self, training):
        super().__init__()
        counts = Counter(word.lower() for words, _ in training for word in words)
        frequent = [word for word in counts if counts[word] > 1]  # the others teach <unk>
        self.words = number(["<unk>", *frequent])
        self.tags = number(tag for _, tags in training for tag in tags)
        self.names = list(self.tags)
        self.dropout = nn.Dropout(dropout)
        self.embeddings = nn.Embedding(len(self.words), word_dim)
        self.rightward = nn.LSTM(word_dim, hidden_dim)
        self.emission = nn.Linear(hidden_dim, len(self.tags))

    def encode(self, words):
        """["dunston", "checks", "in"] -> their indices, (L)"""
        return torch.tensor([self.words.get(word.lower(), 0) for word in words])

    def forward(self, words):
        """The score of each tag at each word: (L, m)"""
        x = self.embeddings(self.encode(words))  # (L, word_dim)
        features, _ = self.rightward(self.dropout(x))  # (L, D)
        return self.emission(self.dropout(features))  # (L, m)

    def loss(self, words, tags):
        """Cross-entropy: how surprised the model is by B-PER O O for "dunston checks in", ()"""
        gold = torch.tensor([self.tags[tag] for tag in tags])  # (L)
        return F.cross_entropy(self(words), gold, reduction="sum")

    @torch.no_grad()
    def tag(self, words):
        """Each word's best tag: a list of L names"""
        return [self.names[tag] for tag in self(words).argmax(1).tolist()]


def entities(tags):
    """{(type, first word, word after the last)}: B-PER O O -> {("PER", 0, 1)}

    B begins an entity; I continues one of its type, and begins one where there is none.
    """
    found, begin = set(), 0
    for t, (tag, following) in enumerate(zip(tags, [*tags[1:], "O"], strict=True)):
        if tag[0] == "B" or t == 0 or tags[t - 1][1:] != tag[1:]:
            begin = t
        if tag != "O" and (following[0] != "I" or following[1:] != tag[1:]):
            found.add((tag[2:], begin, t + 1))
    return found


def f1_score(gold, predicted):
    """Of all entities: 2 * correct / (predicted + gold), in percent"""
    gold, predicted = [entities(tags) for tags in gold], [entities(tags) for tags in predicted]
    correct = sum(len(a & b) for a, b in zip(gold, predicted, strict=True))
    return 200 * correct / max(sum(map(len, gold)) + sum(map(len, predicted)), 1)


def evaluate(model, data):
    """Entity F1 on a list of (words, tags)"""
    model.eval()
    return f1_score([tags for _, tags in data], [model.tag(words) for words, _ in data])


def main():
    random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # a sentence is too little work to share
    training = read_sentences("data/train.txt")[:sentences]
    model = Tagger(training)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    start = time.time()
    for epoch in range(1, epochs + 1):
        model.train()
        total = 0.0
        for words, tags in random.sample(training, len(training)):
            loss = model.loss(words, tags)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            total += loss.item()
        f1 = evaluate(model, read_sentences("data/valid.txt")[:sentences])
        seconds = time.time() - start
        print(f"epoch {epoch}  loss {total / len(training):.3f}  F1 {f1:.1f}  {seconds:.0f} s")
    print(f"test entity F1 {evaluate(model, read_sentences('data/test.txt')[:sentences]):.1f}")


if __name__ == "__main__":
    main()
