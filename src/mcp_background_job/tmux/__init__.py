"""Everything that is asked of tmux; the only room that knows libtmux."""
