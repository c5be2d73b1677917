import errno
import os

import pytest

from segsrgan_study.faults import sentence

ADVICE = {errno.ENOSPC: "; free space", errno.EDQUOT: "; free space", errno.EACCES: "; change its permissions"}
ADVICE |= {errno.EROFS: "; choose a folder that can be written to", errno.ENOENT: "; check the path"}
ADVICE |= {errno.EMFILE: "", errno.EIO: ""}  # where none is known to help


@pytest.mark.parametrize(("number", "advice"), ADVICE.items())
def test_the_advice_fits_the_reason_and_an_error_without_a_number_is_told_as_it_is(number, advice):
    said = sentence(OSError(number, os.strerror(number), "a/b.nii"))
    start = f"a/b.nii: {os.strerror(number)}"
    assert said.startswith(start + advice) if advice else said == start
    assert sentence(OSError("odd")) == "OSError: odd"
