"""Whatever a library raises is one sentence of the right kind."""

import pytest

from hwlit.errors import IntegrityError, ResourceError, UsageError
from hwlit.networks.loading import loading


class PanicException(BaseException):
    """As a library in Rust raises it."""


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (
            OSError("no file.\nmore"),
            UsageError,
            "the model cannot be loaded .OSError: no file.; give",
        ),
        (PanicException("gave up"), UsageError, "PanicException: gave up"),
        (ImportError("no sentencepiece"), UsageError, "ImportError: no sentencepiece"),
        (MemoryError(), ResourceError, "out of memory"),
        (SystemError("error return without exception set"), ResourceError, "out of memory"),
        (OSError(28, "No space left on device"), ResourceError, "disk is full"),
        (IntegrityError("ours"), IntegrityError, "^ours$"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_each_error_is_told(error, kind, told):
    with pytest.raises(kind, match=told), loading("the model", lambda error: "give another"):
        raise error


def test_advice_to_run_code_is_not_passed_on():
    advice = ValueError("Please pass the argument `trust_remote_code=True` to run it")
    with pytest.raises(UsageError) as told, loading("the model", lambda error: "give another"):
        raise advice
    assert "trust_remote_code" not in str(told.value)
    assert "runs no custom code" in str(told.value)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_process_ends_it(stop):
    with pytest.raises(stop), loading("the model", lambda error: "give another"):
        raise stop
