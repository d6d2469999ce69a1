"""The type of what shows progress: it passes on numbers, and shows how many have been taken."""

from collections.abc import Callable, Iterable

Progress = Callable[[Iterable[int]], Iterable[int]]
