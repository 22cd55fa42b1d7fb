"""The verbs: what agents and people can ask of a job."""
