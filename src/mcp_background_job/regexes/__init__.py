"""Regular expressions from agents and settings, searched in a process of their own that can be ended."""
