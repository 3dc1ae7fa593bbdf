import io

import pytest

from elt_ref.errors import RequestError
from elt_ref.report.results import columns
from elt_ref.report.table import results_table, what_to_look_at
from elt_ref.terminal import Terminal


def printed(table, width=80):
    console = Terminal(file=io.StringIO(), width=width)
    console.table(table)
    return console.file.getvalue()


def test_the_table_holds_every_number_in_80_characters(results):
    text = printed(results_table(results, 0.42, 4))
    assert "…" not in text
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line.split()}
    formats = columns(results)
    for at in range(8):
        rows = [rows[at] for rows in results.values()]
        cells = [formats["gflops_per_sample"].show(rows[0])]
        for row in rows:
            cells += [
                formats[key].show(row)
                for key in ("frechet_distance", "inception_score", "label_accuracy", "seconds_per_sample")
            ]
        first = "*4" if at == 3 else str(at + 1)
        assert lines[first] == [first, *cells]
    assert "real pictures have 0.42" in " ".join(text.split())


def test_the_mark_moves_with_max_loops(results):
    text = printed(results_table(results, 0.42, 2))
    assert " *2 " in text
    assert "*4" not in text


def test_sentences_are_computed_from_the_numbers(results):
    assert what_to_look_at(results, 4) == [
        "ILSD: the worst distance over L = 1...8 is 3.2 (L = 1), 1.5x its best, 2.2 (L = 6).",
        "vanilla: the worst distance over L = 1...8 is 7.1 (L = 8), 3.0x its best, 2.35 (L = 2).",
        (
            "ILSD is the more elastic: its distance varies by 1.5x, the distance of vanilla by 3.0x, "
            "and ILSD is the better at 6 of 8 loop counts (L = 1, 4, 5, 6, 7, 8)."
        ),
        "At the L = 4 of training ILSD is ahead of vanilla, 2.4 against 2.7.",
    ]


def test_sentences_say_so_when_the_claim_does_not_hold(results):
    swapped = {"ilsd": results["vanilla"], "vanilla": results["ilsd"]}
    sentences = what_to_look_at(swapped, 4)
    assert sentences[2] == (
        "The claim does not hold here: ILSD is not the more elastic: its distance varies by 3.0x, the distance "
        "of vanilla by 1.5x, and ILSD is the better at 2 of 8 loop counts (L = 2, 3)."
    )
    assert sentences[3] == "At the L = 4 of training ILSD is behind vanilla, 2.7 against 2.4."


def test_flat_but_worse_is_not_praised_without_a_but(results):
    flat = [{**row, "frechet_distance": 20.0} for row in results["ilsd"]]
    sentences = what_to_look_at({"ilsd": flat, "vanilla": results["vanilla"]}, 4)
    assert sentences[2].endswith("by 3.0x, but ILSD is the better at 0 of 8 loop counts.")


def test_seeds_say_where_the_intervals_are_apart(results, with_seeds):
    """A tenth on either side: 3.2 and 3.7 overlap, 2.9 and 2.35 do not."""
    seeds = {name: with_seeds(rows) for name, rows in results.items()}
    expected = "The intervals over seeds are apart at 5 of 8 loop counts (L = 2, 5, 6, 7, 8)."
    assert what_to_look_at(seeds, 4)[4:] == [expected]
    assert len(what_to_look_at({**seeds, "vanilla": results["vanilla"]}, 4)) == 4


def test_distances_of_seeds_have_their_intervals_in_80_characters(results, with_seeds):
    seeds = {name: with_seeds(rows) for name, rows in results.items()}
    text = printed(results_table(seeds, 0.42, 4))
    assert "3.20 [2.88–3.52]" in text
    assert "7.10 [6.39–7.81]" in text
    assert "intervals of the mean over seeds" in " ".join(text.split())
    assert "time" not in text
    assert "[" not in printed(results_table(results, 0.42, 4))


def test_a_small_distance_of_real_pictures_beside_large_ones_keeps_its_digits(results):
    far = {"ilsd": [{**row, "frechet_distance": 100 * row["frechet_distance"]} for row in results["ilsd"]]}
    assert "real pictures have 0.72." in " ".join(printed(results_table(far, 0.7220022, 4)).split())


def test_near_ties_are_called_level(results):
    results["vanilla"][3]["frechet_distance"] = 2.41
    assert what_to_look_at(results, 4)[3] == "At the L = 4 of training ILSD and vanilla are level, 2.4 against 2.41."


def test_unmeasured_training_loops_are_not_talked_about(results):
    assert len(what_to_look_at(results, 12)) == 3


def test_one_model_has_nothing_to_be_compared_with(results):
    assert len(what_to_look_at({"ilsd": results["ilsd"]}, 4)) == 1


@pytest.mark.parametrize("call", [lambda r: results_table(r, 0.4, 4), lambda r: what_to_look_at(r, 4)])
def test_nothing_to_show_is_a_wrong_request(call):
    with pytest.raises(RequestError, match="at least one row per model"):
        call({})
