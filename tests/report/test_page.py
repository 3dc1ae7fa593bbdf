"""The page is one file, holds every number and picture, and says what it shows."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from elt_ref.errors import RequestError
from elt_ref.report.page import Chapter, write_report
from elt_ref.report.pictures import CLEAR, enlarge, sheet, to_pixels
from elt_ref.report.results import columns
from elt_ref.report.trajectory import Trajectory

VOID = {"meta", "img", "input", "br", "link"}


class Page(HTMLParser):
    """Every start tag with its attributes, and the text inside each open tag; tags must be closed in order."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.open, self.text = [], [], {}
        self.feed(source)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in set(self.open):
            self.text.setdefault(tag, []).append(data)

    def all(self, wanted):
        return [attributes for tag, attributes in self.tags if tag == wanted]


@pytest.fixture
def write(tmp_path, results, pictures, metrics):
    answers = np.random.default_rng(5).integers(0, 9, (3, 4, 8, 8, 1)) / 8

    def call(*others, title="Elastic digits", **changes):
        chapter = Chapter(
            **{
                "id": "masked",
                "heading": "Masked tokens",
                "config_summary": {"layers N": "2", "loops L_max": "4"},
                "results": results,
                "real_distance": 0.42,
                "max_loops": 4,
                "pictures": pictures,
                "labels": list("0123456789"),
                "trajectory": Trajectory(answers, answers[:, -1], label="class 9, ILSD"),
                "metrics": metrics,
                "links": {"paper": {"arXiv 2604.09168": "https://arxiv.org/abs/2604.09168"}},
                "sentences": ["ILSD is the more elastic."],
                **changes,
            }
        )
        chapters = [chapter, *(replace(chapter, **other) for other in others)]
        write_report(tmp_path / "report.html", title=title, chapters=chapters)
        return (tmp_path / "report.html").read_text(encoding="utf-8")

    return call


def test_is_one_file_without_references(write):
    source = write(links={})
    assert "http" not in source
    assert "url(" not in source
    assert "@import" not in source
    page = Page(source)
    assert not page.all("link")
    assert all(attributes["src"].startswith("data:image/png;base64,") for attributes in page.all("img"))
    assert all("src" not in attributes for attributes in page.all("script"))
    assert not re.search(r"\$[a-z{]", source)


def test_holds_every_number_live_and_in_the_table(write, results):
    source = write()
    for key, column in columns(results).items():
        for rows in results.values():
            for row in rows:
                assert f">{f'{column.show(row)} {column.unit}'.strip()}</dd>" in source
                assert f'<td class="{key}">{column.show(row)}</td>' in source
    assert "real pictures have 0.42" in " ".join(source.split())


def test_numbers_stand_in_the_row_and_stop_of_their_loops(write, results):
    source = write()
    for at, stop in enumerate(re.findall(r"<article.*?</article>", source, re.DOTALL)):
        shown = re.findall(r'class="frechet_distance"><dt>Fréchet distance</dt><dd>([\d.]+)</dd>', stop)
        assert f'data-loops="{at + 1}"' in stop
        assert [float(number) for number in shown] == [rows[at]["frechet_distance"] for rows in results.values()]
    body = re.search(r"<tbody>(.*)</tbody>", source, re.DOTALL)[1]
    for at, row in enumerate(re.findall(r"<tr.*?</tr>", body, re.DOTALL)):
        shown = re.findall(r'<td class="frechet_distance">([\d.]+)</td>', row)
        assert [float(number) for number in shown] == [rows[at]["frechet_distance"] for rows in results.values()]


def test_slider_runs_over_the_loops_and_is_labelled(write):
    page = Page(write())
    (slider,) = page.all("input")
    assert {key: slider[key] for key in ("type", "min", "max", "step", "value")} == {
        "type": "range",
        "min": "1",
        "max": "8",
        "step": "1",
        "value": "4",
    }
    assert [label["for"] for label in page.all("label")] == [slider["id"]]
    assert [tag["data-loops"] for tag in page.all("article")] == [str(loops) for loops in range(1, 9)]


def test_without_scripts_everything_but_the_slider_shows(write):
    page = Page(write())
    assert [tag for tag, attributes in page.tags if "hidden" in attributes] == ["div"]
    assert next(attributes for _, attributes in page.tags if "hidden" in attributes)["class"] == "control"


