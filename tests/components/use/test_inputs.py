import os

import pytest

from components.use.inputs import STDIN, check_input, input_name, open_input
from hopline.runtime.errors import UserError


@pytest.mark.parametrize(("name", "state"), [("missing.txt", "does not exist"), (".", "is a folder")])
def test_what_is_no_stream_of_text_is_refused_with_what_it_is(tmp_path, name, state):
    with pytest.raises(UserError, match=f"{tmp_path / name} {state}") as caught:
        check_input(str(tmp_path / name), "name a text")
    assert caught.value.remedy == "name a text"


def test_files_pipes_and_standard_input_are_taken(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text").write_bytes(b"a b\n")
    for file in (str(tmp_path / "pipe"), str(tmp_path / "text"), "/dev/null", STDIN):
        check_input(file, "")
    with open_input(str(tmp_path / "text")) as stream:
        assert stream.read() == b"a b\n"
    assert [input_name(file) for file in ("a.txt", STDIN)] == ["a.txt", "standard input"]
