"""Lists the words that options may be, for type checkers and editors; checks at run time read them too."""

from typing import Literal

#: how a cell runs over time, in `unroll`
Mode = Literal["auto", "plain", "scan", "chunked", "linear", "newton"]
#: which levels of a `deep` share parameters; an int beside these is a cycle
Tie = Literal["none", "all", "full"]
#: the order in which `deep` goes over levels and time steps
Order = Literal["auto", "stepwise", "layerwise", "wavefront"]
#: how `norm` normalises an input
Norm = Literal["rms", "layer"]
#: as what predictions join the next input, under `feedback`
Feeds = Literal["values", "probabilities"]
#: what a model of `build` reads its inputs by
Encoder = Literal["auto", "none", "linear", "one_hot", "embedding"]
#: when a model of `build` predicts
Predict = Literal["every", "counted", "last", "mean"]
