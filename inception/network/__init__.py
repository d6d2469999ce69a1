"""InceptionV1 (GoogLeNet) itself: its blocks, the fused inference engine, receptive fields and cost of its layers.

Knows tensors and modules only; no files, photos or classes.
"""
