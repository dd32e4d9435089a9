import io
import json
import math

import pytest

from components.use import tool_formats
from hopline.runtime.errors import UserError
from hopline.use.requests import ScoreRequest
from hopline.use.scored import Totals
from tests.components.use.fakes import FakeModel, scored

DOCUMENTS = {"one.txt": ["a b\nx", "y a\n"], "two.txt": ["b"]}  # each in its pieces


def output(form, per, documents=DOCUMENTS):
    model = {"folder": "", "version": None, "place": ""}
    request = ScoreRequest(
        files=list(documents), per=per, format=form, context="document", attention=False, cache=None, **model
    )
    stream, totals = io.StringIO(), Totals()
    written = tool_formats.output_for(request, FakeModel(), stream)
    for name, pieces in documents.items():
        for piece in pieces:
            part = scored(piece)
            totals.add(part.totals)
            written.piece(part)
        written.end_document(name)
    written.close(totals, 2.0)
    return stream.getvalue()


def log10(bits):
    return -bits * math.log10(2)


def test_kenlm_prints_words_lines_and_the_summary_of_query():
    lines = output("kenlm", "word").splitlines()
    assert lines[0].split("\t") == [
        f"a=3 1 {log10(2):.6g}", f"b=4 2 {log10(3):.6g}", f"</s>=2 3 {log10(1):.6g}", f"Total: {log10(6):.6g} OOV: 0",
    ]  # fmt: skip
    assert lines[1].startswith(f"x=1 1 {log10(4):.6g}\ty=1 2 ")
    assert lines[1].endswith(f"Total: {log10(11):.6g} OOV: 2")
    assert lines[2].endswith(f"Total: {log10(3):.6g} OOV: 0")
    including, excluding = 2 ** (20 / 8), 2 ** (12 / 6)
    assert lines[3:] == [
        f"Perplexity including OOVs:\t{including:.6g}",
        f"Perplexity excluding OOVs:\t{excluding:.6g}",
        "OOVs:\t2",
        "Tokens:\t8",
    ]
    assert output("kenlm", "line").splitlines() == [line.split("\t")[-1] for line in lines[:3]] + lines[3:]
    assert output("kenlm", "document").splitlines() == lines[3:]


def test_srilm_prints_sentences_and_leaves_unknown_words_out_of_its_sums():
    lines = output("srilm", "word").splitlines()
    assert lines[:7] == [
        "a b",
        f"\tp( a | <s> ) \t= [1gram] 0.25 [ {log10(2):.6g} ]",
        f"\tp( b | a ... ) \t= [2gram] 0.125 [ {log10(3):.6g} ]",
        f"\tp( </s> | b ... ) \t= [3gram] 0.5 [ {log10(1):.6g} ]",
        "1 sentences, 2 words, 0 OOVs",
        f"0 zeroprobs, logprob= {log10(6):.6g} ppl= 4 ppl1= 8",
        "",
    ]
    assert "\tp( <unk> | <s> ) \t= [OOV] 0 [ -inf ]" in lines
    files = [place for place, line in enumerate(lines) if line.startswith("file ")]
    assert lines[files[0]] == "file one.txt: 2 sentences, 5 words, 2 OOVs"
    assert lines[files[0] + 1].startswith(f"0 zeroprobs, logprob= {log10(9):.6g} ppl= {2 ** (9 / 5):.6g} ")
    assert lines[files[1]] == "file two.txt: 1 sentences, 1 words, 0 OOVs"


def test_srilm_refuses_a_line_that_it_would_have_to_hold_whole(monkeypatch):
    monkeypatch.setattr(tool_formats, "_SRILM_LONGEST", 10)
    with pytest.raises(UserError, match="more than 10 words"):
        output("srilm", "word", {"one.txt": ["a " * 8] * 100})


def test_the_table_of_surprisals_counts_sentences_and_words():
    assert output("tsv", "word").splitlines() == [
        "sentence_id\ttoken_id\ttoken\tsurprisal",
        "1\t1\ta\t2.000000", "1\t2\tb\t3.000000", "1\t3\t<eos>\t1.000000",
        "2\t1\tx\t4.000000", "2\t2\ty\t4.000000", "2\t3\ta\t2.000000", "2\t4\t<eos>\t1.000000",
        "3\t1\tb\t3.000000",
    ]  # fmt: skip


@pytest.mark.parametrize(("per", "items"), [("document", 2), ("line", 3), ("word", 8)])
def test_json_is_one_object_with_the_sums(per, items):
    found = json.loads(output("json", per))
    assert len(found[f"{per}s"]) == items
    assert found["perplexity"] == pytest.approx(2 ** (20 / 8))
    assert found["perplexity_without_unknown"] == pytest.approx(2 ** (12 / 6))
    assert (found["tokens"], found["unknown"], found["parameters"]) == (8, 2, 7)
    assert found["words_per_second"] == 4
    assert found["bits_per_character"] == pytest.approx(20 / 10)
    assert found["model"]["version"] == 3


def test_json_of_unknown_words_alone_says_null_for_what_there_is_none_of():
    assert json.loads(output("json", "line", {"it": ["x y"]}))["perplexity_without_unknown"] is None


def test_the_table_for_people_has_the_totals_and_what_is_asked_for():
    assert "perplexity:          5.66" in output("table", "document")
    assert "one.txt: perplexity 5.38, 7 words, 2 unknown" in output("table", "document")
    assert "   4.000  x  (unknown)" in output("table", "word").splitlines()
    assert "        6.73       4       2  x y a <eos>" in output("table", "line").splitlines()
