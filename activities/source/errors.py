"""What is wrong with a source, in words for the person who wrote it."""


class SourceError(Exception):
    """A repository, a revision, a path or a manifest that cannot be used; one sentence, without secrets.

    The sentence of one cause is always the same, so that a status changes only when something happened.
    """
