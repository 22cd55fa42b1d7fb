"""The command line: what a person types."""

from .main import main

__all__ = ["main"]
