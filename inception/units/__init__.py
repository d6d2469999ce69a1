"""Measurements of a network itself, without a visitor's photo: what its channels and branches respond to.

Stimuli and tuning curves, feature visualization, the atlas of a network, and the census of its branches.
"""
