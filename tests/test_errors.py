"""What exceptions of libraries mean to the user."""

import pickle

import pytest
from safetensors import SafetensorError

from hwlit.errors import ResourceError, translated, writing


class PanicException(BaseException):
    """As a library in Rust raises it."""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), 6),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"), 6),
        (RuntimeError("std::bad_alloc"), 6),
        (SystemError("<method 'x'> returned NULL: error return without exception set"), 6),
        (ImportError("x.so: failed to map segment from shared object"), 6),
        (OSError(12, "Cannot allocate memory"), 6),
        (OSError(27, "File too large"), 6),
        (SafetensorError("I/O error: No space left on device (os error 28)"), 6),
        (SafetensorError("Error while deserializing header: header too small"), 5),
        (pickle.UnpicklingError("Weights only load failed. Re-running with `weights_only`..."), 5),
        (PanicException("Onig: Regex search error: retry-limit-in-match over"), 5),
    ],
    ids=str,
)
def test_what_is_known_has_its_code(error, code):
    known = translated(error)
    assert known is not None
    assert known.exit_code == code
    assert "weights_only" not in str(known)


def test_the_rest_is_not_guessed():
    assert translated(ValueError("no idea")) is None


def test_whatever_goes_wrong_with_a_file_names_it(tmp_path):
    wrong = [OSError(28, "No space left on device"), SafetensorError("I/O error: x (os error 27)")]
    for error in wrong:
        with pytest.raises(ResourceError, match=f"cannot write {tmp_path}"), writing(tmp_path):
            raise error
    with pytest.raises(SafetensorError), writing(tmp_path):
        raise SafetensorError("header too small")
    with pytest.raises(TypeError), writing(tmp_path):
        raise TypeError
