"""The core's own errors.

CanaryError
└── TemplateError   a metric's query cannot be rendered
"""


class CanaryError(Exception):
    """Something a document asks for cannot be had."""


class TemplateError(CanaryError):
    """A metric's query cannot be rendered."""

    def __init__(self, metric: str, why: str) -> None:
        super().__init__(f"The query of metric {metric} cannot be rendered: {why}.")
        self.metric = metric
