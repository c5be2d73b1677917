"""Faulty manifests. Each maker turns the lines of a good one (a header and three rows) into the file's bytes."""

import re
from collections.abc import Callable

from tests.faults.fault import Fault

Lines = list[str]


def _changed(old: str, new: str, row: int = 1) -> Callable[[Lines], bytes]:
    """Change a row; row 0 is the header."""

    def make(lines: Lines) -> bytes:
        assert re.search(old, lines[row]), lines[row]
        return _joined([*lines[:row], re.sub(old, new, lines[row], count=1), *lines[row + 1 :]])

    return make


def _joined(lines: Lines) -> bytes:
    return ("\n".join(lines) + "\n").encode()


MANIFESTS = [
    Fault("empty", lambda lines: b"", "the column 'cohort' is missing"),
    Fault("header_alone", lambda lines: _joined(lines[:1]), "at least one whole row"),
    Fault("column_missing", _changed("split,", "", 0), "the column 'split' is missing"),
    Fault("column_misspelt", _changed("split", "spilt", 0), "unknown column 'spilt'"),
    Fault("column_twice", _changed("site", "split", 0), "more than once"),
    Fault("field_missing", _changed(",[^,]*$", ""), "expected 12 fields; received 11"),
    Fault("field_too_many", _changed("$", ",more"), "expected 12 fields; received 13"),
    Fault("semicolons", lambda lines: _joined(lines).replace(b",", b";").replace(b";;sha", b","), "semicolons"),
    Fault("tabs", lambda lines: _joined(lines).replace(b",", b"\t"), "tabs"),
    Fault("latin_1", lambda lines: _joined(lines).replace(b"here", "Orl\xe9ans".encode("latin-1")), "another encoding"),
    Fault("utf_16", lambda lines: _joined(lines).decode().encode("utf-16"), "another encoding"),
    Fault("binary", lambda lines: bytes(range(256)) * 20, "another encoding"),
    Fault("row_twice", lambda lines: _joined([*lines, lines[1]]), "each image once"),
    Fault("content_twice", lambda lines: _joined([*lines, lines[1].replace("sub-1", "sub-9")]), "different images"),
    Fault("subject_on_two_sides", _changed("sub-2", "sub-1", 2), "one side of train, val and test"),
    Fault("labels_of_another", _changed("mine/labels/sub-1", "mine/labels/sub-2"), "labels of this subject alone"),
    Fault("no_labels", _changed("mine/labels/sub-1.nii", ""), "labels in train, val and test"),
    Fault("unknown_split", _changed("train", "training"), "one of train, val, test, variability"),
    Fault("two_cohorts", _changed("mine", "yours", 3), "one cohort a manifest"),
    Fault("upwards", _changed("mine/images", "mine/../../images"), "without '..'"),
    Fault("absolute", _changed("mine/images", "/mine/images"), "relative to the data root"),
    Fault("of_windows", _changed("mine/images", r"C:\\images"), "forward slashes"),
    Fault("of_another_cohort", _changed("mine/images", "yours/images"), "starts with the cohort's name"),
    Fault("file_missing", _changed("images/sub-1", "images/sub-8"), "1 files are missing"),
    Fault("link_out_of_the_cohort", _changed("images/sub-1", "images/link"), "received a link to"),
    Fault("wrong_checksum", _changed("[0-9a-f]{64}", "0" * 64), "the file has other content"),
    Fault("short_checksum", _changed("[0-9a-f]{64}", "abc"), "64 lower-case hexadecimal digits"),
    Fault("one_checksum_for_two_files", _changed(";[0-9a-f]{64}", ""), "one checksum for each"),
    Fault("te_in_seconds", _changed(",156,", ",0.156,"), "a number of ms, 1 to 2000"),
    Fault("te_with_a_unit", _changed(",156,", ",156 ms,"), "a number of ms"),
    Fault("age_of_an_adult", _changed(",40,", ",4000,"), "a number of weeks"),
    Fault("name_with_a_slash", _changed("sub-1", "sub/1"), "a name of letters"),
    Fault("no_test_images", lambda lines: _joined([line for line in lines if ",test," not in line]), "split 'test'"),
]
