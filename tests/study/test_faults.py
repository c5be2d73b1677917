import errno
import os

import pytest

from segsrgan_core.errors import UserError
from segsrgan_study.faults import sentence


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free space"),
        (errno.EDQUOT, "free space"),
        (errno.EACCES, "permissions"),
        (errno.EROFS, "written to"),
        (errno.ENOENT, "check the path"),
    ],
)
def test_the_advice_fits_the_reason(number, advice):
    said = sentence(OSError(number, os.strerror(number), "a/b.nii"))
    assert said.startswith(f"a/b.nii: {os.strerror(number)}; ")
    assert advice in said
    assert ("free space" in said) == (number in (errno.ENOSPC, errno.EDQUOT))


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ETIMEDOUT])
def test_there_is_no_advice_where_none_is_known_to_help(number):
    assert sentence(OSError(number, os.strerror(number), "a/b.nii")) == f"a/b.nii: {os.strerror(number)}"


def test_other_errors():
    assert sentence(UserError("a.nii: is empty.\n")) == "a.nii: is empty"
    assert "memory" in sentence(MemoryError())
    assert sentence(OSError("odd")) == "OSError: odd"
    assert sentence(ZeroDivisionError("oh")) == "ZeroDivisionError: oh"
