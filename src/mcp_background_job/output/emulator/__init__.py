"""A terminal's bytes to the text that a person would read: pure, without files and settings."""
