"""Explanations of a prediction: branch votes, ablations, heat maps, receptive fields, readouts, a convolution by hand.

Each is a pure function of a model and a prediction. Those that `catalogue` declares return a frozen dataclass with its
own check; others return arrays, or dicts of them.
"""
