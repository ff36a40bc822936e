"""Step 5: LM-LSTM-CRF. The character LSTMs also learn to predict words.

    python steps/5_language_models.py

No batch, so no pads. L: words and <end>, m: tags, D: features, C: characters, H: hidden size
"""

import time
from collections import Counter

import torch
from torch import nn

sentences = None  # of the training data, from its beginning; None: all
epochs = 3
word_dim = 100  # of a word's embedding
char_dim = 30  # of a character's embedding
H = 100  # hidden size of an LSTM that reads characters
hidden_dim = 100  # of an LSTM that reads words
V = 1500  # words that the language models predict, the most frequent ones
dropout = 0.5
lr = 0.002  # of Adam
seed = 1


def read_sentences(name):
    """List of (words, tags): one word a line, its tag in the last column; then a blank line."""
    with open(f"data/{name}.txt", encoding="utf-8") as file:
        blocks = file.read().strip().split("\n\n")[:sentences]
    rows = [[line.split() for line in block.split("\n")] for block in blocks]
    return [([row[0] for row in part], [row[-1] for row in part]) for part in rows]


def number(items):
    """Dict from item to index, in the order in which they are first seen."""
    return {item: index for index, item in enumerate(dict.fromkeys(items))}


class Highway(nn.Module):
    """y = g * relu(transform(x)) + (1 - g) * x: the gate g chooses, for each feature."""

    def __init__(self, size):
        super().__init__()
        self.transform, self.gate = nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, x):
        g = torch.sigmoid(self.gate(x))
        return g * nn.functional.relu(self.transform(x)) + (1 - g) * x


