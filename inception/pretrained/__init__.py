"""Networks with weights: load by name or file, check, save and convert checkpoints.

A `PretrainedModel` carries its preprocessing, class labels, branch means, rejection rule and provenance.
"""