def test_pictures_of_the_stops_are_the_samples(write, pictures):
    page = Page(write())
    stops = [attributes for attributes in page.all("img") if "sampled by" in attributes["alt"]]
    assert len(stops) == 16
    image = Image.open(io.BytesIO(base64.b64decode(stops[2 * 6 + 1]["src"].partition(",")[2])))
    pixels = np.asarray(image.convert("RGBA"))
    assert stops[13]["alt"] == "10 pictures sampled by vanilla with L = 7"
    np.testing.assert_array_equal(pixels[4:100, 4:100], enlarge(to_pixels(pictures["vanilla"][7][0]), 12))
    assert tuple(pixels[0, 0]) == CLEAR


def test_clips_play(write, pictures):
    draw = np.random.default_rng(1)
    clips = {name: {loops: draw.integers(0, 9, (10, 3, 8, 8, 1)) / 8 for loops in range(1, 9)} for name in pictures}
    source = write(pictures=clips)
    stops = [attributes for attributes in Page(source).all("img") if "sampled by" in attributes["alt"]]
    assert len(stops) == 16
    assert stops[13]["alt"] == "10 clips sampled by vanilla with L = 7"
    kind, _, content = stops[13]["src"].partition(",")
    assert kind == "data:image/webp;base64"
    image = Image.open(io.BytesIO(base64.b64decode(content)))
    assert (image.n_frames, image.info["loop"]) == (3, 0)
    assert [stops[13]["width"], stops[13]["height"]] == [str(side) for side in image.size]
    for frame in range(3):
        image.seek(frame)
        pixels = np.asarray(image.convert("RGBA"))
        np.testing.assert_array_equal(pixels[4:100, 4:100], enlarge(to_pixels(clips["vanilla"][7][0, frame]), 12))
        assert pixels[0, 0, 3] == 0


def test_every_picture_has_words(write):
    page = Page(write())
    assert all(len(attributes["alt"]) > 10 for attributes in page.all("img"))
    assert len(page.all("figcaption")) == 3
    assert all(attributes["aria-label"] for attributes in page.all("svg"))
    assert page.all("html") == [{"lang": "en"}]


def test_the_drawing_of_loop_and_losses_stands_once_before_the_chapters_in_words_too(write):
    source = write({"id": "diffusion", "heading": "Noise", "max_loops": 3, "real_distance": 0.5})
    (drawing,) = (each for each in Page(source).all("svg") if each["class"] == "elt-diagram")
    for word in ("L_max", "L_int", "head", "E5.1", "E5.2", "E5.3", "gradient stops"):
        assert word in drawing["aria-label"]
    assert source.index("<svg") < source.index('class="chapter"')


def test_figures_come_in_the_order_of_reading(write):
    page = Page(write())
    assert [figure["id"] for figure in page.all("figure")] == ["masked-samples", "masked-trajectory", "masked-loss"]


def test_what_goes_in_as_text_comes_out_as_text(write, results, pictures, metrics):
    nasty = "</title><script>alert('1 < 2 & \"x\"')</script> $title"
    rows, batches = results["ilsd"], pictures["ilsd"]
    source = write(
        title=nasty,
        heading=nasty,
        sentences=[nasty],
        config_summary={nasty: nasty},
        results={nasty: rows},
        pictures={nasty: batches},
        metrics={nasty: metrics["ilsd"]},
        links={nasty: {nasty: nasty}},
    )
    page = Page(source)
    assert len(page.all("script")) == 1
    for tag in ("title", "h1", "h2", "li", "dt", "dd", "h5", "th"):
        assert nasty in "".join(page.text[tag])


def test_several_chapters_share_a_page_and_nothing_else(write):
    page = Page(write({"id": "diffusion", "heading": "Noise", "max_loops": 3, "real_distance": 0.5}))
    assert [link["href"] for link in page.all("a") if link["href"].startswith("#")] == ["#masked", "#diffusion"]
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids)), "an id twice"
    for _, attributes in page.tags:
        for reference in ("for", "aria-labelledby"):
            assert attributes.get(reference, ids[0]) in ids, attributes
    assert [slider["value"] for slider in page.all("input")] == ["4", "3"]
    assert len(page.all("article")) == 16
    assert not Page(write()).all("nav"), "one chapter needs no contents"


@pytest.mark.parametrize("id_", ["masked", "two words", "", 'a"b'])
def test_chapters_have_a_word_of_their_own(write, id_):
    with pytest.raises(RequestError, match="expected at least one, each with a word of its own as id"):
        write({"id": id_})


