"""Inference engines, one module each, behind the small protocol of `protocol.py`."""
