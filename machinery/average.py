"""A running average of the weights, which tags better than the weights of any single step."""

import contextlib

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class WeightAverage:
    """The exponential moving average of a model's trained weights (Polyak and Juditsky 1992).

        average = decay * average + (1 - decay) * weights        after every step

    In the first steps the decay is lower, (1 + step) / (10 + step), so that the random start is
    soon forgotten.

    :param model: its parameters that require a gradient are averaged; the others stay as they are
    :param decay: with 0.999, the average is over about the last thousand steps; 0: no average
    """

    def __init__(self, model, decay):
        self.decay = decay
        self.trained = nn.ParameterList(p for p in model.parameters() if p.requires_grad)
        self.average = None
        if decay > 0:
            self.average = AveragedModel(self.trained, multi_avg_fn=self._mix)

    def _mix(self, averaged, current, _):
        """Move lists of averaged tensors towards the current ones."""
        steps = int(self.average.n_averaged)  # on the CPU: the argument may be on a GPU
        decay = min(self.decay, (1 + steps) / (10 + steps))
        get_ema_multi_avg_fn(decay)(averaged, current, None)

    def update(self):
        """Take the weights after a step into the average."""
        if self.average is not None:
            self.average.update_parameters(self.trained)

    @contextlib.contextmanager
    def applied(self):
        """The model has its averaged weights for as long as the block lasts."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self):
        """Exchange the model's weights for the average, and back; nothing is copied."""
        if self.average is not None:
            for weight, averaged in zip(self.trained, self.average.module, strict=True):
                weight.data, averaged.data = averaged.data, weight.data

    def state(self):
        """What a checkpoint holds besides the model, inside `applied`: the weights to train on."""
        if self.average is None:
            return dict(weights=[], averaged=0)
        weights = [weight.data for weight in self.average.module]
        return dict(weights=weights, averaged=int(self.average.n_averaged))

    def load(self, state):
        """Go on from a state whose averaged weights the model has.

        :raises ValueError, RuntimeError: the state has other weights
        """
        if not state["weights"]:
            return
        if self.average is not None:
            self.average.n_averaged.fill_(state["averaged"])
            for weight, averaged in zip(self.trained, self.average.module, strict=True):
                averaged.data.copy_(weight.data)
        for weight, value in zip(self.trained, state["weights"], strict=True):
            if weight.shape != value.shape:
                raise ValueError("the weights to train on have other sizes than the model's")
            weight.data.copy_(value)
