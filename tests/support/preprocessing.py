"""The preprocessing of the embedded network, without loading its weights."""

from __future__ import annotations

from dataclasses import replace

from inception.vision.preprocessing import IMAGENET

TINY_IMAGENET = replace(IMAGENET, resize=160, crop=160, size=160)
