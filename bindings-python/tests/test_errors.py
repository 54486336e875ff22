"""The table of errors: codes, classes, what they carry."""

import json
import pickle
from pathlib import Path

import pytest

import greenroom
from greenroom import _native, errors

TABLE = Path(__file__).parents[2] / "tests" / "errors.json"

CLASSES = [cls for name in errors.__all__ if (cls := getattr(errors, name)) is not errors.GreenroomError]


def test_every_code_of_the_table_has_one_class():
    assert sorted(cls.code for cls in CLASSES) == sorted(_native.error_codes())


def test_the_table_of_all_languages_is_the_same():
    table = json.loads(TABLE.read_text())
    assert sorted(error["code"] for error in table["errors"]) == sorted(cls.code for cls in CLASSES)


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_carries_code_message_and_detail(cls):
    error = errors.from_json({"code": cls.code, "message": "it broke", "detail": "line 1\nline 2"})
    assert type(error) is cls
    assert isinstance(error, greenroom.GreenroomError)
    assert (error.code, error.message, error.detail) == (cls.code, "it broke", "line 1\nline 2")
    assert str(error) == "it broke\nline 1\nline 2"
    assert str(errors.from_json({"code": cls.code, "message": "it broke"})) == "it broke"


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_survives_pickling(cls):
    error = pickle.loads(pickle.dumps(cls("it broke", "detail")))
    assert (type(error), error.code, error.message, error.detail) == (cls, cls.code, "it broke", "detail")


def test_an_unknown_code_is_kept():
    error = errors.from_json({"code": "from_the_future", "message": "it broke"})
    assert type(error) is greenroom.GreenroomError
    assert error.code == "from_the_future"


def test_a_timeout_is_a_timeout_error_and_a_bad_argument_a_value_error():
    assert issubclass(greenroom.SessionTimeout, TimeoutError)
    assert issubclass(greenroom.InvalidArgument, ValueError)
    error = greenroom.SessionTimeout("too late", "detail")
    assert error.errno is None
    assert error.args == ("too late", "detail", None)
