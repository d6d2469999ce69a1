"""The Gradio page. It wires components to functions and says things in two languages; it computes nothing."""

from .mount import mount

__all__ = ["mount"]
