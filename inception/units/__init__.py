"""What a channel looks for, and what a branch is for: measurements of a network itself, without a visitor's photo.

Stimuli and tuning curves, feature visualization, the atlas of a network, and the census of its branches.
"""
