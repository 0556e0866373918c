"""The core's own errors.

CanaryError
├── TemplateError      a metric's query cannot be rendered
├── MeasurementError   a metric's query was refused, or its answer is not one value
└── NoAnswerError      a system that a check asks is away: worth another attempt
"""


class CanaryError(Exception):
    """Something a document asks for cannot be had."""


class TemplateError(CanaryError):
    """A metric's query cannot be rendered."""

    def __init__(self, metric: str, why: str) -> None:
        super().__init__(f"The query of metric {metric} cannot be rendered: {why}.")
        self.metric = metric


class MeasurementError(CanaryError):
    """A metric's query was refused, or its answer is not one value: asking again would change nothing."""


class NoAnswerError(CanaryError):
    """A system that a check asks is away: no connection, or an answer that says so."""

    def __init__(self, what: str, why: str, status: int | None = None) -> None:
        super().__init__(f"{what} does not answer: {why}.")
        self.status = status
