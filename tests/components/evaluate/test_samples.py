import json

from components.evaluate.samples import SAMPLES_FILE, facts, section, write_samples
from hopline import artifacts, schema
from hopline.use.locate import locate
from hopline.use.model import Model
from hopline.use.samples import Continuation, Samples, make_samples


def test_samples_are_the_same_each_time_and_stand_in_file_report_and_facts(used, tmp_path):
    folder, _ = used
    model = folder / "model"
    manifest = artifacts.read_manifest(model, schema.MODEL)
    results = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        told = write_samples(model, manifest, folder / "examples" / schema.TEXT_FOLDER, "test", tmp_path / name)
        results.append((told, (tmp_path / name / SAMPLES_FILE).read_text()))
    assert results[0] == results[1]
    (html, short), text = results[0]
    content = json.loads(text)
    assert len(content["continuations"]) == len(short["continuations"]) == 3
    assert all(one["drawn"] and one["beginning"] for one in content["continuations"])
    places = content["sentence"]["places"]
    assert all(len(place["likeliest"]) == 5 for place in places)
    attention = content["sentence"]["attention"]
    assert (len(attention), len(attention[0]), len(attention[0][0])) == (2, len(places), len(places))
    assert content["continuations"][0]["drawn"] in html
    assert "data:image/svg+xml" in html
    assert [word for word, _ in short["likeliest"]] == [place["word"] for place in places]


def test_a_text_of_next_to_nothing_has_few_samples(used):
    model = Model(locate(used[0]))
    assert make_samples(model, []).content() == {"continuations": [], "sentence": None}
    few = make_samples(model, ["w00"])
    assert [one.beginning for one in few.continuations] == ["w00"]
    assert section(few)


def test_what_is_drawn_is_text_and_no_markup():
    samples = Samples([Continuation("a <b", "<script>", "& c")], None)
    assert "<script>" not in section(samples)
    assert facts(samples) == {"continuations": [["a <b", "<script>"]], "likeliest": []}


def test_a_model_whose_numbers_are_not_finite_shows_no_sentence(used, monkeypatch):
    model = Model(locate(used[0]))
    scored, likeliest = model.alternatives("w00 w07", 5)
    scored.nll[1] = float("nan")
    monkeypatch.setattr(model, "alternatives", lambda text, k: (scored, likeliest))
    assert make_samples(model, ["w00 w07 w03"]).content()["sentence"] is None