@pytest.mark.parametrize(
    ("key", "words"), [("valid_share", "Valid: share of"), ("motion_accuracy", "Motion: share of")]
)
def test_what_a_rule_says_is_shown_where_there_is_one(write, results, key, words):
    ruled = {name: [{**row, key: 0.125} for row in rows] for name, rows in results.items()}
    source = write(results=ruled)
    assert f'<td class="{key}">12.5</td>' in source
    assert words in source
    ruled["vanilla"] = results["vanilla"]
    for without in (write(), write(results=ruled)):  # of which one was judged by the rule for one model alone
        assert key not in without
        assert words not in without


def test_dark_and_light_are_both_there(write):
    assert "prefers-color-scheme: dark" in write()


@pytest.mark.parametrize(("max_loops", "start"), [(1, "1"), (8, "8"), (20, "8")])
def test_the_slider_starts_at_training_or_as_near_as_was_measured(write, max_loops, start):
    (slider,) = Page(write(max_loops=max_loops)).all("input")
    assert slider["value"] == start


def test_what_does_not_fit_together_is_refused(write, results, pictures, tmp_path):
    thinned = {name: rows[::2] for name, rows in results.items()}
    with pytest.raises(RequestError, match=r"expected consecutive loops .*got \[1, 3, 5, 7\]"):
        write(results=thinned)
    with pytest.raises(RequestError, match=r"pictures: expected the models \['ilsd', 'vanilla'\]"):
        write(pictures={"ilsd": pictures["ilsd"]})
    with pytest.raises(RequestError, match=r"kept: expected the shape \(3, 8, 8, 1\)"):
        write(trajectory=Trajectory(np.zeros((3, 4, 8, 8, 1)), np.zeros((2, 8, 8, 1)), label="class 3"))
    with pytest.raises(RequestError, match="metrics: expected steps with one of"):
        write(metrics={})
    with pytest.raises(RequestError, match="at least one row per model"):
        write(results={})
    assert not (tmp_path / "report.html").exists()


def test_the_page_opens_with_five_sentences(write):
    opening = re.search(r"</h1>\s*<p>(.*?)</p>", write(), re.DOTALL)[1]
    assert opening.count(". ") + opening.endswith(".") == 5


def test_the_chart_has_a_point_for_every_number_and_a_mark_at_the_slider(write, results):
    source = write()
    chart = re.search(r'<svg[^>]*class="elasticity".*?</svg>', source, re.DOTALL)[0]
    assert source.index(chart) < source.index('class="stop" data-loops'), "elasticity comes first"
    lines = re.findall(r'<g class="line model-(\d)">(.*?)</g>', chart, re.DOTALL)
    assert [int(number) for number, _ in lines] == [0, 1]
    tops = {}
    for (_, line), rows in zip(lines, results.values(), strict=True):
        points = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', line)
        assert len(points) == len(rows)
        tops |= {row["frechet_distance"]: float(y) for row, (_, y) in zip(rows, points, strict=True)}
    heights = [tops[distance] for distance in sorted(tops)]
    assert heights == sorted(heights, reverse=True), "a larger distance stands higher"
    mark = re.search(r'<line class="now" x1="([\d.]+)"', chart)[1]
    places = re.search(r'data-places="([^"]+)"', chart)[1].split()
    assert (len(places), places[3]) == (8, mark)
    assert "ILSD: 3.20 at L = 1, 2.40 at L = 4, 2.45 at L = 8" in chart


def test_the_chart_of_far_distances_is_logarithmic_and_stays_inside(write, results):
    far = {
        name: [{**row, "frechet_distance": row["frechet_distance"] ** 4} for row in rows]
        for name, rows in results.items()
    }
    chart = re.search(r'<svg[^>]*class="elasticity".*?</svg>', write(results=far, real_distance=0.1), re.DOTALL)[0]
    assert ">100<" in chart
    assert all(0 <= float(y) <= 230 for y in re.findall(r'y\d?="([\d.-]+)"', chart))


def images_of(source, figure):
    """Yield the words and the pixels of the pictures in a figure."""
    part = re.search(rf'<figure id="{figure}">.*?</figure>', source, re.DOTALL)[0]
    for attributes in Page(part).all("img"):
        content = base64.b64decode(attributes["src"].partition(",")[2])
        yield attributes["alt"], np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))


def test_the_sample_sheet_has_a_row_for_every_model_and_number_of_loops(write, pictures):
    shown = dict(images_of(write(), "masked-samples"))
    assert len(shown) == 16
    np.testing.assert_array_equal(
        shown["10 pictures by vanilla with L = 7"], sheet(pictures["vanilla"][7], 10, 8, background=CLEAR)
    )