class Tagger(nn.Module):
    def __init__(self, training):
        super().__init__()
        counts = Counter(word.lower() for words, _ in training for word in words)
        frequent = [word for word, n in counts.most_common() if n > 1]  # the others teach <unk>
        self.words = number(["<unk>", "<end>", *frequent])
        self.names = ["<start>", *sorted({tag for _, tags in training for tag in tags}), "<end>"]
        self.tags = number(self.names)
        self.dropout = nn.Dropout(dropout)
        self.embeddings = nn.Embedding(len(self.words), word_dim)
        chars = (char for words, _ in training for word in words for char in word)
        self.chars = number(["<unk>", " ", "<end>", *chars])
        self.char_embeddings = nn.Embedding(len(self.chars), char_dim)
        self.forward_chars, self.backward_chars = nn.LSTM(char_dim, H), nn.LSTM(char_dim, H)
        self.subword_highway = Highway(2 * H)
        self.forward_highway, self.backward_highway = Highway(H), Highway(H)
        self.forward_lm, self.backward_lm = nn.Linear(H, V), nn.Linear(H, V)
        self.rightward = nn.LSTM(word_dim + 2 * H, hidden_dim)
        self.leftward = nn.LSTM(word_dim + 2 * H, hidden_dim)
        self.emission = nn.Linear(2 * hidden_dim, len(self.tags))
        self.transition = nn.Parameter(torch.zeros(len(self.tags), len(self.tags)))

    def encode(self, words):
        """["dunston", "checks", "in"] -> their indices, (L)"""
        return torch.tensor([self.words.get(word.lower(), 0) for word in [*words, "<end>"]])

    def read_characters(self, lstm, words):
        """A character LSTM's state after each word, at its space, and at <end>: (L, H)"""
        text = [c for word in words for c in [*word, " "]] + ["<end>"]
        chars = torch.tensor([self.chars.get(c, 0) for c in text])  # (C)
        states, _ = lstm(self.char_embeddings(chars))  # (C, H)
        return states[[t for t, c in enumerate(text) if c in (" ", "<end>")]]  # 7, 14, 17, 18

    def language_model_loss(self, words, forward, backward):
        """Which word comes next, and which came before? Mean cross-entropy of each, added, ()"""
        indices = self.encode(words)  # (L)
        indices[indices >= V] = 0  # <unk>
        following = indices[1:]  # checks in <end>
        preceding = torch.cat((indices[-1:], indices[:-2]))  # <end> dunston checks
        ahead = self.forward_lm(self.dropout(self.forward_highway(forward[:-1])))  # (L - 1, V)
        behind = self.backward_lm(self.dropout(self.backward_highway(backward[:-1])))
        loss = nn.functional.cross_entropy(ahead, following)
        return loss + nn.functional.cross_entropy(behind, preceding)

    def forward(self, words):
        """scores[t, i, j]: of tag j at word t if the word before has tag i: (L, m, m)"""
        x = self.embeddings(self.encode(words))  # (L, word_dim)
        forward = self.read_characters(self.forward_chars, words)
        turned = [word[::-1] for word in words[::-1]]  # "ni", "skcehc", "notsnud"
        backward = self.read_characters(self.backward_chars, turned)
        backward = torch.cat((backward[:-1].flip(0), backward[-1:]))  # in order; <end> is last
        subwords = self.subword_highway(torch.cat((forward, backward), dim=1))  # (L, 2H)
        x = self.dropout(torch.cat((x, subwords), dim=1))  # (L, word_dim + 2H)
        rightward, _ = self.rightward(x)  # (L, hidden_dim)
        leftward, _ = self.leftward(x.flip(0))  # (L, hidden_dim), the last word first
        features = torch.cat((rightward, leftward.flip(0)), dim=1)  # (L, D)
        emission = self.emission(self.dropout(features))  # (L, m)
        return emission.unsqueeze(1) + self.transition, forward, backward

    def loss(self, words, tags):
        """-log p(tags | words) = log Z - score of the gold path, here B-PER O O <end>, ()"""
        scores, forward, backward = self(words)
        gold = torch.tensor([self.tags[tag] for tag in ["<start>", *tags, "<end>"]])  # (L + 1)
        path_score = scores[torch.arange(len(scores)), gold[:-1], gold[1:]].sum()
        predicting = self.language_model_loss(words, forward, backward)
        return self.forward_algorithm(scores)[-1] - path_score + predicting

    @torch.no_grad()
    def tag(self, words):
        """The tags of the best path: a list of names, one a word"""
        return [self.names[tag] for tag in self.viterbi(self(words)[0])]

    def parts(self, scores):
        """From <start>, from word to word, to <end>: (m - 2), (L - 2, m - 2, m - 2), (m - 2)"""
        return scores[0, 0, 1:-1], scores[1:-1, 1:-1, 1:-1], scores[-1, 1:-1, -1]

    def forward_algorithm(self, scores):
        """alpha[t, j] = log sum of exp(score) of all paths to tag j at word t, and log Z, ()"""
        first, between, last = self.parts(scores)
        alpha = [first]
        for word_scores in between:  # from tag i, down, to tag j, across
            alpha.append(torch.logsumexp(alpha[-1].unsqueeze(1) + word_scores, dim=0))
        return torch.stack(alpha), torch.logsumexp(alpha[-1] + last, dim=0)

    def marginals(self, scores):
        """p[t, j] = exp(alpha[t, j] + beta[t, j] - log Z), tag j at word t: (L - 1, m - 2)"""
        alpha, log_z = self.forward_algorithm(scores)
        _, between, last = self.parts(scores)
        beta = [last]  # log sum of exp(score) of all that can still come after tag i
        for word_scores in between.flip(0):
            beta.append(torch.logsumexp(word_scores + beta[-1], dim=1))
        return (alpha + torch.stack(beta[::-1]) - log_z).exp()

    def viterbi(self, scores):
        """The best path: like the forward algorithm, with max for log sum exp."""
        best, between, last = self.parts(scores)
        pointers = []
        for word_scores in between:
            best, pointer = (best.unsqueeze(1) + word_scores).max(dim=0)
            pointers.append(pointer.tolist())  # the tag before j on the best path to j
        path = [(best + last).argmax().item()]
        for pointer in reversed(pointers):  # from the last word back
            path.append(pointer[path[-1]])
        return [tag + 1 for tag in reversed(path)]  # tag 0 is <start>


def entities(tags):
    """{(type, first word, word after the last)}: B-PER O O -> {("PER", 0, 1)}"""
    spans = []
    for t, tag in enumerate(tags):
        if tag[0] == "I" and t > 0 and tags[t - 1][1:] == tag[1:]:  # the last one goes on
            spans[-1][2] = t + 1
        elif tag != "O":  # B-PER, or I-PER with no PER before it
            spans.append([tag[2:], t, t + 1])
    return {tuple(span) for span in spans}


def evaluate(model, data):
    """Entity F1 in percent: 2 * correct / (true + found)"""
    model.eval()
    pairs = [(entities(tags), entities(model.tag(words))) for words, tags in data]
    correct = sum(len(true & found) for true, found in pairs)
    return 200 * correct / max(sum(len(true) + len(found) for true, found in pairs), 1)


def main():
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # a sentence is too little work to share
    training = read_sentences("train")
    model = Tagger(training)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    start = time.time()
    for epoch in range(1, epochs + 1):
        model.train()
        total = 0.0
        for i in torch.randperm(len(training)):
            loss = model.loss(*training[i])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            total += loss.item()
        f1, seconds = evaluate(model, read_sentences("valid")), time.time() - start
        print(f"epoch {epoch}  loss {total / len(training):.3f}  F1 {f1:.1f}  {seconds:.0f} s")
    print(f"test entity F1 {evaluate(model, read_sentences('test')):.1f}")


if __name__ == "__main__":
    main()
