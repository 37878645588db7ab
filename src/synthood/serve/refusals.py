"""Why a request is refused."""


class RefusalError(Exception):
    """An HTTP status and a sentence for the client."""

    def __init__(self, status: int, reason: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.headers = status, reason, headers or {}


def busy(reason: str) -> RefusalError:
    """Nothing is wrong with the request; it may come again after a second."""
    return RefusalError(503, f"{reason}; try again", {"Retry-After": "1"})
