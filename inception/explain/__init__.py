"""Explanations of a prediction: branch votes, ablations, heat maps, receptive fields, readouts, a convolution by hand.

Each is a pure function of a model and a prediction that returns a frozen dataclass with its own check.
"""
