"""An agent's long shell commands as tmux windows that a person can watch and take over."""

__version__ = "0.2.0"
