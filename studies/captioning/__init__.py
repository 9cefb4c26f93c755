"""A captioner in the manner of Neuraltalk2, trained on scenes: a CNN whose vector is an LSTM's first input."""