def test_the_trajectory_shows_answers_and_hatches_what_is_masked(write):
    answers = np.random.default_rng(6).integers(0, 9, (2, 3, 8, 8, 1)) / 8
    kept = answers[:, -1].copy()
    kept[0, :4] = np.nan
    shown = dict(images_of(write(trajectory=Trajectory(answers, kept, label="class 3")), "masked-trajectory"))
    row = shown["step 2 of 2: the answer after each of 3 loops"]
    np.testing.assert_array_equal(row, sheet(answers[1], 3, 8, background=CLEAR))
    state = shown["step 1 of 2: kept after the step"][4:-4, 4:-4]
    np.testing.assert_array_equal(state[32:], enlarge(to_pixels(kept[0, 4:]), 8))
    assert len({tuple(pixel) for pixel in state[:32].reshape(-1, 4)}) == 2, "two colours of a hatch"


def test_every_model_has_its_colour_wherever_it_stands(write, metrics):
    """The loss of a model that is second on the page has the second colour, also where the first has no such term."""
    only = {"vanilla": metrics["vanilla"]}
    loss = re.search(r'<figure id="masked-loss">.*?</figure>', write(metrics=only), re.DOTALL)[0]
    assert set(re.findall(r"model-\d", loss)) == {"model-1"}
    both = re.search(r'<figure id="masked-loss">.*?</figure>', write(), re.DOTALL)[0]
    legend = re.search(r'<ul class="legend">.*?</ul>', both, re.DOTALL)[0]
    assert re.findall(r'class="(model-\d)".*?</span>(\w+)<', legend) == [("model-0", "ILSD"), ("model-1", "vanilla")]


def test_the_loss_has_a_panel_a_term_and_lambda_falls(write):
    loss = re.search(r'<figure id="masked-loss">.*?</figure>', write(), re.DOTALL)[0]
    panels = re.findall(r"<svg.*?</svg>", loss, re.DOTALL)
    titles = [re.search(r'class="title"[^>]*>([^<]*)<', panel)[1] for panel in panels]
    assert titles == [
        "all loops against the truth",
        "student against the truth",
        "student against all loops",
        "λ, weight of the truth",
    ]
    assert [len(re.findall(r'class="line', panel)) for panel in panels] == [2, 1, 1, 1]
    (weight,) = re.findall(r'<polyline points="([^"]*)"', panels[3])
    heights = [float(point.split(",")[1]) for point in weight.split()]
    assert len(heights) == 60
    falls = np.diff(heights)
    assert (falls > 0).all(), "the weight falls, and y grows downwards"
    assert falls == pytest.approx(falls.mean(), abs=0.2)


def test_a_long_log_is_thinned_and_keeps_its_end(write):
    long = {"ilsd": [{"step": step, "teacher_truth": 4.0} for step in range(1, 5001)]}
    loss = re.search(r'<figure id="masked-loss">.*?</figure>', write(metrics=long), re.DOTALL)[0]
    raw, line = re.findall(r'<polyline points="([^"]*)"', loss)
    assert len(raw.split()) == len(line.split()) == 300
    assert line.split()[-1].startswith("340.0,")


def test_a_model_of_several_seeds_has_a_band_around_its_line(write, results, with_seeds):
    assert 'class="band"' not in write()
    assert "over seeds" not in write()
    source = write(results={**results, "ilsd": with_seeds(results["ilsd"])})
    chart = re.search(r'<svg[^>]*class="elasticity".*?</svg>', source, re.DOTALL)[0]
    first, second = re.findall(r'<g class="line model-\d">.*?</g>', chart, re.DOTALL)
    edge = re.search(r'<polygon class="band" points="([^"]*)"', first)[1].split()
    band = [tuple(map(float, point.split(","))) for point in edge]
    circles = [tuple(map(float, each)) for each in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', first)]
    assert "band" not in second
    for (x, y), below, above in zip(circles, band[:8], band[:7:-1], strict=True):
        assert x == below[0] == above[0]
        assert below[1] > y > above[1]
        assert below[1] - y == pytest.approx(y - above[1], abs=0.2)
    assert '<td class="frechet_distance">3.20 [2.88–3.52]</td>' in source
    assert "95 % intervals of the mean over seeds" in source


def test_links_lead_to_the_paper_and_the_files(write):
    links = {"files of ilsd": {"config.toml": "../runs/ilsd/config.toml", "run.json": "../runs/ilsd/run.json"}}
    source = write(links=links)
    assert '<dt>files of ilsd</dt><dd><a href="../runs/ilsd/config.toml">config.toml</a> · <a href=' in source
