"""How `ls` shows what does not fit a cell."""

from penstock.cli.views import CELL_LENGTH_MAX, _cell


def test_a_list_of_records_is_shown_as_its_length_and_whole_by_show() -> None:
    versions = [{"model_version": 1}, {"model_version": 2}]
    assert _cell("versions", versions).text == "2"
    assert "model_version" in _cell("versions", versions, whole=True).text


def test_a_long_cell_is_cut_in_ls_and_whole_in_show() -> None:
    text = "x" * 200
    assert len(_cell("data", text).text) == CELL_LENGTH_MAX
    assert _cell("data", text, whole=True).text == text
