import math

import pytest

from elt_ref.errors import RequestError
from elt_ref.report.results import check_results, columns, cost_alike, drawn_values, ends, span


def test_loops_are_returned(results):
    assert check_results(results, 4) == (1, 2, 3, 4, 5, 6, 7, 8)


def change(results, place, **values):
    results["vanilla"][place] = {**results["vanilla"][place], **values}
    return results


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda _: {}, "at least one row per model"),
        (lambda r: {**r, "vanilla": []}, "at least one row per model"),
        (lambda r: {**r, "vanilla": r["vanilla"][:3]}, r"expected the loops of 'ilsd', \[1, .*got \[1, 2, 3\]"),
        (lambda r: {"ilsd": r["ilsd"][::-1]}, "increasing"),
        (lambda r: {"ilsd": r["ilsd"][:1] * 2}, "increasing"),
        (lambda r: change(r, 2, frechet_distance=math.nan), r"results\['vanilla'\]\[2\]: .*frechet_distance .*got nan"),
        (lambda r: change(r, 2, frechet_distance=-1.0), "got -1.0"),
        (lambda r: {**r, "vanilla": [{"loops": 1}]}, "a row without frechet_distance, inception_score"),
    ],
)
def test_what_breaks_the_contract_is_refused(results, spoil, words):
    with pytest.raises(RequestError, match=words):
        check_results(spoil(results), 4)


def test_models_that_cost_alike(results):
    assert cost_alike(results)
    assert not cost_alike(change(results, 4, gflops_per_sample=9.0))


def test_max_loops_is_positive(results):
    with pytest.raises(RequestError, match="max_loops: expected at least 1, got 0"):
        check_results(results, 0)


def test_units_suit_the_numbers(results):
    formats = columns(results)
    row = results["ilsd"][0]
    written = {key: f"{column.show(row)} {column.unit}".strip() for key, column in formats.items()}
    assert written == {
        "frechet_distance": "3.20",
        "inception_score": "7.40",
        "label_accuracy": "80.0 %",
        "gflops_per_sample": "6.53 MFLOPs",
        "seconds_per_sample": "3.0 ms",
    }


@pytest.mark.parametrize(("key", "heading"), [("valid_share", "valid (%)"), ("motion_accuracy", "motion (%)")])
def test_what_a_rule_counts_is_a_column_where_every_row_has_it(results, key, heading):
    assert key not in columns(results)
    some = change(dict(results), 0, **{key: 0.5})
    assert key not in columns(some)
    every = {name: [{**row, key: 0.125} for row in rows] for name, rows in results.items()}
    column = columns(every)[key]
    assert (column.title, column.show(every["ilsd"][0])) == (heading, "12.5")
    assert list(columns(every)).index(key) == list(columns(every)).index("label_accuracy") + 1


@pytest.mark.parametrize(
    ("gflops", "written"),
    [(2300.0, "2.30 TFLOPs"), (12.0, "12.0 GFLOPs"), (0.5, "500 MFLOPs"), (2e-5, "20.0 kFLOPs"), (0.0, "0.00 kFLOPs")],
)
def test_flops_from_kilo_to_tera(results, gflops, written):
    row = {**results["ilsd"][0], "gflops_per_sample": gflops}
    column = columns({"ilsd": [row]})["gflops_per_sample"]
    assert f"{column.show(row)} {column.unit}" == written


@pytest.mark.parametrize(("loops", "words"), [((1, 2, 3, 4), "L = 1...4"), ((1, 2, 4), "L = 1, 2, 4"), ((3,), "L = 3")])
def test_loops_in_words(loops, words):
    assert span(loops) == words


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0.0011, "1.1"), (0.01634, "16"), (0.1634, "160"), (0.00996, "10"), (0.000996, "1.0"), (0.0, "0.00")],
)
def test_a_time_has_two_digits_whatever_its_size(results, seconds, written):
    times = (seconds, 0.0099, 0.5)
    rows = [{**results["ilsd"][0], "seconds_per_sample": each} for each in times]
    column = columns({"ilsd": rows})["seconds_per_sample"]
    assert (column.unit, column.show(rows[0])) == ("ms", written)


def test_a_mean_over_seeds_shows_its_interval_and_a_single_number_none(results, with_seeds):
    results["ilsd"] = with_seeds(results["ilsd"])
    formats = columns(results)
    assert formats["frechet_distance"].show(results["ilsd"][0]) == "3.20 [2.88–3.52]"
    assert formats["frechet_distance"].show(results["vanilla"][0]) == "3.70"
    assert formats["seconds_per_sample"].show(results["ilsd"][0]) == "3.0"


def test_intervals_stretch_an_axis_only_so_far():
    def rows(high):
        return {"ilsd": [{"distance": 2.0, "intervals": {"distance": [0.5, high]}}, {"distance": 4.0}]}

    assert ends(rows(5.0)["ilsd"][0], "distance") == (0.5, 5.0)
    assert ends(rows(5.0)["ilsd"][1], "distance") == (4.0, 4.0)
    assert max(drawn_values(rows(4.5), "distance")) == 4.5
    assert max(drawn_values(rows(90.0), "distance")) == 6.0
    assert min(drawn_values(rows(90.0), "distance")) == 2.0 / 1.5
