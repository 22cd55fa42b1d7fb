"""What the tests stand on: a sandbox with its own tmux, a client for the server, a person at a terminal."""
