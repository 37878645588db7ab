"""The one exception whose message is meant for the user."""


class SynthoodError(Exception):
    """A mistake the user can mend: one sentence that says what was wrong, where, and what to do."""
