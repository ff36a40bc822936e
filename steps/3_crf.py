"""Step 3: a CRF, which scores whole paths of tags instead of single ones.

    python steps/3_crf.py

One sentence at a time, so there is no batch and nothing to pad. Dimensions:

    L  words, <end> included        D  features of a word        m  tags
"""

import random
import time
from collections import Counter

import torch
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
        self.words = number(["<unk>", *frequent, "<end>"])
        self.tags = number(tag for _, tags in training for tag in [*tags, "<start>", "<end>"])
        self.names = list(self.tags)
        self.dropout = nn.Dropout(dropout)
        self.embeddings = nn.Embedding(len(self.words), word_dim)
        self.rightward = nn.LSTM(word_dim, hidden_dim)
        self.leftward = nn.LSTM(word_dim, hidden_dim)
        self.emission = nn.Linear(2 * hidden_dim, len(self.tags))
        self.transition = nn.Parameter(torch.zeros(len(self.tags), len(self.tags)))
        self.start, self.end = self.tags["<start>"], self.tags["<end>"]
        penalty = torch.zeros(len(self.tags))
        penalty[[self.start, self.end]] = -torch.inf  # they label no word
        self.register_buffer("penalty", penalty)

    def encode(self, words):
        """["dunston", "checks", "in"] -> their indices, (L)"""
        return torch.tensor([self.words.get(word.lower(), 0) for word in [*words, "<end>"]])

    def forward(self, words):
        """scores[t, i, j]: of tag j at word t if the word before has tag i: (L, m, m)"""
        x = self.embeddings(self.encode(words))  # (L, word_dim)
        x = self.dropout(x)
        rightward, _ = self.rightward(x)  # (L, hidden_dim)
        leftward, _ = self.leftward(x.flip(0))  # (L, hidden_dim), the last word first
        features = torch.cat((rightward, leftward.flip(0)), dim=1)  # (L, D)
        emission = self.emission(self.dropout(features))  # (L, m)
        return emission.unsqueeze(1) + self.transition  # (L, m, m)

    def loss(self, words, tags):
        """-log p(tags | words) = log Z - score of the gold path, here B-PER O O <end>, ()"""
        scores = self(words)
        gold = torch.tensor([self.tags[tag] for tag in ["<start>", *tags, "<end>"]])  # (L + 1)
        path_score = scores[torch.arange(len(scores)), gold[:-1], gold[1:]].sum()
        return self.forward_algorithm(scores)[-1, self.end] - path_score

    @torch.no_grad()
    def tag(self, words):
        """The tags of the best path: a list of names, one a word"""
        return [self.names[tag] for tag in self.viterbi(self(words))]

    def before_first(self, scores):
        """Before the first word there is <start> and nothing else: (m)"""
        before = torch.full_like(scores[0, 0], -torch.inf)
        before[self.start] = 0
        return before

    def forward_algorithm(self, scores):
        """alpha[t, j] = log sum of exp(score) of all paths to tag j at word t: (L, m)

        At the last token, alpha[-1, <end>] is log Z: all paths of the sentence.
        """
        before, alpha = self.before_first(scores), []
        for word_scores in scores:  # (m, m): from i, down, to j, across
            alpha.append(torch.logsumexp(before.unsqueeze(1) + word_scores, dim=0))  # (m)
            before = alpha[-1] + self.penalty
        return torch.stack(alpha)

    def marginals(self, scores):
        """p[t, j] = exp(alpha[t, j] + beta[t, j] - log Z), tag j at word t: (L, m)"""
        alpha, beta = self.forward_algorithm(scores), torch.full_like(scores[:, 0], -torch.inf)
        beta[-1, self.end] = 0  # after <end> there is nothing to come
        for t in range(len(scores) - 1, 0, -1):
            beta[t - 1] = torch.logsumexp(scores[t] + beta[t], dim=1) + self.penalty
        return (alpha + beta - alpha[-1, self.end]).exp()

    def viterbi(self, scores):
        """The best path: like the forward algorithm, with max for log sum exp."""
        before, pointers = self.before_first(scores), []
        for word_scores in scores:
            best, pointer = (before.unsqueeze(1) + word_scores).max(dim=0)  # (m) each
            pointers.append(pointer.tolist())  # the tag before j on the best path to j
            before = best + self.penalty
        tag, path = self.end, []
        for pointer in reversed(pointers):  # from <end> back, each tag says which came before
            tag = pointer[tag]
            path.append(tag)
        return path[-2::-1]  # in order, without <start>


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
