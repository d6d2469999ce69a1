"""Inference for many callers: loading, caching, batching, priorities, back ends, CPU fallback of a full GPU.

Imports neither Gradio nor anything of `web`.
"""
